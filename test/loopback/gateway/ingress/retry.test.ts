/** How often a request is tried, counted by scripted containers. */

import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { createServer, type Socket } from 'node:net'
import t from 'tap'
import { NO_CLUSTER } from '../../../../gateway/compose-base.ts'
import { DialError, dial } from '../../../../gateway/ingress/upstream/dial.ts'
import { startGateway } from '../../../helpers/gateway/gateway-fixture.ts'
import {
  deadContainer,
  httpContainer,
  scriptedContainer,
  until,
} from '../../../helpers/gateway/gateway-upstream.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const answer = (text: string) => (s: Socket) => s.on('data', () => s.write(text))
const resetOnRequest = (s: Socket) => s.once('data', () => s.resetAndDestroy())
const resetAtOnce = (s: Socket) => s.resetAndDestroy()
const half = (s: Socket) => s.once('data', () => s.write('HTTP/1.1 200 O', () => s.resetAndDestroy()))
const SENT = (text: string) => (text.match(/ HTTP\/1\.1\r\n/g) ?? []).length

const cases = [
  {
    name: 'GET, reset after the request: sent again once',
    method: 'GET',
    acts: [resetOnRequest, answer(OK)],
    status: 200,
    connects: 2,
  },
  {
    name: 'HEAD too',
    method: 'HEAD',
    acts: [resetOnRequest, answer('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n')],
    status: 200,
    connects: 2,
  },
  { name: 'GET, reset twice: given up', method: 'GET', acts: [resetOnRequest], status: 502, connects: 2 },
  {
    name: 'GET, reset after accept: sent again once',
    method: 'GET',
    acts: [resetAtOnce, answer(OK)],
    status: 200,
    connects: 2,
  },
  {
    name: 'GET, reset after the first response byte: not again',
    method: 'GET',
    acts: [half, answer(OK)],
    status: 502,
    connects: 1,
  },
  {
    name: 'GET with a body: not again',
    method: 'GET',
    body: 'x',
    acts: [resetOnRequest, answer(OK)],
    status: 502,
    connects: 1,
  },
  {
    name: 'POST, reset after the request: never again',
    method: 'POST',
    body: 'x',
    acts: [resetOnRequest, answer(OK)],
    status: 502,
    connects: 1,
  },
  {
    name: 'POST without body: never again',
    method: 'POST',
    acts: [resetOnRequest, answer(OK)],
    status: 502,
    connects: 1,
  },
  {
    name: 'PUT and DELETE: never again',
    method: 'DELETE',
    acts: [resetOnRequest, answer(OK)],
    status: 502,
    connects: 1,
  },
  {
    name: 'an answer that is no HTTP',
    method: 'GET',
    acts: [answer('SSH-2.0-OpenSSH\r\n')],
    status: 502,
    connects: 1,
  },
]

t.test('nothing listens: three tries, then 502 with a way out', async (t) => {
  const gw = await startGateway(t)
  const dead = await deadContainer()
  await gw.register({ name: 'web', ...dead.at })
  const post = await gw.get('web.x', '/', {
    method: 'POST',
    body: 'x',
    headers: { accept: 'application/json' },
  })
  t.equal(post.status, 502)
  t.match(post.json(), {
    code: 'refused',
    hint: /Nothing listens on port \d+ in the container.*FLATNET_PORT.*web-<port>/,
    hostId: 1,
    container: { name: 'web', path: { state: 'LOCAL', via: 'local' } },
  })
  const html = await gw.get('web.x', '/', { headers: { accept: 'text/html,*/*;q=0.8' } })
  t.match(html.headers['content-type'], /^text\/html/)
  t.match((await gw.api('/metrics')).body, /flatnet_ingress_retries_total\{phase="connect"\} 4/)
})

for (const tc of cases) {
  t.test(tc.name, async (t) => {
    const gw = await startGateway(t)
    const web = await scriptedContainer(t, tc.acts)
    await gw.register({ name: 'web', ...web.at })
    const got = await gw.get('web.x', '/', { method: tc.method, ...('body' in tc && { body: tc.body }) })
    t.equal(got.status, tc.status)
    t.equal(web.received.length, tc.connects)
    t.ok(web.received.every((text) => SENT(text) <= 1))
    if (got.status === 502) {
      t.match(got.body, 'gateway: host 1\n')
      t.match(
        got.body,
        /container: web at 127\.1\.[\d.:]+, host 1\npath: LOCAL \(own host\)\nreason: (?:reset|bad-response)/,
      )
    }
  })
}

// The first test mostly waits: the others run meanwhile.
t.jobs = 2

t.test('POST, reset right after accept: sent at most once, however reset and bytes race', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [resetAtOnce])
  await gw.register({ name: 'web', ...web.at })
  const got = await gw.get('web.x', '/', { method: 'POST', body: 'x' })
  t.equal(got.status, 502)
  t.ok(web.received.map(SENT).reduce((a, b) => a + b, 0) <= 1)
})

t.test('a POST goes out on a connection that served a moment ago', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [answer(OK)])
  await gw.register({ name: 'web', ...web.at })
  for (const method of ['GET', 'POST', 'POST', 'GET', 'DELETE'])
    t.equal((await gw.get('web.x', '/', { method })).status, 200)
  t.same(web.received.map(SENT), [5])
})

