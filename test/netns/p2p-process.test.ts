/** The process of direct paths: how it begins, carries and ends, with two of them in namespaces. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  ATTEMPT,
  type Flow,
  introduce,
  type P2pNet,
  type P2pNetHost,
  p2pNet,
  promote,
  promotedPair,
  proven,
  SECRET,
} from '../helpers/cluster/p2p-net.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { routeMetrics } from '../helpers/kernel/route-metrics.ts'
import { heldTo } from '../helpers/nat/held-udp.ts'
import { keepsBound } from '../helpers/run/bound.ts'
import { Stalls } from '../helpers/run/stalls.ts'
import { urgent } from '../helpers/run/urgent.ts'
import { timeUntil, waitFor } from '../helpers/run/wait.ts'

/** A packet each 10 ms: a busy machine sends more than ten of them meanwhile. */
const FLOW_MS = 1_000

const lossless = ({ sent, answered }: Flow): boolean => sent > 10 && sent === answered

async function pair(t: Test): Promise<P2pNet & { a: P2pNetHost; b: P2pNetHost }> {
  const net = await promotedPair()
  t.teardown(() => net.close())
  return net
}

t.test('two hosts: proven, promoted, carrying, demoted', { skip: needsRoot }, async (t) => {
  const net = await p2pNet(2)
  t.teardown(() => net.close())
  const [a, b] = net.hosts as [P2pNetHost, P2pNetHost]
  await Promise.all([a.start(), b.start()])
  using stalls = new Stalls()
  const from = Date.now()
  introduce(a, b)
  const to = from + (await proven(a, b))
  heldTo(t, 'proven', { from, to }, stalls, 2_000)
  t.same(a.directRoutes(), [], 'no route before the promotion')
  await a.until('1,500 bytes', ({ mtu }) => mtu === 1_500, 2)
  const { message } = await a.message('observed')
  t.equal(message.address, '10.0.0.1:7443')

  const asked = a.heard.length
  a.order({ type: 'findAddresses', servers: ['10.0.0.2:7443', '10.0.0.9:7443'], everyMs: 25_000 })
  const answered = ({ mapped }: { mapped: readonly unknown[] }): boolean => mapped.length > 0
  t.match((await a.message('ownAddresses', asked, answered)).message, {
    hosts: ['10.0.0.1:7443'],
    mapped: [{ server: '10.0.0.2:7443', address: '10.0.0.1:7443' }],
  })

  await promote(a, b)
  t.match(a.directRoutes(), [{ dst: '10.100.2.0/24', dev: 'flatnet-p2p', prefsrc: '10.100.1.1' }])
  t.equal(a.exec('sysctl', '-n', 'net.ipv4.conf.flatnet-p2p.rp_filter').trim(), '2')
  t.ok(lossless(await a.flow(b, FLOW_MS)))
  t.ok(lossless(await a.flow(b, FLOW_MS, { bytes: 1_400 })))
  await a.until('counted', ({ txBytes, rxBytes }) => txBytes > 16_000 && rxBytes > 16_000, 2)

  const seen = a.heard.length
  a.order({ type: 'demote', hostId: 2, generation: 2, reason: 'slower' })
  await a.message('demoted', seen, ({ generation, reason }) => generation === 2 && reason === 'slower')
  t.same(a.directRoutes(), [])
  t.equal(b.directRoutes().length, 1, 'the other side follows by its own gateway')
  a.order({ type: 'promote', hostId: 2, attempt: ATTEMPT, generation: 1 })
  await a.message('notPromoted', seen, ({ reason }) => reason === 'an older generation')
})

t.test('a gateway that is gone or new leaves the path as it is', { skip: needsRoot }, async (t) => {
  const { a, b } = await pair(t)
  a.gateway.destroy()
  t.ok(lossless(await a.flow(b, FLOW_MS)))
  const seen = a.heard.length
  await a.connect()
  const { message } = await a.message('hello', seen)
  t.match(message, {
    hostId: 1,
    pid: a.pid,
    device: { ifname: 'flatnet-p2p' },
    udp: { port: 7443 },
    sessions: [{ hostId: 2, attempt: ATTEMPT, generation: 1, isPromoted: true, isProven: true }],
  })
  t.equal(message.features.cipher, 'aes-256-gcm')
  const first = a.gateway
  await a.connect()
  await waitFor(
    'the first connection is closed by the second',
    2_000,
    () => first.destroyed || first.readableEnded,
  )
  t.equal(b.directRoutes().length, 1)
})

t.test('a line that is none closes the connection, and says why', { skip: needsRoot }, async (t) => {
  const { a } = await pair(t)
  for (const line of ['{"type":"fly"}\n', 'x'.repeat(300_000), '\u0000\n', '[1,2]\n']) {
    const seen = a.heard.length
    const { gateway } = a
    gateway.write(line)
    await a.message('refused', seen)
    await waitFor('closed', 2_000, () => gateway.destroyed || gateway.readableEnded)
    await a.connect()
  }
  t.equal(a.directRoutes().length, 1, 'packets do not care')
})

