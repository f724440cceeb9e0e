/** HTTPS at the ingress: certificates by name, what containers see, reloading, and hostile clients. */

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { connect as connectPlain } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'
import t, { type Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { startGateway, type TestGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer, scriptedContainer, until } from '../../../helpers/gateway/gateway-upstream.ts'
import { type WebCa, webCa, webPair, writePair } from '../../../helpers/gateway/web-certificate.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'

const ca: WebCa = await webCa()
const tls = async (gw: TestGateway) => (await gw.api('/v1/status')).json().ingress.tls

interface Got {
  readonly status: number
  readonly body: string
  readonly names: string | undefined
  readonly hsts: string | undefined
}

function get(
  port: number,
  servername: string,
  path = '/',
  headers: Record<string, string> = {},
): Promise<Got> {
  return new Promise((resolve, reject) => {
    const to = { host: '127.0.0.1', port, servername, path, ca: ca.pem, agent: false }
    const req = request({ ...to, headers: { host: servername, ...headers }, timeout: 10_000 }, (res) => {
      const names = (res.socket as TLSSocket).getPeerX509Certificate()?.subjectAltName
      let body = ''
      res.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      res.on('end', () =>
        resolve({ status: res.statusCode ?? 0, body, names, hsts: res.headers['strict-transport-security'] }),
      )
    })
    req.on('error', reject)
    req.end()
  })
}

async function secureGateway(t: Test, more: Record<string, unknown> = {}) {
  const folder = scratchFolder(t)
  const web = writePair(folder, 'web', await webPair(ca, ['web.x', '127.0.0.1']))
  const shop = writePair(folder, 'shop', await webPair(ca, ['*.shop.x']))
  const gw = await startGateway(t, {
    ingress: { tls: { listen: '127.0.0.1:0', ...web, certs: [shop], ...more } },
  })
  const echo = await httpContainer(t, (req, res) => res.end(JSON.stringify(req.headers)))
  await gw.register({ name: 'web', ...echo.at })
  return { gw, folder, web, shop, port: (await tls(gw)).port as number, echo }
}

t.test('any method, behind requests under way and cut in two', async (t) => {
  const { gw, port } = await secureGateway(t)
  const vault = await scriptedContainer(t, [
    (s) =>
      s.on('data', (bytes) =>
        s.write(`HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<${String(bytes).slice(0, 7)}>`),
      ),
  ])
  await gw.register({ name: 'vault', ...vault.at, containerId: 'vault' })
  const socket = connect({ host: '127.0.0.1', port, servername: 'web.x', ca: ca.pem })
  t.teardown(() => socket.destroy())
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  const rest = ' HTTP/1.1\r\nHost: vault.x\r\nTE: trailers\r\n\r\n'
  socket.write(`GET /abc${rest}LIST /d${rest}`)
  await until(() => text.includes('<LIST /'), 'the second answer')
  t.same(text.match(/<.*>/g), ['<GET /ab>', '<LIST /d>'])
  // Two records in one packet.
  socket.write('UN')
  socket.write(`LIST /e${rest}`)
  await until(() => text.includes(' 400 '), 'a refusal')
  t.notMatch(vault.received.join(''), 'LIST /e')
})

t.test('a container sees https; plain requests beside it see http', async (t) => {
  const { gw, port } = await secureGateway(t)
  for (const [way, headers] of [
    ['the fast path', {}],
    ['the way of Node', { te: 'trailers' }],
  ] as const) {
    const { status, body } = await get(port, 'web.x', '/', { ...headers, 'x-forwarded-proto': 'gopher' })
    t.equal(status, 200, way)
    t.match(JSON.parse(body), {
      'x-forwarded-proto': 'https',
      'x-forwarded-port': '443',
      'x-forwarded-for': '127.0.0.1',
    })
  }
  t.match((await gw.get('web.x')).json(), { 'x-forwarded-proto': 'http', 'x-forwarded-port': '80' })
  t.equal((await get(port, 'web.x', '/~none/', { host: `127.0.0.1:${port}` })).status, 404)
})

t.test('the certificate is chosen by the name that the client asks for', async (t) => {
  const { port } = await secureGateway(t)
  const of = async (name: string) => (await get(port, name, '/', { host: 'web.x' })).names
  t.match(await of('web.x'), 'web.x')
  t.match(await of('a.shop.x'), '*.shop.x')
  t.match(await of('A.Shop.X'), '*.shop.x')
  const other = connect({ port, host: '127.0.0.1', ca: ca.pem, rejectUnauthorized: false })
  await once(other, 'secureConnect')
  t.match(other.getPeerX509Certificate()?.subjectAltName, 'web.x', 'no name: the first')
  other.destroy()
})

t.test('a changed certificate is read; requests under way and connections go on', async (t) => {
  const { gw, folder, port, web } = await secureGateway(t)
  let release = (): void => {}
  const slow = await httpContainer(t, (_req, res) => {
    res.write('first ')
    release = () => res.end('last')
  })
  await gw.register({ containerId: 'slow', name: 'slow', ...slow.at })
  const underWay = get(port, 'web.x', '/', { host: 'slow.x' })
  await until(() => release.name === 'release')
  writeFileSync(web.cert, 'half written')
  await until(async () => (await tls(gw)).problems.length === 1)
  t.match(
    (await tls(gw)).problems[0],
    /ingress\.tls\.cert is ".*web\.crt": it does not hold a certificate in PEM/,
  )
  t.equal((await get(port, 'web.x')).status, 200, 'the old one stays in use')
  writePair(folder, 'web', await webPair(ca, ['web.x', 'new.x']))
  await until(async () => ((await get(port, 'web.x')).names ?? '').includes('new.x'))
  t.same((await tls(gw)).problems, [])
  release()
  t.match(await underWay, { status: 200, body: 'first last' })
})

t.test('certificates that cannot be used are told, and the gateway starts', async (t) => {
  const folder = scratchFolder(t)
  const one = await webPair(ca, ['one.x'])
  const other = await webPair(ca, ['two.x'])
  const wrong = writePair(folder, 'wrong', { certPem: one.certPem, keyPem: other.keyPem })
  const old = writePair(folder, 'old', await webPair(ca, ['old.x'], Date.now() - 1000))
  const gone = { cert: `${folder}/none.crt`, key: `${folder}/none.key` }
  const gw = await startGateway(t, {
    ingress: { tls: { listen: '127.0.0.1:0', ...wrong, certs: [gone, old] } },
  })
  const { problems, certificates } = await tls(gw)
  t.match(problems, [
    /^ingress\.tls\.key is ".*wrong\.key": it is not the key of .*wrong\.crt; name the key/,
    /^ingress\.tls\.certs\[0\]\.cert is ".*none\.crt": it does not exist; put it there/,
    /^ingress\.tls\.certs\[1\]\.cert is ".*old\.crt": it expired at .*; browsers refuse it/,
  ])
  t.equal(certificates.length, 1)
  t.equal((await gw.get('127.0.0.1')).status, 200)
})

t.test('a port that is taken is told, and HTTPS begins when it is free', async (t) => {
  const taken = await httpContainer(t, (_req, res) => res.end())
  const pair = writePair(scratchFolder(t), 'web', await webPair(ca, ['web.x']))
  const gw = await startGateway(t, { ingress: { tls: { listen: `${taken.ip}:${taken.port}`, ...pair } } })
  t.match((await tls(gw)).problems, [
    /cannot listen on .*: something else listens there: .* ingress\.tls\.listen/,
  ])
  t.equal((await gw.get('127.0.0.1')).status, 200)
  taken.server.close()
  await until(async () => (await tls(gw)).problems.length === 0)
})

t.test('WebSocket over TLS', async (t) => {
  const { port, echo } = await secureGateway(t)
  const server = new WebSocketServer({ server: echo.server })
  server.on('connection', (ws, req) => {
    ws.send(String(req.headers['x-forwarded-proto']))
    ws.on('message', (data) => ws.send(data))
  })
  const ws = new WebSocket(`wss://127.0.0.1:${port}/~web/`, { ca: ca.pem })
  t.equal(String((await once(ws, 'message'))[0]), 'https')
  const large = Buffer.alloc(2_000_000, 7)
  ws.send(large)
  t.ok(large.equals((await once(ws, 'message'))[0]))
  ws.close()
  await once(ws, 'close')
})

t.test('clients that never finish the handshake are closed, and others are served', async (t) => {
  const { gw, port } = await secureGateway(t)
  const stopped = await startGateway(t, {
    ingress: {
      headersTimeoutMs: 300,
      tls: (({ cert, key }) => ({ cert, key, listen: '127.0.0.1:0' }))(gw.conf.ingress.tls!.certificates[0]!),
    },
  })
  const silent = connectPlain((await tls(stopped)).port, '127.0.0.1')
  silent.on('error', () => {})
  await once(silent, 'close')
  const many = Array.from({ length: 300 }, () => connectPlain(port, '127.0.0.1').on('error', () => {}))
  let closed = 0
  for (const socket of many) socket.on('close', () => closed++)
  await until(() => closed >= 44)
  t.equal((await get(port, 'web.x')).status, 200, 'the oldest of this address makes room')
  for (const socket of many) socket.destroy()
  await until(async () => (await tls(gw)).connections === 0)
  t.equal((await get(port, 'web.x')).status, 200)
})

t.test('redirect: plain HTTP is sent to HTTPS, once that serves', async (t) => {
  const { gw, port } = await secureGateway(t, { redirect: true, hsts: 86_400 })
  const to = async (host: string, path: string, asked = {}) => {
    const { status, headers } = await gw.get(host, path, asked)
    return `${status} ${headers.location ?? ''}`.trim()
  }
  t.equal(await to('web.x', '/a?b=1'), `308 https://web.x:${port}/a?b=1`)
  t.equal(await to('web.x:8080', '/', { method: 'POST', body: 'x' }), `308 https://web.x:${port}/`)
  t.equal(await to('127.0.0.1', '/~web/'), `308 https://127.0.0.1:${port}/~web/`)
  t.equal(await to('web.x', '/.well-known/acme-challenge/x'), '200', 'a CA asks by plain HTTP')
  t.equal((await gw.get('web.x')).headers['strict-transport-security'], undefined)
  const secure = await get(port, 'web.x')
  t.equal(secure.status, 200)
  t.equal(secure.hsts, 'max-age=86400')
  t.equal((await get(port, 'web.x', '/', { host: 'none.x' })).hsts, 'max-age=86400', 'pages too')
  const ws = new WebSocket(`ws://127.0.0.1:${gw.port}/~web/`)
  t.match((await once(ws, 'error'))[0], { message: /308/ })
})

t.test('redirect: not behind a trusted proxy that ended TLS, nor without a certificate', async (t) => {
  const folder = scratchFolder(t)
  const pair = writePair(folder, 'web', await webPair(ca, ['web.x']))
  const echo = await httpContainer(t, (_req, res) => res.end())
  for (const [trustedProxies, key, expected] of [
    [['127.0.0.0/8'], pair.key, 200],
    [[], pair.key, 308],
    [[], '/none.key', 200],
  ] as const) {
    const tls = { listen: '127.0.0.1:0', redirect: true, cert: pair.cert, key }
    const gw = await startGateway(t, { ingress: { tls, trustedProxies } })
    await gw.register({ name: 'web', ...echo.at })
    for (const [name, value] of [
      ['x-forwarded-proto', 'https'],
      ['x-forwarded-proto', 'https, http'],
      ['x-forwarded-ssl', 'on'],
      ['forwarded', 'for="[fd00::1]:1"; proto="https"'],
    ] as const) {
      const { status } = await gw.get('web.x', '/', { headers: { [name]: value } })
      t.equal(status, expected, `${trustedProxies} ${key} ${name}: ${value}`)
    }
  }
})

t.test('plain HTTP on the port of HTTPS does no harm', async (t) => {
  const { port } = await secureGateway(t)
  const socket = connectPlain(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('GET / HTTP/1.1\r\nHost: web.x\r\n\r\n')
  await once(socket.resume(), 'close')
  t.equal((await get(port, 'web.x')).status, 200)
})