for (const [what, fields] of [
  ['ends it', 'Connection: close\r\n'],
  ['keeps it for no time', 'Keep-Alive: timeout=0\r\n'],
] as const) {
  t.test(`each request has its own connection when the server says that it ${what}`, async (t) => {
    const gw = await startGateway(t)
    const web = await scriptedContainer(t, [answer(OK.replace('\r\n', `\r\n${fields}`))])
    await gw.register({ name: 'web', ...web.at })
    for (const method of ['POST', 'POST', 'GET', 'GET']) await gw.get('web.x', '/', { method })
    t.same(web.received.map(SENT), [1, 1, 1, 1])
  })
}

t.test('HTTP/1.0 has no connections that serve again', async (t) => {
  const gw = await startGateway(t)
  const web = await scriptedContainer(t, [answer(OK.replace('HTTP/1.1', 'HTTP/1.0'))])
  await gw.register({ name: 'web', ...web.at })
  for (const method of ['POST', 'POST']) await gw.get('web.x', '/', { method })
  t.same(web.received.map(SENT), [1, 1])
})

t.test('a server that ended a connection unannounced gets each POST on a fresh one', async (t) => {
  const gw = await startGateway(t)
  let closed = 0
  const endAfterOne = (s: Socket) => {
    s.on('data', () => s.write(OK, () => s.end()))
    s.on('close', () => closed++)
  }
  const web = await scriptedContainer(t, [endAfterOne, answer(OK)])
  await gw.register({ name: 'web', ...web.at })
  t.equal((await gw.get('web.x', '/', { method: 'POST' })).status, 200)
  await until(() => closed === 1)
  for (const method of ['POST', 'POST', 'GET', 'GET']) await gw.get('web.x', '/', { method })
  t.same(web.received.map(SENT), [1, 1, 3], 'GETs still share one')
})

t.test('an idle connection that the container has closed costs a GET nothing', async (t) => {
  const gw = await startGateway(t)
  const closeAfterTwo = (s: Socket) => {
    let n = 0
    s.on('data', () => {
      if (n++ === 0) s.write(OK)
      else s.resetAndDestroy()
    })
  }
  const web = await scriptedContainer(t, [closeAfterTwo, answer(OK)])
  await gw.register({ name: 'web', ...web.at })
  t.equal((await gw.get('web.x')).status, 200)
  t.equal((await gw.get('web.x')).status, 200, 'second request met the reset and was sent again')
  t.equal(web.received.length, 2)
})

t.test('refused first, there on a later try: the POST goes through, once', async (t) => {
  const late = await deadContainer()
  const server = createServer()
  t.teardown(() => server.close())
  let retries = 0
  const socket = await dial({
    ip: late.ip,
    port: late.port,
    timeoutMs: 1000,
    allowHalfOpen: false,
    isWanted: () => true,
    method: () => ({ kind: 'kernel' }),
    streams: NO_CLUSTER.streams,
    onRetry() {
      if (retries++ === 0) server.listen(late.port, late.ip)
    },
  })
  socket.destroy()
  t.ok(retries >= 1 && retries <= 2, `${retries} retries`)
})

t.test('tries end when the container goes or the time is over', async (t) => {
  const dead = await deadContainer()
  let asked = 0
  const target = {
    ip: dead.ip,
    port: dead.port,
    timeoutMs: 1000,
    allowHalfOpen: false,
    method: () => ({ kind: 'kernel' }) as const,
    streams: NO_CLUSTER.streams,
    onRetry() {},
  }
  await t.rejects(dial({ ...target, isWanted: () => ++asked < 2 }), new DialError('gone'))
  t.equal(asked, 2, 'no third try')
  await t.rejects(dial({ ...target, isWanted: () => true }), new DialError('refused'))
})

t.test('no answer in time is 504 and names the bound', async (t) => {
  const gw = await startGateway(t, { ingress: { responseHeaderTimeoutMs: 100 } })
  const web = await scriptedContainer(t, [() => {}])
  await gw.register({ name: 'web', ...web.at })
  const got = await gw.get('web.x')
  t.equal(got.status, 504)
  t.match(got.body, /took too long[\s\S]*responseHeaderTimeoutMs[\s\S]*path: LOCAL/)
  t.equal(web.received.length, 1, 'not sent again')
})

t.test('a client that stops sending its body gets 408', async (t) => {
  const gw = await startGateway(t, { ingress: { responseHeaderTimeoutMs: 100 } })
  const web = await scriptedContainer(t, [() => {}])
  await gw.register({ name: 'web', ...web.at })
  const req = request({ port: gw.port, method: 'POST', headers: { host: 'web.x', 'content-length': 10 } })
  req.on('error', () => {})
  req.write('abc')
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  t.equal(res.statusCode, 408)
  req.destroy()
})

t.test('a withdrawn container loses its connections, idle and busy', async (t) => {
  const gw = await startGateway(t)
  const sockets = new Set<Socket>()
  const web = await httpContainer(t, (req, res) => {
    if (req.url === '/quick') res.end('ok')
    else res.write('started')
  })
  web.server.on('connection', (s) => {
    sockets.add(s)
    s.on('close', () => sockets.delete(s))
  })
  const assignment = await gw.register({ name: 'web', ...web.at })
  const busy = request({ port: gw.port, headers: { host: 'web.x' } }).end()
  const [res] = (await once(busy, 'response')) as [IncomingMessage]
  res.on('error', () => {})
  await gw.get('web.x', '/quick')
  t.equal(sockets.size, 2)
  const { network, containerId, ifname } = assignment
  await gw.api(`/v1/assignments/${network}/${containerId}/${ifname}`, { method: 'DELETE' })
  await until(() => sockets.size === 0, 'all connections closed')
  t.equal((await gw.get('web.x')).status, 404)
})
