/** gateway/dataplane/p2p/udp/relayed-port: what becomes ChannelData, and what ChannelData becomes. */
import t from 'tap'
import { RelayedPort, relayedAddress } from '../../../../../../gateway/dataplane/p2p/udp/relayed-port.ts'
import { Arena, Iovecs } from '../../../../../../kernel/arena.ts'
import { ReceiveSlots } from '../../../../../../kernel/receive-slots.ts'
import {
  AF_INET,
  AF_INET6,
  readSockaddr,
  type UdpFamily,
  writeSockaddr,
} from '../../../../../../kernel/sockaddr.ts'
import type { DatagramPort } from '../../../../../../kernel/udp-socket.ts'
import { gathered } from '../../../../../helpers/cluster/plane-memory.ts'

const SERVER = '192.0.2.50:3478'
const CHANNEL = 0x4001

/** A socket that keeps what is sent, and gets what the test puts into its slots. */
function socket(family: UdpFamily) {
  const arena = new Arena(2 << 20)
  t.teardown(() => arena.close())
  const slots = new ReceiveSlots(arena)
  const sent: { to: string; bytes: Buffer[]; segmentBytes: number }[] = []
  let batch = { first: 0, count: 0 }
  const udp: DatagramPort = {
    family,
    slots,
    maxSegments: (bytes) => Math.floor(65_507 / bytes),
    send(iovecs, first, segments, perSegment, segmentBytes, to) {
      const pieces = gathered(iovecs, first, segments * perSegment)
      const bytes = Array.from({ length: segments }, (_, i) =>
        Buffer.concat(pieces.slice(i * perSegment, (i + 1) * perSegment)),
      )
      sent.push({ to: readSockaddr(to.bytes), bytes, segmentBytes })
      return 0
    },
    receive: () => batch,
  }
  const port = new RelayedPort(arena, udp)
  const addressOf = (endpoint: string) => {
    const region = arena.take(28)
    writeSockaddr(family, endpoint, region.bytes)
    return region
  }
  return {
    arena,
    port,
    sent,
    slots,
    addressOf,
    /** Two pieces a datagram, as the whole form has them. */
    send(to: string, texts: readonly string[]) {
      const iovecs = new Iovecs(arena, 2 * texts.length)
      for (const [i, text] of texts.entries()) {
        const region = arena.take(8 + text.length)
        region.bytes.set(Buffer.from(`header${i}...${text}`.slice(0, 8) + text))
        iovecs.set(2 * i, region, 0, 8)
        iovecs.set(2 * i + 1, region, 8, text.length)
      }
      return port.send(iovecs, 0, texts.length, 2, 8 + (texts[0]?.length ?? 0), addressOf(to))
    },
    /** @returns what the plane would see of each datagram */
    receive(datagrams: readonly { readonly bytes: Buffer; readonly from: string }[]) {
      for (const [i, { bytes, from }] of datagrams.entries())
        slots.put(i, bytes, Buffer.from(addressOf(from).bytes))
      // As of one batch of GRO: all name the source of the first.
      if (new Set(datagrams.map(({ from }) => from)).size === 1) slots.sourceOf.fill(0, 0, datagrams.length)
      batch = { first: 0, count: datagrams.length }
      port.receive(0, () => {})
      return datagrams.map((_, i) => ({
        from: readSockaddr(slots.source(i)),
        text: Buffer.concat([
          slots.headers.bytes.subarray(i * 8, i * 8 + 8),
          slots.texts.bytes.subarray(slots.textAt(i), slots.textAt(i) + Math.max(0, slots.textLength(i))),
        ]).toString(),
      }))
    },
  }
}

const channelData = (channel: number, text: string, length = text.length): Buffer => {
  const bytes = Buffer.alloc(4 + text.length)
  bytes.writeUInt16BE(channel)
  bytes.writeUInt16BE(length, 2)
  bytes.write(text, 4)
  return bytes
}

for (const [name, family] of [
  ['IPv4', AF_INET],
  ['both families', AF_INET6],
] as const) {
  t.test(`${name}: what is sent to a peer goes to the server, four bytes longer, in one batch`, async (t) => {
    const it = socket(family)
    const address = relayedAddress(2, CHANNEL, 40_001)
    t.equal(address, '0.2.64.1:40001')
    t.equal(it.send(address, ['one', 'two']), 101, 'unbound: unreachable, at once')
    it.port.bind(2, SERVER, CHANNEL, 40_001)
    t.equal(it.send(address, ['one', 'two', '3']), 0)
    t.match(it.sent, [{ to: SERVER, segmentBytes: 15 }])
    t.same(
      it.sent[0]?.bytes.map((bytes) => [
        bytes.readUInt16BE(0),
        bytes.readUInt16BE(2),
        bytes.subarray(12).toString(),
      ]),
      [
        [CHANNEL, 11, 'one'],
        [CHANNEL, 11, 'two'],
        [CHANNEL, 9, '3'],
      ],
    )
    t.equal(it.send('198.51.100.7:7443', ['plain']), 0)
    t.match(it.sent[1], { to: '198.51.100.7:7443', segmentBytes: 13 })
    it.port.unbind(2, CHANNEL)
    t.equal(it.send(address, ['one']), 101)
  })

  t.test(`${name}: what comes by a bound channel is its peer's; all else stays as it is`, async (t) => {
    const it = socket(family)
    it.port.bind(1, SERVER, CHANNEL, 40_001)
    it.port.bind(1, SERVER, 0x4002, 40_002)
    const seen = it.receive([
      { from: SERVER, bytes: channelData(CHANNEL, 'indexwordtext one') },
      { from: SERVER, bytes: channelData(0x4002, 'indexwordtext two') },
    ])
    t.same(seen, [
      { from: '0.1.64.1:40001', text: 'indexwordtext one' },
      { from: '0.1.64.2:40002', text: 'indexwordtext two' },
    ])
    const others = [
      { from: SERVER, bytes: channelData(0x4003, 'unknown channel') },
      { from: SERVER, bytes: channelData(CHANNEL, 'longer than it is', 200) },
      { from: SERVER, bytes: channelData(CHANNEL, 'short') },
      { from: '192.0.2.51:3478', bytes: channelData(CHANNEL, 'of another server') },
    ]
    t.same(
      it.receive(others),
      others.map(({ bytes, from }) => ({ from, text: bytes.toString() })),
    )
    t.equal(it.port.unknownChannels, 2)
  })
}

t.test('without channels nothing is looked at, and one server more than four is refused', async (t) => {
  const it = socket(AF_INET)
  const bytes = channelData(CHANNEL, 'indexwordtext one')
  t.same(it.receive([{ from: SERVER, bytes }]), [{ from: SERVER, text: bytes.toString() }])
  t.equal(it.port.maxSegments(1_472), 44)
  t.throws(() => it.port.bind(4, SERVER, CHANNEL, 1), RangeError)
})
