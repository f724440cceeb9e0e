/** Forwarded fields: kept and extended from trusted proxies, dropped from every other client. */

import t from 'tap'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer } from '../../../helpers/gateway/gateway-upstream.ts'

const sent = {
  'x-forwarded-for': '192.0.2.1',
  'x-forwarded-proto': 'https',
  'x-forwarded-host': 'shop.example',
  'x-forwarded-ssl': 'on',
  'x-real-ip': '192.0.2.1',
  forwarded: 'for=192.0.2.1;proto=https',
}

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
      if (trustedProxies.length === 2) t.match(got, { ...sent, 'x-forwarded-for': '192.0.2.1, 127.0.0.1' })
      else {
        t.match(got, { 'x-forwarded-for': /^127\.0\.0\.1$/, 'x-forwarded-proto': 'http' })
        t.equal(got['x-forwarded-host'], 'web.x')
        for (const name of ['x-forwarded-ssl', 'x-real-ip', 'forwarded']) t.notOk(name in got, name)
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
