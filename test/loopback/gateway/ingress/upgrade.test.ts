/** WebSocket and other upgrades through ingress. */

import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import { httpContainer, raw, scriptedContainer, until } from '../../../helpers/gateway/gateway-upstream.ts'

t.test('WebSocket: echo, binary, large messages, close codes', async (t) => {
  const gw = await startGateway(t)
  const web = await httpContainer(t, (_req, res) => res.end('plain'))
  const server = new WebSocketServer({ server: web.server })
  const closes: [number, string][] = []
  server.on('connection', (ws, req) => {
    t.equal(req.url, '/chat?x=1')
    t.equal(req.headers['x-forwarded-for'], '127.0.0.1')
    ws.on('message', (data, isBinary) => {
      if (String(data) === 'close me') ws.close(4001, 'as you wish')
      else ws.send(data, { binary: isBinary })
    })
    ws.on('close', (code, reason) => closes.push([code, String(reason)]))
  })
  await gw.register({ name: 'web', ...web.at })
  const url = `ws://127.0.0.1:${gw.port}/~web/chat?x=1`
  const ws = new WebSocket(url)
  await once(ws, 'open')
  ws.send('hello')
  t.equal(String((await once(ws, 'message'))[0]), 'hello')
  const large = Buffer.alloc(5_000_000, 7)
  ws.send(large)
  t.ok(large.equals((await once(ws, 'message'))[0]))
  ws.close(4000, 'bye')
  await once(ws, 'close')
  await until(() => closes.length === 1)
  t.same(closes, [[4000, 'bye']])
  const other = new WebSocket(url)
  await once(other, 'open')
  other.send('close me')
  const [code, reason] = await once(other, 'close')
  t.equal(code, 4001)
  t.equal(String(reason), 'as you wish')
})

const upgradeTo = (protocol: string, host = 'web.x'): string =>
  `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\n`

const SWITCH = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n'

t.test(
  'bytes right behind the 101 and the request are not lost; each direction ends by itself',
  async (t) => {
    const gw = await startGateway(t)
    const web = await scriptedContainer(t, [
      (s) => {
        let seen = ''
        s.on('data', (c) => {
          const before = seen
          seen += c
          if (!before.includes('\r\n\r\n') && seen.includes('\r\n\r\n')) s.write(`${SWITCH}early`)
        })
        s.on('end', () => s.end(`after your end: ${seen.split('\r\n\r\n')[1]}`))
      },
    ])
    await gw.register({ name: 'web', ...web.at })
    const text = await raw(gw.port, `${upgradeTo('raw')}head`, { end: true })
    t.match(text, /^HTTP\/1\.1 101 [\s\S]*\r\n\r\nearlyafter your end: head$/)
  },
)

t.test('a refused upgrade is passed on as the answer it is', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [
    (s) => s.once('data', () => s.write('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 4\r\n\r\nnope')),
  ])
  await gw.register({ name: 'web', ...web.at })
  t.match(await raw(gw.port, upgradeTo('raw')), /^HTTP\/1\.1 426 Upgrade Required[\s\S]*nope$/)
  t.match(web.received[0], /Connection: Upgrade\r\nUpgrade: raw\r\n/)
})

t.test(
  'an upgrade for an unknown name, and one that the container resets, are answered with pages',
  async (t) => {
    const gw = await startGateway(t)
    t.match(
      await raw(gw.port, upgradeTo('websocket', 'missing.x')),
      /^HTTP\/1\.1 404 [\s\S]*No container is called missing/,
    )
    const web = await scriptedContainer(t, [(s) => s.once('data', () => s.resetAndDestroy())])
    await gw.register({ name: 'web', ...web.at })
    t.match(await raw(gw.port, upgradeTo('websocket')), /^HTTP\/1\.1 502 [\s\S]*reason: reset/)
    t.equal(web.received.length, 1, 'an upgrade is never sent again')
  },
)

t.test('h2c is not passed on', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [
    (s) => s.once('data', () => s.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')),
  ])
  await gw.register({ name: 'web', ...web.at })
  const request =
    'GET / HTTP/1.1\r\nHost: web.x\r\nConnection: close, Upgrade, HTTP2-Settings\r\n' +
    'Upgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n'
  t.match(await raw(gw.port, request), /^HTTP\/1\.1 200 OK/)
  t.notMatch(web.received[0], /upgrade|http2-settings/i)
})

for (const side of ['client', 'container', 'registry'] as const) {
  t.test(`when the ${side} goes, so does the joined connection`, async (t) => {
    const gw = await startGateway(t)
    let inner: Socket | undefined
    const web = await scriptedContainer(t, [
      (s) => {
        inner = s
        s.once('data', () => s.write(SWITCH))
      },
    ])
    const { network, containerId, ifname } = await gw.register({ name: 'web', ...web.at })
    const outer = connect(gw.port, '127.0.0.1')
    outer.on('error', () => {})
    outer.write(upgradeTo('raw'))
    await once(outer, 'data')
    outer.resume()
    const closed = Promise.all([once(outer, 'close'), once(inner!, 'close')])
    if (side === 'client') outer.resetAndDestroy()
    if (side === 'container') inner!.resetAndDestroy()
    if (side === 'registry')
      await gw.api(`/v1/assignments/${network}/${containerId}/${ifname}`, { method: 'DELETE' })
    await closed
    t.pass('both ends closed')
  })
}

t.test('all that a client offers is passed on, in one line, but h2c', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [(s) => s.once('data', () => s.end(SWITCH))])
  await gw.register({ name: 'web', ...web.at })
  const offers = (lines: string): string => upgradeTo('raw').replace('Upgrade: raw\r\n', lines)
  for (const [lines, expected] of [
    ['Upgrade: raw\r\nUpgrade: websocket\r\n', 'raw, websocket'],
    ['Upgrade: raw, websocket\r\n', 'raw, websocket'],
    ['Upgrade: h2c\r\nUpgrade: raw\r\n', 'raw'],
    ['Upgrade: raw\r\nUpgrade: h2c\r\n', 'raw'],
  ] as const) {
    t.match(await raw(gw.port, offers(lines)), /^HTTP\/1\.1 101 /, lines)
    t.same(
      web.received
        .at(-1)!
        .match(/^upgrade: .*$/gim)
        ?.map((l) => l.trim()),
      [`Upgrade: ${expected}`],
    )
  }
})
