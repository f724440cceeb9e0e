/** The gateway's life: start, what it missed, who else is there, the signal, and a death without one. */

import { once } from 'node:events'
import { chmod, mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request } from 'node:http'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { runGateway } from '../../../gateway/daemon.ts'
import { jsonBody, startGateway } from '../../helpers/gateway/gateway-fixture.ts'
import { spawnGateway } from '../../helpers/gateway/gateway-process.ts'
import { assignmentOf, testConf } from '../../helpers/gateway/gateway-samples.ts'
import { httpContainer, until } from '../../helpers/gateway/gateway-upstream.ts'
import { scratchFolder } from '../../helpers/run/scratch.ts'
import { testStore } from '../../helpers/store/gateway-store.ts'

t.test(
  'what was missed is there when the doors open, and what changes on disk follows at once',
  async (t) => {
    const folder = scratchFolder(t)
    const store = testStore(folder)
    const first = await store.lease('127.1.0.10', { name: 'first' })
    const stale = await store.lease('127.1.0.11', { bootId: 'another' })
    await store.write('flatnet', [first, stale])
    const gw = await startGateway(t, {}, {}, folder)
    const names = async (): Promise<string[]> =>
      (await gw.api('/v1/assignments')).json().map((a: { name: string }) => a.name)
    t.same(await names(), ['first'])
    await store.write('flatnet', [first, await store.lease('127.1.0.12', { name: 'second' })])
    await until(async () => (await names()).length === 2, 'a new lease is taken in')
    await store.write('late', [await store.lease('127.1.0.13', { name: 'third', network: 'late' })])
    await until(async () => (await names()).length === 3, 'a new network as well')
    await store.write('late', [await store.lease('127.1.0.14', { name: 'fourth', network: 'late' })])
    await until(async () => (await names()).includes('fourth'), 'and the changes in it')
    await rm(join(folder, 'data', 'ipam'), { recursive: true })
    await until(async () => (await names()).length === 0, 'the store is gone')
    await store.write('flatnet', [first])
    await until(async () => (await names()).length === 1, 'and back')
  },
)

t.test('a store that comes after the gateway is found', async (t) => {
  const folder = scratchFolder(t)
  const gw = await startGateway(t, {}, {}, folder)
  const store = testStore(folder)
  await store.write('flatnet', [await store.lease('127.1.0.10')])
  await until(async () => (await gw.api('/v1/assignments')).json().length === 1)
})

t.test('epoch rises with every start', async (t) => {
  const folder = scratchFolder(t)
  const epochs: number[] = []
  for (let i = 0; i < 3; i++) {
    const gw = await startGateway(t, {}, {}, folder)
    epochs.push((await gw.api('/v1/status')).json().epoch)
    await gw.stop()
  }
  t.ok(epochs[0]! < epochs[1]! && epochs[1]! < epochs[2]!, epochs.join())
  await writeFile(join(folder, 'data', 'gateway', 'epoch.json'), '{"epoch":')
  const gw = await startGateway(t, {}, {}, folder)
  t.ok((await gw.api('/v1/status')).json().epoch > 1_000_000_000, 'a torn file: the clock stands in')
})

t.test('what an older version left readable to all users is closed at the start', async (t) => {
  const folder = scratchFolder(t)
  const store = testStore(folder)
  await store.write('flatnet', [await store.lease('127.1.0.10', { name: 'first' })])
  const data = join(folder, 'data')
  for (const path of ['networks', 'gateway/peers'])
    await mkdir(join(data, path), { recursive: true, mode: 0o755 })
  for (const path of ['networks/flatnet.json', 'gateway/peers/2.json'])
    await writeFile(join(data, path), '{}', { mode: 0o644 })
  await chmod(join(data, 'ipam'), 0o755)
  const gw = await startGateway(t, {}, {}, folder)
  for (const path of ['ipam', 'networks', 'gateway', 'gateway/peers'])
    t.equal((await stat(join(data, path))).mode & 0o777, 0o700, path)
  for (const path of ['networks/flatnet.json', 'gateway/epoch.json', 'gateway/peers/2.json'])
    t.equal((await stat(join(data, path))).mode & 0o777, 0o600, path)
  t.equal((await gw.api('/v1/assignments')).json().length, 1, 'the gateway reads its leases')
})

t.test('the socket: modes, a second gateway, a left-over, a plain file', async (t) => {
  const folder = scratchFolder(t)
  const socket = join(folder, 'run', 'gateway.sock')
  const gw = await startGateway(t, { api: { socket } }, {}, folder)
  t.equal((await stat(socket)).mode & 0o777, 0o660)
  t.equal((await stat(join(folder, 'run'))).mode & 0o777, 0o750)
  const signal = new AbortController().signal
  const second = runGateway(testConf(folder, { api: { socket } }), { signal, log: silent })
  await t.rejects(second, {
    code: 'ERR_FLATNET_IO',
    message: /another gateway listens on .*gateway\.sock: stop it/,
  })
  t.equal((await gw.api('/healthz')).status, 200, 'the first goes on')
  await gw.stop()
  await t.rejects(stat(socket), { code: 'ENOENT' }, 'unlinked')
  await writeFile(socket, 'precious')
  await t.rejects(runGateway(testConf(folder, { api: { socket } }), { signal, log: silent }), {
    code: 'ERR_FLATNET_IO',
    message: /cannot use .* as the gateway's socket/,
  })
  await t.resolves(stat(socket), 'a file that is not ours is not touched')
})

