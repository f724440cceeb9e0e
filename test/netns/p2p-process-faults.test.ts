/** What people, kernels and networks do to direct paths, and how soon packets go by the gateway path or on. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  ATTEMPT,
  introduce,
  type P2pNet,
  type P2pNetHost,
  p2pNet,
  promote,
  promotedPair,
  proven,
} from '../helpers/cluster/p2p-net.ts'
import { needsRoot, run } from '../helpers/kernel/netns.ts'
import { heldTo } from '../helpers/nat/held-udp.ts'
import { keepsBound } from '../helpers/run/bound.ts'
import { Stalls } from '../helpers/run/stalls.ts'
import { waitFor } from '../helpers/run/wait.ts'

const FLOOD = join(import.meta.dirname, '../helpers/cluster/udp-flood.ts')

async function pair(t: Test, options = {}): Promise<P2pNet & { a: P2pNetHost; b: P2pNetHost }> {
  const net = await promotedPair(options)
  t.teardown(() => net.close())
  return net
}

/** @param rule of nftables, for what comes to the host */
function nft(host: P2pNetHost, rule: string): void {
  const chain = 'chain input { type filter hook input priority 0; policy accept; }'
  run('ip', [
    'netns',
    'exec',
    host.netns,
    'nft',
    `add table inet t; ${chain.replace('chain', 'add chain inet t')}`,
  ])
  run('ip', ['netns', 'exec', host.netns, 'nft', `add rule inet t input ${rule}`])
}
const heal = (host: P2pNetHost): void =>
  void spawnSync('ip', ['netns', 'exec', host.netns, 'nft', 'flush ruleset'])

/** Waits until both have taken their route away. @returns after how many ms since `since` the later one did */
async function demoted(
  hosts: readonly P2pNetHost[],
  seen: readonly number[],
  since: number,
): Promise<number> {
  const all = await Promise.all(hosts.map((host, i) => host.message('demoted', seen[i], () => true, 5_000)))
  return Math.max(...all.map(({ at }) => at)) - since
}

/** Drops UDP where it comes to these hosts, and heals it, as often as a bound is measured anew. */
function dropping(
  { a, b }: { a: P2pNetHost; b: P2pNetHost },
  traffic: () => Promise<{ flow?: Promise<unknown> }>,
) {
  let times = 0
  return async (at: readonly P2pNetHost[]): Promise<number> => {
    if (times++ > 0) await promote(a, b, 10 * times)
    const { flow } = await traffic()
    const seen = [a.heard.length, b.heard.length]
    for (const host of at) nft(host, 'udp dport 7443 drop')
    const ms = await demoted([a, b], seen, performance.now())
    const left = [a.directRoutes(), b.directRoutes()].flat()
    await flow
    for (const host of at) heal(host)
    await proven(a, b, 8_000)
    if (left.length > 0) throw new Error(`routes are left: ${JSON.stringify(left)}`)
    return ms
  }
}

t.test('UDP is dropped', { skip: needsRoot }, async (t) => {
  const { a, b } = await pair(t)
  const dropped = dropping({ a, b }, async () => {
    const flow = a.flow(b, 3_000)
    await waitFor('traffic', 3_000, () => (a.view(2)?.txBps ?? 0) > 0)
    return { flow }
  })
  await keepsBound(t, 'both ways under traffic: both routes are gone', 600, () => dropped([a, b]))
  await keepsBound(t, 'one way under traffic: both routes are gone', 1_000, () => dropped([b]))
})

t.test('UDP is dropped on an idle path: within 2 s', { skip: needsRoot }, async (t) => {
  const { a, b } = await pair(t)
  const dropped = dropping({ a, b }, async () => {
    // A second without a packet is as idle as it gets for this: probes go every 250 ms to 1 s.
    await a.until('all probes sent', ({ probes }) => probes.window === 40, 2, 15_000)
    return {}
  })
  await keepsBound(t, 'both routes are gone', 2_000, () => dropped([a, b]))
})

t.test('the gateway path is down as well: the route stays', { skip: needsRoot }, async (t) => {
  const { a } = await pair(t)
  a.order({ type: 'gatewayPath', hostId: 2, isUp: false })
  const seen = a.heard.length
  nft(a, 'udp dport 7443 drop')
  await a.until('in doubt', ({ isProven, suspect, isPromoted }) => !isProven && suspect && isPromoted, 2)
  t.equal(a.directRoutes().length, 1)
  a.order({ type: 'gatewayPath', hostId: 2, isUp: true })
  await a.message('demoted', seen, ({ reason }) => reason === 'no answer', 500)
  t.same(a.directRoutes(), [])
})

