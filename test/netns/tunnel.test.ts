/** The tunnel between hosts in namespaces, over TLS: everything that IP carries, under load, and when things break. */
import t, { type Test } from 'tap'
import { encodeFrame, FrameType } from '../../gateway/dataplane/tunnel/frame.ts'
import { type TunnelNetHost, type TunnelNetOptions, tunnelNet } from '../helpers/cluster/tunnel-net.ts'
import { packet, tso } from '../helpers/cluster/tunnel-packet.ts'
import { traffic } from '../helpers/cluster/tunnel-traffic.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const PORT = 9000
const skip = { skip: needsRoot, timeout: 300_000 }

async function stage(t: Test, options: TunnelNetOptions) {
  const net = await tunnelNet(options)
  t.teardown(() => net.close())
  for (const host of net.hosts) {
    const server = host.spawn(...traffic('serve', PORT))
    t.teardown(() => server.child.kill('SIGKILL'))
    await waitFor('the server listens', 10_000, () => server.output().includes('listening'))
  }
  return net
}

const two = async (t: Test, options: Partial<TunnelNetOptions> = {}) =>
  (await stage(t, { hosts: 2, ...options })).hosts as [TunnelNetHost, TunnelNetHost]

/** Starts a client and gives its last line when it has ended, within a minute. */
function client(host: TunnelNetHost, ...args: Parameters<typeof traffic>) {
  const started = host.spawn(...traffic(...args))
  const limit = setTimeout(() => started.child.kill('SIGKILL'), 60_000)
  const result = started.done.then(({ stdout, status }) => {
    clearTimeout(limit)
    if (status !== 0) throw new Error(`${args.join(' ')}: exit ${status}, after ${stdout.slice(-100)}`)
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? 'null')
  })
  return { ...started, result }
}

t.test('ping, UDP of every size, fragments, TCP both ways at once', skip, async (t) => {
  const [a, b] = await two(t)
  t.match(a.exec('busybox', 'ping', '-c', '3', '-W', '5', '10.100.2.1'), '3 packets received')
  t.match(b.exec('busybox', 'ping', '-c', '2', '-W', '5', '-s', '60000', '10.100.1.1'), '2 packets received')
  const sizes = [0, 1, 1_400, 1_472, 1_473, 9_000, 32_768, 65_507]
  t.same(await client(a, 'udp', '10.100.2.1', PORT, ...sizes).result, { back: sizes })
  const both = [client(a, 'send', '10.100.2.1', PORT, 64), client(b, 'send', '10.100.1.1', PORT, 64)]
  t.same(await Promise.all(both.map(({ result }) => result)), [{ equal: true }, { equal: true }])
  const { receivedBytes, receivedPackets, drops } = await b.peer(1)
  t.ok(
    receivedBytes / receivedPackets > 4_000,
    `${Math.round(receivedBytes / receivedPackets)} bytes a packet: segmentation offload works`,
  )
  t.same(
    Object.keys(drops).filter((reason) => reason !== 'queueFull'),
    [],
  )
})

t.test('a small MTU: TCP, and UDP in fragments', skip, async (t) => {
  const [a] = await two(t, { mtu: 1280 })
  t.same(await client(a, 'send', '10.100.2.1', PORT, 8).result, { equal: true })
  t.same(await client(a, 'udp', '10.100.2.1', PORT, 1_253, 20_000).result, { back: [1_253, 20_000] })
})

t.test('a thousand connections at once', skip, async (t) => {
  const [a, b] = await two(t)
  const [there, back] = [
    client(a, 'many', '10.100.2.1', PORT, 500, 100_000),
    client(b, 'many', '10.100.1.1', PORT, 500, 100_000),
  ]
  t.same(await there.result, { equal: 500 })
  t.same(await back.result, { equal: 500 })
})

t.test('the connection breaks in the middle: the stream inside lives', skip, async (t) => {
  const [a, b] = await two(t)
  const sending = client(a, 'send', '10.100.2.1', PORT, 256)
  for (const mebibytes of [20, 100]) {
    await waitFor(`${mebibytes} MiB are sent`, 30_000, () =>
      sending.output().includes(`{"sent":${mebibytes}}`),
    )
    const [seenA, seenB] = [a.events.length, b.events.length]
    b.order({ do: 'detach', hostId: 1 })
    await a.event('down', seenA)
    // A packet at least has met the closed door.
    await waitFor('something is dropped', 10_000, async () => ((await a.peer(2)).drops.detached ?? 0) > 0)
    b.order({ do: 'attach', hostId: 1 })
    await b.event('up', seenB)
  }
  t.same(await sending.result, { equal: true })
})

t.test('a gateway is killed and started again: the stream inside lives', skip, async (t) => {
  const net = await stage(t, { hosts: 2 })
  const [a, b] = net.hosts as [TunnelNetHost, TunnelNetHost]
  const sending = client(a, 'send', '10.100.2.1', PORT, 128)
  await waitFor('20 MiB are sent', 30_000, () => sending.output().includes('{"sent":20}'))
  const seen = a.events.length
  await a.stop()
  t.equal(
    a.json('ip', '-j', 'route', 'show', 'dev', 'flatnet-gw').length,
    1,
    'device and route are still there',
  )
  a.start(net.conf(1))
  await a.event('up', seen, 15_000)
  t.same(await sending.result, { equal: true })
  t.ok((await b.peer(1)).isAttached)
})

