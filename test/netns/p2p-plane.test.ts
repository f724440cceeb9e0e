/**
 * The UDP plane between two real hosts: TCP and UDP in both forms, loss, missing offloads, IPv6 below, rekey, path MTU.
 */
import t, { type Test } from 'tap'
import type { PlaneHostConf } from '../helpers/cluster/plane-host.ts'
import { type PlaneNetHost, planes } from '../helpers/cluster/plane-net.ts'
import { type TunnelNetHost, tunnelNet } from '../helpers/cluster/tunnel-net.ts'
import { traffic } from '../helpers/cluster/tunnel-traffic.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const PORT = 9000
const skip = { skip: needsRoot, timeout: 300_000 }

interface Stage extends Partial<PlaneHostConf> {
  /** Of what carries the datagrams. */
  readonly address?: (hostId: number) => string
  readonly prepare?: (host: TunnelNetHost) => void
}

async function stage(
  t: Test,
  { address, prepare, ...conf }: Stage = {},
): Promise<[PlaneNetHost, PlaneNetHost]> {
  const net = await tunnelNet({ hosts: 2, tunnel: false })
  t.teardown(() => net.close())
  for (const host of net.hosts) {
    prepare?.(host)
    const server = host.spawn(...traffic('serve', PORT))
    await waitFor('the server listens', 10_000, () => server.output().includes('listening'))
  }
  const pair = (await planes(net.hosts, conf, address)) as [PlaneNetHost, PlaneNetHost]
  t.teardown(() => Promise.all(pair.map((one) => one.stop())))
  return pair
}

/** Starts a client and gives its last line when it has ended, within a minute. */
function client({ host }: PlaneNetHost, ...args: Parameters<typeof traffic>) {
  const started = host.spawn(...traffic(...args))
  const limit = setTimeout(() => started.child.kill('SIGKILL'), 60_000)
  const result = started.done.then(({ stdout, status }) => {
    clearTimeout(limit)
    if (status !== 0) throw new Error(`${args.join(' ')}: exit ${status}, after ${stdout.slice(-100)}`)
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? 'null')
  })
  return { ...started, result }
}

/** Both ways at once, with every byte compared at its end. */
async function bothWays(
  t: Test,
  [a, b]: readonly [PlaneNetHost, PlaneNetHost],
  mebibytes: number,
): Promise<void> {
  const both = [
    client(a, 'send', '10.100.2.1', PORT, mebibytes),
    client(b, 'send', '10.100.1.1', PORT, mebibytes),
  ]
  t.same(
    await Promise.all(both.map(({ result }) => result)),
    [{ equal: true }, { equal: true }],
    'TCP both ways',
  )
}

/** That nothing was refused for what it is. Loss is the network's. */
async function nothingRefused(t: Test, one: PlaneNetHost, peerId: number): Promise<void> {
  const { rxForged, rxMalformed, rxRefused } = await one.peer(peerId)
  const { unknownIndex, malformed, deviceRefused } = await one.stats()
  t.same(
    { rxForged, rxMalformed, rxRefused, unknownIndex, malformed, deviceRefused },
    { rxForged: 0, rxMalformed: 0, rxRefused: 0, unknownIndex: 0, malformed: 0, deviceRefused: 0 },
  )
}

const lossy = ({ host }: PlaneNetHost, percent: number): void => {
  host.exec('nft', 'add table inet loss')
  host.exec('nft', 'add chain inet loss in { type filter hook input priority 0; }')
  host.exec('nft', `add rule inet loss in udp dport 7443 numgen random mod 1000 < ${percent * 10} drop`)
}

/** Datagrams leave one by one, as over a card without offloads, so that loss meets each alone. */
const oneByOne = (host: TunnelNetHost): void =>
  void host.exec('ip', 'link', 'set', 'eth0', 'gso_max_segs', '1')

