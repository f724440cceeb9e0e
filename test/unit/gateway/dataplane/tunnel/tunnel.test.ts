/**
 * The tunnel between a device and ports that the test plays: who gets what, what is dropped and why, and what waits.
 */
import t from 'tap'
import { parseIpv4 } from '../../../../../core/addr.ts'
import type { Channel } from '../../../../../gateway/dataplane/tunnel/channel.ts'
import {
  encodeFrame,
  FRAME_HEADER,
  FrameDecoder,
  type FrameHeader,
  FrameType,
} from '../../../../../gateway/dataplane/tunnel/frame.ts'
import type { PacketSink } from '../../../../../gateway/dataplane/tunnel/outbound.ts'
import type { DataPort } from '../../../../../gateway/dataplane/tunnel/sender.ts'
import { Tunnel, type TunnelOptions } from '../../../../../gateway/dataplane/tunnel/tunnel.ts'
import { packet, tso } from '../../../../helpers/cluster/tunnel-packet.ts'

const EAGAIN = -11

/** A device that holds packets until it is told to announce them. */
class FakeDevice {
  readonly written: Uint8Array[] = []
  readonly waiting: Uint8Array[] = []
  uso: boolean | undefined
  refuseWith = 0
  sink: PacketSink | undefined

  read(buf: Uint8Array): number {
    const next = this.waiting.shift()
    if (next === undefined) return EAGAIN
    buf.set(next)
    return next.byteLength
  }

  write(buf: Uint8Array): number {
    if (this.refuseWith < 0) return this.refuseWith
    this.written.push(Uint8Array.from(buf))
    return buf.byteLength
  }

  requestUso(want: boolean): void {
    this.uso = want
  }

  /** One turn of the event loop. */
  turn(): void {
    if (this.waiting.length === 0 || this.sink === undefined) return
    this.sink.packet(this.read(this.sink.buffer()))
  }

  /** As many turns as there are packets. */
  say(...packets: Uint8Array[]): void {
    this.waiting.push(...packets)
    while (this.waiting.length > 0) this.turn()
  }
}

/** A connection that takes everything and finishes when told to. */
class FakePort implements DataPort {
  readonly writes: Uint8Array[] = []
  readonly #open: (() => void)[] = []
  #pending = 0

  get writableLength(): number {
    return this.#pending
  }

  write(bytes: Uint8Array, done: () => void): void {
    const at = this.writes.push(bytes) - 1
    this.#pending += bytes.byteLength
    this.#open.push(() => {
      this.writes[at] = Uint8Array.from(bytes)
      this.#pending -= bytes.byteLength
      done()
    })
  }

  /** The kernel takes the oldest write. */
  finishOne(): boolean {
    const finish = this.#open.shift()
    finish?.()
    return finish !== undefined
  }

  finish(): void {
    while (this.finishOne());
  }

  /**
   * Frames in all that was written, as they were when the kernel took them: a buffer that was used again too early
   * shows.
   */
  frames(): { header: FrameHeader; payload: string }[] {
    const frames: { header: FrameHeader; payload: string }[] = []
    const decoder = new FrameDecoder((header, bytes, start, end) =>
      frames.push({ header: { ...header }, payload: Buffer.from(bytes.slice(start, end)).toString('hex') }),
    )
    for (const write of this.writes) decoder.push(write)
    return frames
  }
}