t.test('the device is deleted by hand', { skip: needsRoot }, async (t) => {
  const { a, b } = await pair(t)
  const seen = a.heard.length
  using stalls = new Stalls()
  const from = Date.now()
  a.exec('ip', 'link', 'del', 'flatnet-p2p')
  await a.message('demoted', seen, ({ reason }) => reason === 'device lost', 1_000)
  await a.message('device', seen, ({ problem }) => problem === undefined, 2_000)
  heldTo(t, 'there again', { from, to: Date.now() }, stalls, 2_000)
  t.ok(a.hasDevice())
  t.match(a.exec('ip', 'addr', 'show', 'dev', 'flatnet-p2p'), /inet 10\.100\.1\.1\/32/)
  t.same(a.directRoutes(), [], 'no route before the promotion')
  a.order({ type: 'promote', hostId: 2, attempt: ATTEMPT, generation: 5 })
  await a.message('promoted', seen)
  const { answered } = await a.flow(b, 2_000)
  t.ok(answered > 20, `${answered} packets came back over the new one`)
})

t.test('routes are flushed, or the device set down, by hand', { skip: needsRoot }, async (t) => {
  const { a, b } = await pair(t)
  using stalls = new Stalls()
  const put = async (what: string): Promise<void> => {
    const from = Date.now()
    await waitFor(`the route is back, ${what}`, 5_000, () => a.directRoutes().length === 1)
    heldTo(t, `${what}: back`, { from, to: Date.now() }, stalls, 5_000)
  }
  a.exec('ip', 'route', 'flush', 'dev', 'flatnet-p2p')
  await put('flushed')
  a.exec('ip', 'link', 'set', 'flatnet-p2p', 'down')
  await put('set down')
  a.exec('ip', 'addr', 'flush', 'dev', 'flatnet-p2p')
  await put('address flushed')
  const { sent, answered } = await a.flow(b, 300)
  t.equal(answered, sent)
  t.notOk(a.heard.some(({ message }) => message.type === 'demoted'))
})

t.test('the UDP port is taken', { skip: needsRoot }, async (t) => {
  const net = await p2pNet(2)
  t.teardown(() => net.close())
  const [a, b] = net.hosts as [P2pNetHost, P2pNetHost]
  const holder = a.spawn(
    'node',
    '-e',
    "require('dgram').createSocket('udp6').bind(7443,()=>console.log('up'))",
  )
  await new Promise((resolve) => holder.stdout?.once('data', resolve))
  await Promise.all([a.start(), b.start()])
  const { message } = await a.message('hello')
  t.match(message.udp, { port: 7443, problem: /in use/ })
  introduce(a, b)
  await a.message('ended', 0, ({ reason }) => /in use/.test(reason))
  const seen = a.heard.length
  holder.kill('SIGKILL')
  await a.message('udp', seen, ({ problem }) => problem === undefined, 8_000)
  introduce(a, b)
  await proven(a, b)
})

t.test('65,000 datagrams of garbage a second from outside', { skip: needsRoot }, async (t) => {
  const net = await p2pNet(3)
  t.teardown(() => net.close())
  const [a, b, c] = net.hosts as [P2pNetHost, P2pNetHost, P2pNetHost]
  await Promise.all([a.start(), b.start()])
  introduce(a, b)
  await proven(a, b)
  await promote(a, b)
  const node = [process.execPath, '--disable-warning=ExperimentalWarning', FLOOD]
  const flood = c.spawn(...(node as [string, ...string[]]), '10.0.0.1:7443', '65000', '3000')
  let told = ''
  flood.stdout?.on('data', (chunk) => {
    told += chunk
  })
  const closed = new Promise((resolve) => flood.once('close', resolve))
  const { sent, answered, longestMs } = await a.flow(b, 2_500)
  await closed
  t.comment(`flood: ${told.trim()}; flow: ${answered} of ${sent}, longest pause ${longestMs} ms`)
  t.ok(JSON.parse(told).sent > 150_000, 'the flood was one')
  t.notOk(
    a.heard.some(({ message }) => message.type === 'demoted'),
    'the path stays',
  )
  t.ok(answered >= 0.9 * sent, `${answered} of ${sent} packets`)
  t.ok(a.view(2)?.isProven)
})

t.test('the underlay address of a host changes', { skip: needsRoot }, async (t) => {
  const { a, b } = await pair(t)
  const seen = b.heard.length
  b.exec('ip', 'addr', 'del', '10.0.0.2/24', 'dev', 'eth0')
  await b.message('networkChanged', seen, ({ what }) => what.includes('addresses'), 1_000)
  await b.message('demoted', seen, ({ reason }) => reason === 'unreachable', 1_000)
  b.exec('ip', 'addr', 'add', '10.0.0.22/24', 'dev', 'eth0')
  await a.until('the new address', ({ address }) => address === '10.0.0.22:7443', 2, 3_000)
  await proven(a, b, 5_000)
  t.ok(b.heard.some(({ message }) => message.type === 'observed' && message.address === '10.0.0.22:7443'))
})