for (const form of ['whole', 'record'] as const)
  t.test(`${form}: ping, UDP of every size, fragments, TCP both ways at once`, skip, async (t) => {
    const [a, b] = await stage(t, { form })
    t.match(a.host.exec('busybox', 'ping', '-c', '3', '-W', '5', '10.100.2.1'), '3 packets received')
    const sizes = [0, 1, 1_300, 1_400, 1_472, 1_473, 9_000, 32_768, 65_507]
    t.same(await client(a, 'udp', '10.100.2.1', PORT, ...sizes).result, { back: sizes })
    await bothWays(t, [a, b], 64)
    const { txPackets = 0, txBytes = 0 } = await a.peer(2)
    t.ok(txBytes / txPackets > 4_000, `${Math.round(txBytes / txPackets)} bytes a packet: offload works`)
    for (const [one, peer] of [
      [a, 2],
      [b, 1],
    ] as const)
      await nothingRefused(t, one, peer)
  })

t.test('no offload of UDP: the same by single datagrams', skip, async (t) => {
  for (const form of ['whole', 'record'] as const)
    for (const [gso, gro] of [
      [false, false],
      [true, false],
      [false, true],
    ] as const) {
      const pair = await stage(t, { form, gso, gro })
      await bothWays(t, pair, 16)
      const [a] = pair
      t.match(await a.stats(), { gso, gro }, `${form}, GSO ${gso}, GRO ${gro}`)
      await nothingRefused(t, a, 2)
      await Promise.all(pair.map((one) => one.stop()))
    }
})

t.test('ChaCha20-Poly1305', skip, async (t) => {
  const pair = await stage(t, { cipher: 'chacha20-poly1305' })
  await bothWays(t, pair, 16)
  for (const form of ['whole', 'record'] as const) {
    for (const [one, hostId] of [
      [pair[0], 2],
      [pair[1], 1],
    ] as const)
      one.order({ do: 'form', hostId, form })
    await bothWays(t, pair, 16)
  }
  await nothingRefused(t, pair[0], 2)
})

t.test('over IPv6', skip, async (t) => {
  const pair = await stage(t, {
    address: (hostId) => `[fd00::${hostId}]`,
    prepare: (host) => {
      host.exec('ip', 'addr', 'add', `fd00::${host.hostId}/64`, 'dev', 'eth0', 'nodad')
    },
    segmentBytes: 1_452,
  })
  await bothWays(t, pair, 32)
  await nothingRefused(t, pair[1], 1)
  pair[0].order({ do: 'control', hostId: 2, hex: 'c0ffee' })
  t.match(await pair[1].event('control', 0), { hex: 'c0ffee', type: 7, from: '[fd00::1]:7443' })
})

t.test('1 % loss both ways: whole stays, and what got lost is sent again', skip, async (t) => {
  const pair = await stage(t, { prepare: oneByOne })
  const [a, b] = pair
  const load = a.host.spawn(...traffic('send', '10.100.2.1', PORT, 2_000))
  t.match(await a.event('form', 0, 20_000), { form: 'whole', reason: 'clean and fast' })
  for (const one of pair) lossy(one, 1)
  await waitFor(
    'lost datagrams are sent again',
    20_000,
    async () => ((await a.peer(2))['txResent'] ?? 0) > 100,
  )
  load.child.kill('SIGKILL')
  await load.done
  const before = await b.peer(1)
  await bothWays(t, pair, 64)
  const { txLost = 0, txResent = 0, txAcked = 0, form } = await a.peer(2)
  t.match({ form }, { form: 'whole' })
  t.ok(txLost > 0 && txLost < txAcked / 4, `${txLost} of ${txAcked} datagrams counted as lost`)
  const { rxIncomplete = 0 } = await b.peer(1)
  const givenUp = rxIncomplete - (before['rxIncomplete'] ?? 0)
  t.ok(givenUp < txResent, `${txResent} sent again, ${givenUp} messages given up`)
  for (const [one, peer] of [
    [a, 2],
    [b, 1],
  ] as const)
    await nothingRefused(t, one, peer)
})