function host1(options: Partial<TunnelOptions> = {}) {
  const device = new FakeDevice()
  const tunnel = new Tunnel({
    hostId: 1,
    supernet: { base: parseIpv4('10.100.0.0') ?? 0, prefixLen: 16 },
    hostPrefix: 24,
    device,
    ...options,
  })
  device.sink = tunnel.sink
  const channels = new Map<number, Channel>()
  /** A channel that is used; it takes the place of an earlier one. */
  const attach = (hostId: number, port = new FakePort(), takesUso = true) => {
    channels.get(hostId)?.close()
    const channel = tunnel.addChannel(hostId, port)
    channel.setPeerAcceptsUso(takesUso)
    channel.use()
    channels.set(hostId, channel)
    return port
  }
  const receive = (hostId: number, chunk: Uint8Array) => channels.get(hostId)?.receive(chunk)
  const detach = (hostId: number) => channels.get(hostId)?.close()
  const peer = (hostId: number) => tunnel.stats().peers.find((p) => p.hostId === hostId)
  return { device, tunnel, attach, receive, detach, peer }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const header = (over: Partial<FrameHeader> = {}): FrameHeader => ({
  type: FrameType.DATA,
  flags: 0,
  srcHost: 2,
  dstHost: 1,
  hops: 0,
  ...over,
})
/** From host 2 to host 1. */
const back = (fields = {}) => packet({ src: '10.100.2.10', dst: '10.100.1.10', ...fields })

t.test('of a host in quarantine no packet is taken, until it is released', (t) => {
  const out = new Set([2])
  const { device, attach, receive, peer } = host1({ keepsOut: (hostId) => out.has(hostId) })
  attach(2)
  receive(2, encodeFrame(header(), back()))
  t.same(device.written, [])
  t.same(peer(2)?.drops, { keptOut: 1 })
  out.clear()
  receive(2, encodeFrame(header(), back()))
  t.equal(device.written.length, 1)
  t.end()
})

t.test('packets go to the host of their destination, headed, in order', async (t) => {
  const { device, attach } = host1()
  const [two, three] = [attach(2), attach(3)]
  const sent = [
    packet({ dst: '10.100.2.10', payload: 8 }),
    packet({ dst: '10.100.2.11', payload: 9 }),
    packet({ dst: '10.100.3.10', payload: 10 }),
    packet({ dst: '10.100.2.10', payload: 11 }),
  ]
  device.waiting.push(...sent)
  device.turn()
  const to = (dstHost: number) => ({ type: 1, flags: 0, srcHost: 1, dstHost, hops: 0 })
  t.same(
    two.frames(),
    [sent[0], sent[1], sent[3]].map((p) => ({ header: to(2), payload: hex(p ?? new Uint8Array()) })),
  )
  t.same(three.frames(), [{ header: to(3), payload: hex(sent[2] ?? new Uint8Array()) }])
  t.equal(two.writes.length, 2, 'neighbours share a write')
})

t.test('the host is found by arithmetic in slices of other sizes too', async (t) => {
  const { device, tunnel, attach } = host1({ hostPrefix: 20, hostId: 1 })
  const port = new FakePort()
  attach(3, port)
  device.say(
    packet({ src: '10.100.31.255', dst: '10.100.48.0' }),
    packet({ src: '10.100.16.0', dst: '10.100.63.255' }),
  )
  device.say(
    packet({ src: '10.100.16.0', dst: '10.100.47.255' }),
    packet({ src: '10.100.16.0', dst: '10.100.64.0' }),
  )
  t.equal(port.frames().length, 2)
  t.same(tunnel.stats().drops, { unknownHost: 2 })
})

t.test('what may not go out is dropped and counted', async (t) => {
  const { device, attach, detach, tunnel, peer } = host1()
  const port = attach(2)
  device.say(
    packet({ src: '10.100.9.9' }),
    packet({ src: '192.0.2.1' }),
    packet({ dst: '10.100.9.9' }),
    packet({ dst: '192.0.2.1' }),
    packet({ dst: '10.100.1.11' }),
    packet({ versionIhl: 0x60 }),
  )
  t.same(tunnel.stats().drops, { foreignSource: 2, unknownHost: 3, ipv6: 1 })
  detach(2)
  device.say(packet())
  t.equal(peer(2)?.drops.detached, 1)
  tunnel.forgetPeer(2)
  device.say(packet())
  t.equal(tunnel.stats().drops.unknownHost, 4)
  t.equal(port.writes.length, 0)
})

t.test('one turn ends, however much there is', async (t) => {
  const { device, attach } = host1()
  attach(2)
  device.waiting.push(...Array.from({ length: 1_000 }, () => packet()))
  device.turn()
  t.equal(device.waiting.length, 1_000 - 128, 'packets')
  device.waiting.length = 0
  device.waiting.push(...Array.from({ length: 100 }, () => tso({ payload: 65_000 })))
  device.turn()
  t.equal(device.waiting.length, 100 - 3, 'bytes')
})

t.test('a peer sends: what is sound reaches the device as it was', async (t) => {
  const { device, attach, receive, peer } = host1()
  attach(2)
  const packets = [back(), tso({ src: '10.100.2.10', dst: '10.100.1.10' })]
  const stream = Buffer.concat(packets.map((p) => encodeFrame(header(), p)))
  for (let at = 0; at < stream.byteLength; at += 100) receive(2, stream.subarray(at, at + 100))
  t.same(device.written.map(hex), packets.map(hex))
  t.match(peer(2), {
    receivedPackets: 2,
    receivedBytes: packets[0]!.byteLength + packets[1]!.byteLength,
    drops: {},
  })
})

t.test('a peer sends what it must not: dropped and counted, never an error', async (t) => {
  const { device, attach, receive, peer } = host1()
  attach(2)
  const bad = [
    encodeFrame(header(), back({ src: '10.100.3.10' })),
    encodeFrame(header(), back({ src: '10.100.1.10' })),
    encodeFrame(header(), back({ dst: '10.100.3.10' })),
    encodeFrame(header(), back({ flags: 1, csumStart: 0, csumOffset: 16 })),
    encodeFrame(header(), back({ versionIhl: 0x60 })),
    encodeFrame(header({ srcHost: 3 }), back()),
    encodeFrame(header({ dstHost: 3 }), back()),
    encodeFrame(header({ type: FrameType.CREDIT }), back()),
    encodeFrame(header({ type: 77 }), new Uint8Array(0)),
  ]
  receive(2, Buffer.concat(bad))
  t.same(device.written, [])
  t.same(peer(2)?.drops, {
    foreignSource: 2,
    foreignDestination: 1,
    checksumPlace: 1,
    ipv6: 1,
    frameHost: 2,
    frameType: 2,
  })
  t.throws(() => receive(2, Buffer.alloc(12, 0xff)), { code: 'ERR_FLATNET_FRAME' })
})

t.test('frames of other types go to their own handlers', async (t) => {
  const seen: unknown[] = []
  const { attach, peer, receive } = host1({
    other: (channel, h, payload) => seen.push([channel.hostId, h.type, hex(payload)]) === 1,
  })
  attach(2)
  receive(2, encodeFrame(header({ type: FrameType.PING }), Uint8Array.of(7)))
  receive(2, encodeFrame(header({ type: 77 }), Uint8Array.of(8)))
  t.same(seen, [
    [2, FrameType.PING, '07'],
    [2, 77, '08'],
  ])
  t.same(peer(2)?.drops, { frameType: 1 }, 'what its owner does not know is counted')
})

t.test('a device that cannot take a packet costs that packet', async (t) => {
  const { device, attach, receive, peer } = host1()
  attach(2)
  for (const errno of [11, 105, 12, 22, 5]) {
    device.refuseWith = -errno
    receive(2, encodeFrame(header(), back()))
  }
  t.match(peer(2), { receivedPackets: 0, drops: { deviceBusy: 3, deviceRefused: 2 } })
})

t.test('a slow connection: bounded, the oldest go, others are untouched', async (t) => {
  const { device, attach, peer } = host1()
  const [slow, quick] = [attach(2), attach(3)]
  const total = 200
  const numbered = (dst: string, n: number) => {
    const p = tso({ dst, payload: 30_000 })
    new DataView(p.buffer).setUint32(60, n)
    return p
  }
  for (let n = 0; n < total; n++) {
    device.say(numbered('10.100.2.10', n), numbered('10.100.3.10', n))
    quick.finish()
    const { queuedBytes = 0, inFlightBytes = 0 } = peer(2) ?? {}
    t.ok(queuedBytes <= 256 * 1024)
    t.ok(inFlightBytes <= 256 * 1024 + 31_000)
  }
  const numbers = (port: FakePort) => port.frames().map((f) => Number.parseInt(f.payload.slice(120, 128), 16))
  t.same(
    numbers(quick),
    Array.from({ length: total }, (_, n) => n),
  )
  while (slow.finishOne());
  const arrived = numbers(slow)
  t.equal(arrived.length + (peer(2)?.drops.queueFull ?? 0), total)
  t.same(
    arrived,
    arrived.toSorted((x, y) => x - y),
    'in order',
  )
  t.equal(arrived.at(-1), total - 1, 'the newest has arrived')
  t.equal(arrived[0], 0, 'what was on its way has arrived')
  t.match(peer(2), { queuedBytes: 0, inFlightBytes: 0, sentPackets: arrived.length })
  t.equal(peer(3)?.drops.queueFull, undefined)
})

t.test('small packets that wait do not change when buffers are used again', async (t) => {
  const { device, attach, peer } = host1()
  const port = attach(2)
  const sent = Array.from({ length: 600 }, (_, n) =>
    packet({ payload: 300, dst: `10.100.2.${n % 250}`, fragment: n }),
  )
  for (const [n, p] of sent.entries()) {
    device.say(p, packet({ dst: '10.100.9.9', payload: 1_000 }))
    if (n % 50 === 0) port.finishOne()
  }
  port.finish()
  t.same(
    port.frames().map((f) => f.payload),
    sent.map(hex),
  )
  t.match(peer(2), { inFlightBytes: 0, queuedBytes: 0 })
})

t.test('a connection that others fill gets one write at a time, and goes on by itself', async (t) => {
  const { device, attach, peer } = host1()
  const port = new FakePort()
  Object.defineProperty(port, 'writableLength', { value: 2 ** 21 })
  attach(2, port)
  device.say(...Array.from({ length: 10 }, () => packet()))
  device.say(packet())
  t.equal(port.writes.length, 1)
  port.finish()
  t.equal(port.frames().length, 11)
  t.equal(peer(2)?.queuedBytes, 0)
})

t.test('a new connection begins with whole frames; the old one says nothing any more', async (t) => {
  const { device, attach, receive, peer } = host1()
  const old = attach(2)
  receive(2, encodeFrame(header(), back()).subarray(0, FRAME_HEADER + 20))
  for (let n = 0; n < 30; n++) device.say(tso({ payload: 60_000 }))
  const fresh = attach(2)
  t.match(peer(2), { isAttached: true, queuedBytes: 0, inFlightBytes: 0 })
  const before = old.writes.length
  old.finish()
  t.equal(old.writes.length, before)
  device.say(packet())
  receive(2, encodeFrame(header(), back()))
  t.equal(fresh.frames().length, 1)
  t.equal(device.written.length, 1)
  t.equal(peer(2)?.inFlightBytes, FRAME_HEADER + packet().byteLength)
})

t.test('UDP segmentation is on while the kernels of all channels take it', async (t) => {
  const { device, tunnel, attach, detach } = host1()
  attach(2)
  t.equal(device.uso, true)
  attach(3, new FakePort(), false)
  t.equal(device.uso, false)
  attach(2)
  t.equal(device.uso, false)
  detach(3)
  t.equal(device.uso, true)
  const channel = tunnel.addChannel(2, new FakePort())
  t.equal(device.uso, false, 'a channel whose other end has not said so')
  channel.setPeerAcceptsUso(true)
  t.equal(device.uso, true)
})

t.test('two channels to one peer: both are heard, one is used, and a move drops nothing', async (t) => {
  const { device, tunnel, peer } = host1()
  const [first, second] = [new FakePort(), new FakePort()]
  const one = tunnel.addChannel(2, first)
  const two = tunnel.addChannel(2, second)
  device.say(packet())
  t.same(peer(2)?.drops, { detached: 1 }, 'none is used yet')
  one.use()
  device.say(packet())
  for (const channel of [one, two]) channel.receive(encodeFrame(header(), back()))
  t.equal(device.written.length, 2)
  two.use()
  device.say(packet())
  first.finish()
  second.finish()
  t.same([first.frames().length, second.frames().length], [1, 1])
  one.close()
  device.say(packet())
  second.finish()
  t.equal(second.frames().length, 2, 'the end of a channel that is not used changes nothing')
  one.use()
  one.receive(encodeFrame(header(), back()))
  device.say(packet())
  second.finish()
  t.same([second.frames().length, device.written.length], [3, 2], 'a closed channel is out of it')
  t.match(peer(2), { isAttached: true, sentPackets: 4, receivedPackets: 2, drops: { detached: 1 } })
  two.close()
  t.match(peer(2), { isAttached: false })
})

t.test('frames that are no packets wait like packets and are not counted as such', async (t) => {
  const { device, tunnel, peer } = host1({ queueBytes: 100 })
  const port = new FakePort()
  const channel = tunnel.addChannel(2, port)
  channel.send(FrameType.PING, Uint8Array.of(1, 2))
  channel.use()
  device.say(packet())
  port.finish()
  t.same(
    port.frames().map((f) => f.header.type),
    [FrameType.PING, FrameType.DATA],
  )
  channel.close()
  channel.send(FrameType.PING, Uint8Array.of(3))
  t.match(peer(2), { sentPackets: 1, drops: {} })
  t.equal(port.writes.length, 2)
})

t.test('a host that has left', async (t) => {
  const { device, tunnel, attach } = host1()
  const port = attach(2)
  tunnel.forgetPeer(2)
  tunnel.forgetPeer(9)
  device.say(packet())
  t.equal(port.writes.length, 0)
  t.same(tunnel.stats(), { peers: [], drops: { unknownHost: 1 } })
})