t.test('containers that come and go are no change of the network', { skip: needsRoot }, async (t) => {
  const { a } = await pair(t)
  /** A card with an address, and until host 1 tells of it. */
  const card = async (name: string, address: string): Promise<void> => {
    const seen = a.heard.length
    a.exec('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', `${name}-end`)
    a.exec('ip', 'addr', 'add', address, 'dev', name)
    await a.message('networkChanged', seen, ({ what }) => what === 'links, addresses')
  }
  // The first one comes after what is still to be told of the cable: its link-local address is certain after a second.
  await waitFor(
    'addresses are certain',
    10_000,
    () => a.exec('ip', '-6', 'addr', 'show', 'tentative').trim() === '',
  )
  await card('lan8', '10.9.8.1/24')
  const seen = a.heard.length
  for (let i = 0; i < 5; i++) {
    a.exec('ip', 'link', 'add', `fn${i}`, 'type', 'veth', 'peer', 'name', 'inner')
    a.exec('ip', 'link', 'set', `fn${i}`, 'up')
    a.exec('ip', 'link', 'del', `fn${i}`)
  }
  await card('lan9', '10.9.9.1/24')
  t.strictSame(
    a.heard.slice(seen).flatMap(({ message }) => (message.type === 'networkChanged' ? [message.what] : [])),
    ['links, addresses'],
    'a card with an address is one, and it is the only one',
  )
})

t.test('the path MTU shrinks', { skip: needsRoot }, async (t) => {
  const { a, b } = await pair(t)
  await a.until('1,500 bytes', ({ mtu }) => mtu === 1_500, 2)
  const flow = a.flow(b, 4_000)
  await waitFor('traffic', 3_000, () => (a.view(2)?.txBps ?? 0) > 0)
  nft(b, 'udp dport 7443 meta length > 1420 drop')
  using stalls = new Stalls()
  const from = Date.now()
  await a.until('1,400 bytes', ({ mtu }) => mtu === 1_400, 2, 5_000)
  heldTo(t, '1,400 bytes', { from, to: Date.now() }, stalls, 3_000)
  t.equal(b.view(1)?.mtu, 1_500, 'the other direction is as it was')
  const { sent, answered } = await flow
  t.equal(answered, sent, 'small packets did not notice')
  t.notOk(a.heard.some(({ message }) => message.type === 'demoted'))
})

t.test('nothing above 1,200 bytes passes: never proven', { skip: needsRoot }, async (t) => {
  const net = await p2pNet(2)
  t.teardown(() => net.close())
  const [a, b] = net.hosts as [P2pNetHost, P2pNetHost]
  nft(b, 'udp dport 7443 meta length > 1200 drop')
  await Promise.all([a.start(), b.start()])
  introduce(a, b)
  await a.until('many answers', ({ probes }) => probes.answered >= 12, 2, 15_000)
  t.notOk(a.view(2)?.isProven)
  a.order({ type: 'promote', hostId: 2, attempt: ATTEMPT, generation: 1 })
  await a.message('notPromoted', 0, ({ reason }) => reason === 'not proven')
})

t.test(
  'keys change every half second under traffic, and no packet is lost',
  { skip: needsRoot },
  async (t) => {
    const { a, b } = await pair(t, { rekeyEveryMs: 500 })
    // The first four bytes of a datagram name the key.
    run('ip', ['netns', 'exec', b.netns, 'nft', 'add table inet k'])
    run('ip', ['netns', 'exec', b.netns, 'nft', 'add set inet k keys { type mark; flags dynamic; }'])
    run('ip', [
      'netns',
      'exec',
      b.netns,
      'nft',
      'add chain inet k input { type filter hook input priority 0; }',
    ])
    const rule = 'add rule inet k input udp dport 7443 meta mark set @th,64,32 add @keys { meta mark }'
    run('ip', ['netns', 'exec', b.netns, 'nft', rule])
    const { sent, answered } = await a.flow(b, 4_000, { everyMs: 5, bytes: 1_000 })
    t.equal(answered, sent)
    const [set] = JSON.parse(b.exec('nft', '-j', 'list', 'set', 'inet', 'k', 'keys')).nftables.slice(-1)
    t.ok(set.set.elem.length >= 5, `${set.set.elem.length} keys in 4 s`)
    t.ok(a.view(2)?.isPromoted)
  },
)