t.test('heavy loss: record, so that the TCP inside sees it, and TCP lives', skip, async (t) => {
  const [a, b] = await stage(t, { prepare: oneByOne })
  const load = a.host.spawn(...traffic('send', '10.100.2.1', PORT, 2_000))
  t.match(await a.event('form', 0, 20_000), { form: 'whole', reason: 'clean and fast' })
  const before = a.events.length
  lossy(b, 8)
  t.match(await a.event('form', before, 20_000), { form: 'record', reason: 'loss' })
  load.child.kill('SIGKILL')
  await load.done
  t.same(await client(a, 'send', '10.100.2.1', PORT, 4).result, { equal: true })
  const { txLost = 0, txDatagrams = 0 } = await a.peer(2)
  t.ok(txLost > 0 && txLost < txDatagrams / 4, `${txLost} of ${txDatagrams} datagrams counted as lost`)
  await nothingRefused(t, b, 1)
})

t.test(
  'heavy loss while the form is whole: messages are given up, none is delivered in part',
  skip,
  async (t) => {
    const [a, b] = await stage(t, { form: 'whole', prepare: oneByOne })
    lossy(b, 8)
    t.same(await client(a, 'send', '10.100.2.1', PORT, 1).result, { equal: true })
    const { rxIncomplete = 0 } = await b.peer(1)
    t.ok(rxIncomplete > 0, `${rxIncomplete} messages given up`)
    await nothingRefused(t, b, 1)
  },
)

t.test('new keys in the middle of a stream', skip, async (t) => {
  const [a, b] = await stage(t)
  const sending = client(a, 'send', '10.100.2.1', PORT, 256)
  for (const seed of [2, 3, 4]) {
    await waitFor(`${seed * 40} MiB are sent`, 30_000, () =>
      sending.output().includes(`{"sent":${seed * 40}}`),
    )
    const seen = b.events.length
    b.order({ do: 'keys', hostId: 1, seed, when: 'heard' })
    // The answer shows that the order before it was carried out.
    await b.stats()
    a.order({ do: 'keys', hostId: 2, seed, when: 'now' })
    await b.event('confirmed', seen)
  }
  t.same(await sending.result, { equal: true })
  await nothingRefused(t, b, 1)
  await nothingRefused(t, a, 2)
})

t.test('probes of every size, and the larger segment after them', skip, async (t) => {
  const pair = await stage(t, { segmentBytes: 1_232, form: 'whole' })
  const [a, b] = pair
  for (const padToBytes of [1_200, 1_372, 1_472]) {
    const seen = b.events.length
    a.order({ do: 'control', hostId: 2, hex: '01', padToBytes })
    t.match(await b.event('control', seen), { hex: '01' }, `${padToBytes} arrive`)
  }
  a.order({ do: 'control', hostId: 2, hex: '01', padToBytes: 1_473 })
  t.match(await a.event('sendError', 0), { errno: 90 }, 'EMSGSIZE: nothing is fragmented')
  await bothWays(t, pair, 8)
  for (const bytes of [1_472, 1_100, 1_400]) {
    a.order({ do: 'segment', hostId: 2, bytes })
    await bothWays(t, pair, 8)
  }
  const { rxIncomplete } = await b.peer(1)
  t.equal(rxIncomplete, 0)
  await nothingRefused(t, b, 1)
})

t.test('a peer that comes from another address is followed', skip, async (t) => {
  const [a, b] = await stage(t)
  a.host.exec('ip', 'addr', 'add', '10.0.0.101/24', 'dev', 'eth0')
  a.host.exec('ip', 'route', 'replace', '10.0.0.0/24', 'dev', 'eth0', 'src', '10.0.0.101')
  a.host.exec('busybox', 'ping', '-c', '1', '-W', '5', '10.100.2.1')
  t.match(await b.event('roamed', 0), { hostId: 1, from: '10.0.0.101:7443' })
  await bothWays(t, [a, b], 4)
})