t.test('a gateway that reads nothing stops no packet', { skip: needsRoot }, async (t) => {
  const { a, b } = await pair(t)
  a.gateway.pause()
  for (let i = 0; i < 20_000; i++) a.order({ type: 'hello', protocol: 1, version: 'x' })
  t.ok(lossless(await a.flow(b, 500)))
  t.ok(b.view(1)?.isProven)
  a.gateway.destroy()
  await a.connect()
  t.equal(a.directRoutes().length, 1)
})

t.test('SIGTERM: a goodbye, and everything is gone', { skip: needsRoot }, async (t) => {
  const { a, b } = await pair(t)
  const seen = b.heard.length
  using stalls = new Stalls()
  const from = Date.now()
  const to = from + (await a.kill('SIGTERM'))
  // Its sessions deliver what is on its way for 100 ms and two round trips, a second at most.
  heldTo(t, 'ended', { from, to }, stalls, 1_500)
  await b.message('demoted', seen, ({ reason }) => reason === 'peer said goodbye', 500)
  await b.message('ended', seen, ({ hostId, attempt }) => hostId === 1 && attempt === ATTEMPT, 500)
  t.notOk(a.hasDevice())
  t.same(a.directRoutes(), [])
  t.same(b.directRoutes(), [])
})

t.test('stop by the gateway is an orderly end', { skip: needsRoot }, async (t) => {
  const { a, b } = await pair(t)
  const seen = b.heard.length
  a.order({ type: 'stop', reason: 'upgrade' })
  await b.message('ended', seen, () => true, 1_000)
  await waitFor('the device is gone', 1_000, () => !a.hasDevice())
  await a.start()
  introduce(a, b)
  await proven(a, b)
})

t.test('kill -9: device and routes are gone within 50 ms', { skip: needsRoot }, async (t) => {
  const { a, b } = await pair(t)
  const resident = a.spawn('sleep', '300')
  const hasRoute = (): boolean => routeMetrics(resident.pid ?? 0, '10.100.2.0').includes(100)
  const again = async (): Promise<void> => {
    await a.start()
    introduce(a, b)
    await proven(a, b)
  }
  let times = 0
  await keepsBound(t, 'its routes are gone', 50, async () => {
    if (times++ > 0) {
      await again()
      await promote(a, b, 10 * times)
    }
    await waitFor('the direct route is seen', 5_000, hasRoute)
    const seen = b.heard.length
    urgent(a.pid)
    const since = performance.now()
    const killed = a.kill('SIGKILL')
    // What packets meet: the process itself is reaped later, when its memory is gone too.
    await timeUntil('no direct route is left', 1_000, () => !hasRoute())
    const ms = performance.now() - since
    await killed
    t.notOk(a.hasDevice())
    t.same(a.directRoutes(), [])
    await b.message('demoted', seen, ({ reason }) => reason === 'no answer', 3_000)
    return ms
  })
  await again()
})

t.test('a second process for the same host does not begin', { skip: needsRoot }, async (t) => {
  const { a } = await pair(t)
  const config = join(
    t.testdir({ 'flatnet.yaml': 'hostId: 1\napi: { socket: /nowhere/gateway.sock }\n' }),
    'flatnet.yaml',
  )
  const line = [process.execPath, 'bin/flatnet.ts', 'p2p', '--config', config]
  const done = spawnSync('ip', ['netns', 'exec', a.netns, ...line], { encoding: 'utf8' })
  t.equal(done.status, 1)
  t.match(done.stderr, /flatnet-p2p is in use/)
  t.equal(a.directRoutes().length, 1)
})

t.test('over IPv6', { skip: needsRoot }, async (t) => {
  const net = await p2pNet(2)
  t.teardown(() => net.close())
  const [a, b] = net.hosts as [P2pNetHost, P2pNetHost]
  for (const host of [a, b]) host.exec('ip', 'addr', 'add', `fd00::${host.hostId}/64`, 'dev', 'eth0', 'nodad')
  await Promise.all([a.start(), b.start()])
  introduce(a, b, { addressOf: ({ hostId }) => `[fd00::${hostId}]:7443` })
  await proven(a, b)
  await a.until('1,500 bytes', ({ mtu, address }) => mtu === 1_500 && address === '[fd00::2]:7443', 2)
  await promote(a, b)
  t.ok(lossless(await a.flow(b, FLOW_MS, { bytes: 1_400 })))
  const { message } = await a.message('observed')
  t.equal(message.address, '[fd00::1]:7443')
})

t.test('a host that p2p.hosts turns off, and an address of no use', { skip: needsRoot }, async (t) => {
  const net = await p2pNet(2)
  t.teardown(() => net.close())
  const [a, b] = net.hosts as [P2pNetHost, P2pNetHost]
  await Promise.all([a.start({ p2p: 'p2p: { hosts: { 9: off } }' }), b.start()])
  const session = { type: 'session', attempt: ATTEMPT, secret: SECRET, validUntil: 4e12 } as const
  a.order({ ...session, hostId: 9, candidates: [] })
  await a.message('ended', 0, ({ hostId, reason }) => hostId === 9 && /p2p\.hosts/.test(reason))
  a.order({ ...session, hostId: 3, candidates: [{ address: '999.1.1.1:1' }, { address: '[:]:7443' }] })
  introduce(a, b)
  await proven(a, b)
})
