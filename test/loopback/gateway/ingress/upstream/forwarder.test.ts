/** Ingress through a peer's gateway, without a tunnel: two gateways and their real link. */

import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { request, type ServerResponse } from 'node:http'
import { connect, type Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { type Log, silentLog } from '../../../../../core/log.ts'
import { Forwarder } from '../../../../../gateway/ingress/upstream/forwarder.ts'
import { TCP } from '../../../../../gateway/ingress/upstream/stream-dial.ts'
import { StreamError } from '../../../../../gateway/links/streams/stream-frame.ts'
import { Slices } from '../../../../../gateway/registry/slices.ts'
import { gatewayPair, NO_TUN, passOn } from '../../../../helpers/gateway/gateway-pair.ts'
import { assignmentOf } from '../../../../helpers/gateway/gateway-samples.ts'
import {
  deadContainer,
  httpContainer,
  raw,
  scriptedContainer,
  until,
} from '../../../../helpers/gateway/gateway-upstream.ts'

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

// The first test mostly waits: the others run meanwhile.
t.jobs = 2

t.test('without any way the answer comes at once and says why', async (t) => {
  const pair = await gatewayPair(t)
  const web = await httpContainer(t, (_req, res) => res.end())
  pair.register({ name: 'web', ...web.at })
  pair.path({ quarantine: 'two machines' })
  const start = performance.now()
  const got = await pair.get('web.x')
  t.ok(performance.now() - start < 500, 'well under a second')
  t.equal(got.status, 503)
  t.match(got.body, /host 1 is out of reach: two machines/)
  t.match(got.body, /path: QUARANTINED \(two machines/)
  t.match(got.body, /reason: unreachable/)
  const down = { state: 'down', forMs: 0, rttMs: undefined, hasData: false } as const
  pair.path({ link: { ...down, reason: 'closed', hasStopped: true } })
  const again = setTimeout(() => pair.path({}), 1_800)
  t.match(await pair.get('web.x'), { status: 200 }, 'a gateway that starts anew is waited for')
  clearTimeout(again)
})

t.test('GET and POST come through, and connections serve again', async (t) => {
  const pair = await gatewayPair(t)
  const seen: string[] = []
  const web = await httpContainer(t, (req, res) => {
    seen.push(`${req.method} ${req.url} ${req.headers['x-flatnet-via']}`)
    req.pipe(res)
  })
  const errors: Error[] = []
  const open = new Set<Socket>()
  web.server.on('connection', (socket) => {
    open.add(socket.on('error', (err) => errors.push(err)))
    socket.on('close', () => open.delete(socket))
  })
  pair.register({ name: 'web', ...web.at })
  t.match(await pair.get('web.x', '/a'), { status: 200, body: '' })
  t.match(await pair.get('web.x', '/b'), { status: 200 })
  t.equal(pair.forwarded('joined'), 1, 'the second GET went over the first connection')
  t.match(await pair.get('web.x', '/c', { method: 'POST', body: 'hello' }), { status: 200, body: 'hello' })
  t.match(await pair.get('web.x', '/d', { method: 'POST', body: 'hello' }), { status: 200, body: 'hello' })
  t.equal(pair.forwarded('joined'), 3, 'each POST has one of its own')
  t.same(seen, ['GET /a 2', 'GET /b 2', 'POST /c 2', 'POST /d 2'])
  pair.near.parts.pool.close()
  await until(() => open.size === 0 && pair.far.links.streams.count === 0, 'all is closed')
  t.same(errors, [], 'no connection was reset')
})

async function chunkedPost(port: number, host: string, body: Buffer): Promise<Buffer> {
  const req = request({ port, method: 'POST', headers: { host }, agent: false })
  req.write(body.subarray(0, 1_000))
  req.end(body.subarray(1_000))
  const [res] = await once(req, 'response')
  return buffer(res)
}

t.test('when packets get there again, no connection is left on the old way', async (t) => {
  const pair = await gatewayPair(t)
  const web = await httpContainer(t, (_req, res) => res.end('here'))
  pair.register({ name: 'web', ...web.at })
  t.equal((await pair.get('web.x')).body, 'here')
  t.equal((await pair.get('web.x', '/', { headers: { te: 'trailers' } })).body, 'here')
  t.equal(pair.far.links.streams.count, 2, 'both kinds of connections are idle')
  pair.path({ noTunnel: undefined })
  await until(() => pair.far.links.streams.count === 0, 'its stream is gone')
})

t.test('bodies of 1 and 8 MiB both ways, known length and chunked', async (t) => {
  const pair = await gatewayPair(t)
  const web = await httpContainer(t, (req, res) => req.pipe(res))
  pair.register({ name: 'web', ...web.at })
  for (const mib of [1, 8]) {
    const body = Buffer.from(randomBytes(mib * 512 * 1024).toString('hex'))
    const got = await pair.get('web.x', '/', { method: 'POST', body })
    t.equal(digest(Buffer.from(got.body)), digest(body), `${mib} MiB`)
    const chunked = await chunkedPost(pair.port, 'web.x', body)
    t.equal(digest(chunked), digest(body), `${mib} MiB, chunked`)
  }
})

t.test('WebSocket', async (t) => {
  const pair = await gatewayPair(t)
  const web = await httpContainer(t, (_req, res) => res.end('plain'))
  const server = new WebSocketServer({ server: web.server })
  server.on('connection', (ws) => ws.on('message', (data) => ws.send(data)))
  pair.register({ name: 'web', ...web.at })
  const ws = new WebSocket(`ws://127.0.0.1:${pair.port}/~web/chat`)
  await once(ws, 'open')
  const large = randomBytes(3_000_000)
  ws.send(large)
  t.ok(large.equals((await once(ws, 'message'))[0]))
  ws.close(4000, 'bye')
  t.equal((await once(ws, 'close'))[0], 4000)
  t.equal(pair.forwarded('joined'), 1)
})

t.test('each direction of an upgraded connection ends by itself', async (t) => {
  const pair = await gatewayPair(t)
  const web = await scriptedContainer(t, [
    (s) => {
      let seen = ''
      s.on('data', (c) => {
        const before = seen
        seen += c
        if (!before.includes('\r\n\r\n') && seen.includes('\r\n\r\n'))
          s.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nearly ')
        if (seen.endsWith('that is all')) s.end('and late')
      })
    },
  ])
  pair.register({ name: 'web', ...web.at })
  const text = await raw(
    pair.port,
    'GET / HTTP/1.1\r\nHost: web.x\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\nthat is all',
    { end: true },
  )
  t.match(text, /\r\n\r\nearly and late$/)
})

t.test('failures at the other gateway are reported as if met here', async (t) => {
  const pair = await gatewayPair(t)
  const dead = await deadContainer()
  pair.register({ name: 'dead', ...dead.at })
  const refused = await pair.get('dead.x', '/', { headers: { accept: 'application/json' } })
  t.equal(refused.status, 502)
  t.match(refused.json(), {
    code: 'refused',
    hostId: 2,
    detail: 'by the gateway of host 1: refused',
    container: { hostId: 1, path: { state: 'GATEWAY_ONLY', via: 'gateway', reason: new RegExp(NO_TUN) } },
  })
  t.equal(pair.forwarded('refused'), 3, 'three tries')
  const web = await httpContainer(t, (_req, res) => res.end())
  const assignment = pair.register({ name: 'web', ...web.at })
  pair.withdraw(assignment)
  const start = performance.now()
  const gone = await pair.get('web.x', '/', { method: 'POST', body: 'x' })
  t.match(gone, { status: 503, body: /has just gone/ })
  t.ok(performance.now() - start < 900, 'at once')
})

t.test('a POST is sent once, whatever happens after', async (t) => {
  const pair = await gatewayPair(t)
  const web = await scriptedContainer(t, [(s) => s.once('data', () => s.resetAndDestroy())])
  pair.register({ name: 'web', ...web.at })
  const got = await pair.get('web.x', '/', { method: 'POST', body: 'x' })
  t.match(got, { status: 502, body: /closed the connection without an answer/ })
  t.equal(web.received.length, 1)
})

t.test('an answer that is broken off does not look whole', async (t) => {
  const pair = await gatewayPair(t)
  const web = await scriptedContainer(t, [
    (s) =>
      s.once('data', () => {
        s.write('HTTP/1.1 200 OK\r\n\r\nthe first half', () => setTimeout(() => s.resetAndDestroy(), 50))
      }),
  ])
  pair.register({ name: 'web', ...web.at })
  const text = await raw(pair.port, 'GET / HTTP/1.1\r\nHost: web.x\r\n\r\n')
  t.match(text, /the first half/)
  t.notMatch(text, /\r\n0\r\n\r\n$/, 'the last chunk never came')
})

t.test('a container that is withdrawn takes its connections with it', async (t) => {
  const pair = await gatewayPair(t)
  const web = await scriptedContainer(t, [
    (s) => s.once('data', () => s.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf')),
  ])
  const assignment = pair.register({ name: 'web', ...web.at })
  const client = connect(pair.port, '127.0.0.1')
  t.teardown(() => client.destroy())
  let text = ''
  client.on('data', (chunk) => {
    text += chunk
  })
  client.write('GET / HTTP/1.1\r\nHost: web.x\r\n\r\n')
  await until(() => text.endsWith('half'))
  pair.withdraw(assignment)
  await until(() => client.closed, 'the client hears of it')
  await until(() => pair.far.links.streams.count === 0, 'its stream is gone')
})

t.test('a peer gets to registered containers of the host that it asks, and to nothing else', async (t) => {
  const pair = await gatewayPair(t)
  const open = (head: Record<string, unknown>): Promise<unknown> =>
    pair.near.links.streams.open(1, { purpose: TCP, timeoutMs: 500, ...head }, { timeoutMs: 5_000 })
  const cases: readonly (readonly [string, Record<string, unknown>, string])[] = [
    ['the host itself', { ip: '127.0.0.1', port: pair.far.links.port }, 'forbidden'],
    ['the world', { ip: '192.0.2.1', port: 80 }, 'forbidden'],
    ['a third host', { ip: '127.3.0.9', port: 80 }, 'forbidden'],
    ['an address without a container', { ip: '127.1.0.9', port: 80 }, 'gone'],
    ['no address', { ip: 'localhost', port: 80 }, 'bad-request'],
    ['no port', { ip: '127.1.0.9', port: 0 }, 'bad-request'],
    ['nothing', {}, 'bad-request'],
  ]
  // Another host's container is known here, and still not dialled for a peer.
  const third = assignmentOf({ hostId: 3, ips: ['127.3.0.9/16'] })
  pair.far.parts.registry.replace(3, { epoch: 1, seq: 1 }, [third])
  for (const [name, head, reason] of cases) {
    await t.rejects(open(head), new StreamError(reason, true), name)
  }
  const web = await httpContainer(t, (_req, res) => res.end())
  pair.register({ name: 'web', ...web.at })
  pair.far.parts.paths.update({ ownHostId: 1, hostId: 2, quarantine: 'two machines' })
  await t.rejects(open({ ip: web.ip, port: web.port }), new StreamError('forbidden', true), 'in quarantine')
})

t.test('a peer that asks again and again does not fill the log', async (t) => {
  const { parts } = (await gatewayPair(t)).far
  const said: string[] = []
  const log: Log = { ...silentLog, warn: (_, event) => said.push(event) }
  const forwarder = new Forwarder({ ...parts, slices: new Slices({ base: 0, prefixLen: 8 }, 16), log })
  const refused: string[] = []
  const offer = {
    hostId: 2,
    head: { purpose: TCP },
    accept: () => t.fail() as never,
    refuse: (reason: string) => void refused.push(reason),
  }
  for (let n = 0; n < 100; n++) await forwarder.accept(offer)
  t.equal(refused.length, 100)
  t.same(said, ['stream of a peer refused'])
})

t.test('a container that sends requests back to the gateway gets 508', async (t) => {
  const pair = await gatewayPair(t)
  const proxy = await httpContainer(t, (req, res) => {
    void passOn({ port: pair.port, host: 'proxy.x' }, req.headers).then((status) => res.end(`saw ${status}`))
  })
  pair.register({ name: 'proxy', ...proxy.at })
  t.match(await pair.get('proxy.x'), { status: 200, body: 'saw 508' })
})

t.test(
  'a gateway that stops: answers under way come, nothing new begins, and idle connections hold up nothing',
  async (t) => {
    const pair = await gatewayPair(t)
    const waiting: ServerResponse[] = []
    const web = await httpContainer(t, (req, res) => {
      if (req.url === '/slow') waiting.push(res)
      else res.end('here')
    })
    pair.register({ name: 'web', ...web.at })
    await pair.get('web.x')
    const slow = pair.get('web.x', '/slow', { method: 'POST', body: 'x' })
    await until(() => waiting.length === 1, 'it is asked')
    const from = performance.now()
    let isDone = false
    const done = pair.far.parts.drainTransit().then(() => {
      isDone = true
    })
    t.match(await pair.get('web.x', '/', { method: 'POST', body: 'x' }), { status: 503 })
    await until(() => performance.now() - from > 1_200, 'longer than idle ones are waited for')
    t.notOk(isDone, 'a client waits for its answer')
    waiting[0]?.end('late')
    t.match(await slow, { status: 200, body: 'late' })
    await done
    t.ok(performance.now() - from < 4_000)
  },
)

t.test('a gateway that stops waits for no answer beyond its bound', async (t) => {
  const pair = await gatewayPair(t, { drainMs: 300 })
  const waiting: ServerResponse[] = []
  const web = await httpContainer(t, (_req, res) => void waiting.push(res))
  pair.register({ name: 'web', ...web.at })
  const slow = pair.get('web.x', '/slow', { method: 'POST', body: 'x' })
  await until(() => waiting.length === 1, 'it is asked')
  const from = performance.now()
  await pair.far.parts.drainTransit()
  const took = performance.now() - from
  t.ok(took >= 250 && took < 1_000, `${took}`)
  waiting[0]?.end()
  await slow
})
