/** Forwarded fields: kept and extended from trusted proxies, dropped from every other client. */

import t from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer, raw, scriptedContainer, until } from '../../../helpers/gateway/gateway-upstream.ts'

const sent = {
  'x-forwarded-for': '192.0.2.1',
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'shop.example',
  'x-forwarded-ssl': 'on',
  'x-real-ip': '192.0.2.1',
  forwarded: 'for=192.0.2.1;proto=https',
  'x-forwarded-prefix': '/app',
  'front-end-https': 'on',
  'x-client-ip': '192.0.2.1',
  'x-cluster-client-ip': '192.0.2.1',
  'true-client-ip': '192.0.2.1',
  'x-url-scheme': 'https',
}

/** What the gateway writes itself. */
const OWN = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host']

for (const [way, more] of [
  ['the fast path', {}],
  ['the way of Node', { te: 'trailers' }],
] as const) {
  for (const trustedProxies of [['192.0.2.0/24', '127.0.0.0/8'], ['fd00::/8'], []]) {
    t.test(`${way}, trusted are [${trustedProxies}]`, async (t) => {
      const gw = await startGateway(t, { ingress: { trustedProxies } })
      const web = await httpContainer(t, (req, res) => res.end(JSON.stringify(req.headers)))
      await gw.register({ name: 'web', ...web.at })
      const got = (await gw.get('web.x', '/', { headers: { ...sent, ...more } })).json()
      const extended = {
        'x-forwarded-for': '192.0.2.1, 127.0.0.1',
        forwarded: 'for=192.0.2.1;proto=https, for=127.0.0.1',
      }
      if (trustedProxies.length === 2) t.match(got, { ...sent, ...extended })
      else {
        t.match(got, { 'x-forwarded-for': /^127\.0\.0\.1$/, 'x-forwarded-proto': 'http' })
        t.equal(got['x-forwarded-host'], 'web.x')
        for (const name of Object.keys(sent)) if (!OWN.includes(name)) t.notOk(name in got, name)
      }
    })
  }
}

for (const [way, more] of [
  ['the fast path', {}],
  ['the way of Node', { te: 'trailers' }],
] as const) {
  t.test(`${way}: no twin of a field that frames a body reaches a container`, async (t) => {
    const gw = await startGateway(t)
    const web = await httpContainer(t, (req, res) => res.end(JSON.stringify(req.headers)))
    await gw.register({ name: 'web', ...web.at })
    const twins = { content_length: '5', Transfer_Encoding: 'chunked' }
    const got = (await gw.get('web.x', '/', { headers: { ...twins, ...more, x_other: 'kept' } })).json()
    t.equal(got['x_other'], 'kept')
    for (const name of ['content_length', 'transfer_encoding']) t.notOk(name in got, name)
  })
}

t.test('a trusted proxy says the scheme in any of its ways, and once', async (t) => {
  const gw = await startGateway(t, { ingress: { trustedProxies: ['127.0.0.0/8'] } })
  const web = await httpContainer(t, (req, res) => res.end(JSON.stringify(req.headers)))
  await gw.register({ name: 'web', ...web.at })
  for (const [name, value] of [
    ['x-forwarded-ssl', 'on'],
    ['front-end-https', 'on'],
    ['forwarded', 'for=192.0.2.1;proto=https'],
    ['x-url-scheme', 'https'],
  ] as const) {
    for (const more of [{}, { te: 'trailers' }]) {
      const got = (await gw.get('web.x', '/', { headers: { [name]: value, ...more } })).json()
      t.equal(got['x-forwarded-proto'], 'https', name)
      t.notOk('x-forwarded-port' in got, 'the port of the gateway is none of https')
    }
  }
})

t.test('what says how a client came is dropped from trailers', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [
    (s) =>
      s.on('data', (chunk) => {
        if (/\r\n0\r\n[\s\S]*\r\n\r\n$/.test(String(chunk)) || String(chunk).startsWith('0\r\n'))
          s.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      }),
  ])
  await gw.register({ name: 'web', ...web.at })
  const names = [...Object.keys(sent), 'x_real_ip', 'X-Flatnet-Via']
  const trailers = names.map((name) => `${name}: 1\r\n`).join('')
  const head = 'POST / HTTP/1.1\r\nHost: web.x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n'
  await raw(gw.port, `${head}2\r\nhi\r\n0\r\n${trailers}X-Sum: 1\r\n\r\n`)
  await until(() => web.received[0]?.includes('X-Sum: 1') === true, 'the trailers')
  const [, behind = ''] = web.received[0]!.split('\r\n0\r\n')
  t.equal(behind, 'X-Sum: 1\r\n\r\n')
})

t.test('behind a trusted proxy, URLs of its name lead back below its prefix', async (t) => {
  const gw = await startGateway(t, { ingress: { trustedProxies: ['127.0.0.0/8'] } })
  const web = await httpContainer(t, (req, res) => {
    res.writeEarlyHints({ link: '</a.css>; rel=preload' })
    res.writeHead(302, {
      location: 'https://shop.example/login',
      refresh: '0; url=https://shop.example/login',
      link: '</a.css>; rel=preload, <https://shop.example/b>; rel=next, <c>; rel=prev',
      'x-prefix': String(req.headers['x-forwarded-prefix']),
    })
    res.end()
  })
  await gw.register({ name: 'web', ...web.at })
  for (const [prefix, below] of [
    [undefined, '/~web'],
    ['/app/', '/app/~web'],
  ] as const) {
    for (const te of ['', 'TE: trailers\r\n']) {
      const said = prefix === undefined ? '' : `X-Forwarded-Prefix: ${prefix}\r\n`
      const fields = `Host: gw\r\nX-Forwarded-Host: shop.example\r\n${said}${te}Connection: close\r\n`
      const text = (await raw(gw.port, `GET /~web/ HTTP/1.1\r\n${fields}\r\n`)).toLowerCase()
      const [hint = '', answer = ''] = text.split(/(?=http\/1\.1 302)/)
      t.match(hint, `link: <${below}/a.css>; rel=preload\r\n`)
      t.match(answer, `\r\nlocation: ${below}/login\r\n`)
      t.match(answer, `\r\nrefresh: 0; url=${below}/login\r\n`)
      t.match(answer, `\r\nlink: <${below}/a.css>; rel=preload, <${below}/b>; rel=next, <c>; rel=prev\r\n`)
      t.match(answer, `\r\nx-prefix: ${below}\r\n`)
    }
  }
})