const silent = { debug() {}, info() {}, warn() {}, error() {} }

t.test('a socket that was deleted or taken over', async (t) => {
  const folder = scratchFolder(t)
  const gw = await startGateway(t, { reconcileMs: 100 }, {}, folder)
  await rm(gw.socket)
  await until(async () => (await gw.api('/healthz').catch(() => undefined))?.status === 200, 'made again')
  await rm(gw.socket)
  const other = createServer((s) => s.end())
  t.teardown(() => other.close())
  other.listen(gw.socket)
  await once(other, 'listening')
  await until(() => gw.logged.some((l) => l.event === 'api socket was lost'))
  await gw.stop()
  await t.resolves(stat(gw.socket), "another program's socket is left alone")
})

t.test('ingress port taken: the message names it and the way out, and nothing stays behind', async (t) => {
  const folder = scratchFolder(t)
  const taken = createServer()
  taken.listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const { port } = taken.address() as { port: number }
  const conf = testConf(folder, { ingress: { listen: `127.0.0.1:${port}` } })
  await t.rejects(runGateway(conf, { signal: new AbortController().signal, log: silent }), {
    code: 'ERR_FLATNET_IO',
    message: `cannot listen on 127.0.0.1:${port}: something else listens there: stop it, or set ingress.listen to another port`,
  })
  await t.rejects(stat(conf.api.socket), { code: 'ENOENT' })
})

t.test('ingress can be switched off', async (t) => {
  const gw = await startGateway(t, { ingress: { enabled: false } })
  t.equal((await gw.api('/v1/status')).json().ingress, null)
})

t.test('a signal before the start stops it before it listens', async (t) => {
  const conf = testConf(scratchFolder(t))
  await runGateway(conf, { signal: AbortSignal.abort(), log: silent })
  await t.rejects(stat(conf.api.socket), { code: 'ENOENT' })
})

/** Not `once`, which an error before the close rejects. */
const closed = (emitter: { once(event: 'close', listener: () => void): unknown }): Promise<void> =>
  new Promise((resolve) => emitter.once('close', resolve))

t.test('stopping: requests in flight end, what has no end is cut, the bound holds', async (t) => {
  const gw = await startGateway(t, { ingress: { drainMs: 3000 } })
  const finish: (() => void)[] = []
  const web = await httpContainer(t, (req, res) => {
    if (req.url === '/events') res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    else {
      res.write('begun')
      finish.push(() => res.end('done'))
    }
  })
  new WebSocketServer({ server: web.server })
  await gw.register({ name: 'web', ...web.at })
  const open = async (path: string): Promise<IncomingMessage> => {
    const req = request({ port: gw.port, path, headers: { host: 'web.x' } }).end()
    const [res] = (await once(req, 'response')) as [IncomingMessage]
    return res.on('error', () => {})
  }
  const slow = await open('/slow')
  const events = await open('/events')
  const ws = new WebSocket(`ws://127.0.0.1:${gw.port}/~web/`)
  await once(ws, 'open')
  const idle = connect(gw.port, '127.0.0.1')
  await once(idle, 'connect')
  events.resume()
  idle.resume()
  const cut = Promise.all([events, ws, idle].map(closed))
  const startedAt = performance.now()
  const stopped = gw.stop()
  await cut
  const refused = connect(gw.port, '127.0.0.1')
  t.match(await once(refused, 'error'), [{ code: 'ECONNREFUSED' }])
  let text = ''
  slow.on('data', (c) => {
    text += c
  })
  for (const end of finish) end()
  await once(slow, 'end')
  t.equal(text, 'begundone')
  await stopped
  t.ok(performance.now() - startedAt < 2500, 'not the whole bound')
})

t.test('stopping does not wait for ever', async (t) => {
  const gw = await startGateway(t, { ingress: { drainMs: 100 } })
  const web = await httpContainer(t, (_req, res) => {
    res.write('begun')
  })
  await gw.register({ name: 'web', ...web.at })
  const req = request({ port: gw.port, headers: { host: 'web.x' } }).end()
  const [res] = (await once(req, 'response')) as [IncomingMessage]
  const broken = once(res.resume(), 'error')
  await gw.stop()
  t.match(await broken, [{ code: 'ECONNRESET' }])
})

t.test(
  'as a process: SIGTERM ends it with 0, SIGKILL leaves a socket that the next one replaces',
  async (t) => {
    const folder = scratchFolder(t)
    const store = testStore(folder)
    const gw = await spawnGateway(t, folder)
    const posted = assignmentOf({ name: 'posted' })
    await gw.api('/v1/assignments', { method: 'POST', ...jsonBody(posted) })
    t.equal(await gw.end('SIGKILL'), 'SIGKILL')
    await t.resolves(stat(gw.socket))
    await mkdir(join(folder, 'data', 'ipam'), { recursive: true })
    await store.write('flatnet', [await store.lease('127.1.0.10', { name: 'missed' })])
    const again = await spawnGateway(t, folder)
    t.match((await again.api('/v1/assignments')).json(), [{ name: 'missed' }])
    t.equal(await again.end('SIGTERM'), 0)
    await t.rejects(stat(gw.socket), { code: 'ENOENT' })
    for (const line of again.output().trim().split('\n')) {
      t.match(JSON.parse(line), { level: String, time: /^\d{4}-.*Z$/, msg: String })
    }
  },
)