t.test(
  'a receiver that stops reading: bounded memory, others untouched, and it recovers',
  skip,
  async (t) => {
    const [a, b, c] = (await stage(t, { hosts: 3 })).hosts as [TunnelNetHost, TunnelNetHost, TunnelNetHost]
    await client(a, 'send', '10.100.3.1', PORT, 64).result
    const before = (await a.stats()).rss
    b.order({ do: 'pause', hostId: 1 })
    const stuck = client(a, 'send', '10.100.2.1', PORT, 64)
    const blast = a.spawn(...traffic('blast', '10.100.2.1', PORT))
    t.teardown(() => blast.child.kill('SIGKILL'))
    await waitFor('the queue overflows', 30_000, async () => ((await a.peer(2)).drops.queueFull ?? 0) > 1_000)
    t.same(await client(a, 'send', '10.100.3.1', PORT, 64).result, { equal: true }, 'another peer')
    t.ok(
      (await b.controlTimes(1, 20)).every((ms) => ms < 1_000),
      'its own control connection',
    )
    const { queuedBytes, inFlightBytes } = await a.peer(2)
    t.ok(queuedBytes <= 256 * 1024, `${queuedBytes} bytes wait`)
    t.ok(inFlightBytes <= 512 * 1024, `${inFlightBytes} bytes are on their way`)
    const grown = ((await a.stats()).rss - before) / 2 ** 20
    t.ok(grown < 64, `${Math.round(grown)} MiB more memory`)
    t.notOk((await c.peer(1)).drops.queueFull)
    blast.child.kill('SIGKILL')
    b.order({ do: 'resume', hostId: 1 })
    t.same(await stuck.result, { equal: true }, 'the stream that was stuck')
  },
)

t.test(
  'a malicious peer: what it forges is dropped and counted, and only nonsense ends its connection',
  skip,
  async (t) => {
    const [a, b] = await two(t)
    const head = { type: FrameType.DATA, flags: 0, srcHost: 2, dstHost: 1, hops: 0 }
    const good = { src: '10.100.2.10', dst: '10.100.1.1' }
    const frames = [
      encodeFrame(head, packet({ ...good, src: '10.100.1.10' })),
      encodeFrame(head, packet({ ...good, src: '192.0.2.1' })),
      encodeFrame(head, packet({ ...good, dst: '10.100.3.1' })),
      encodeFrame(head, packet({ ...good, dst: '10.0.0.1' })),
      encodeFrame(head, tso({ ...good, gsoSize: 0 })),
      encodeFrame(head, tso({ ...good, flags: 0 })),
      encodeFrame(head, packet({ ...good, flags: 1, csumStart: 0, csumOffset: 16 })),
      encodeFrame(head, packet({ ...good, hdrLen: 5_000 })),
      encodeFrame(head, packet({ ...good, flags: 4 })),
      encodeFrame({ ...head, srcHost: 3 }, packet(good)),
      encodeFrame({ ...head, type: 99 }, new Uint8Array(5)),
    ]
    const before = await a.peer(2)
    b.order({ do: 'raw', hostId: 1, hex: Buffer.concat(frames).toString('hex') })
    const after = await waitFor('all are judged', 10_000, async () => {
      const peer = await a.peer(2)
      return peer.drops.frameType === 1 ? peer : undefined
    })
    t.same(after.drops, {
      foreignSource: 2,
      foreignDestination: 2,
      gsoSize: 1,
      gsoState: 1,
      checksumPlace: 1,
      virtioHeaderLength: 1,
      virtioFlags: 1,
      frameHost: 1,
      frameType: 1,
    })
    t.equal(after.receivedPackets, before.receivedPackets, 'none reached the kernel')
    t.match(b.exec('busybox', 'ping', '-c', '1', '-W', '5', '10.100.1.1'), '1 packets received')
    const seen = a.events.length
    b.order({ do: 'raw', hostId: 1, hex: 'ffffffff'.repeat(8) })
    t.match(await a.event('broken', seen), { hostId: 2, error: /^frame of 4294967295 bytes/ })
    await a.event('up', seen)
    t.match(b.exec('busybox', 'ping', '-c', '1', '-W', '5', '10.100.1.1'), '1 packets received')
  },
)

t.test('what a container forges does not leave its host', skip, async (t) => {
  const [a, b] = await two(t)
  a.exec('ip', 'addr', 'add', '10.100.77.1/32', 'dev', 'lo')
  t.throws(() => a.exec('busybox', 'ping', '-c', '1', '-W', '1', '-I', '10.100.77.1', '10.100.2.1'))
  t.match((await a.stats()).drops, { foreignSource: 1 })
  t.same((await b.peer(1)).drops, {})
})
