/**
 * Both forms, packet by packet: every size and kind, repeated, reversed, with each datagram lost in turn, cut for the
 * device.
 */
import t from 'tap'
import { bytesOf, FORMS, memoryNet, streamOf } from '../../../../../helpers/cluster/plane-memory-net.ts'
import { parsed, tcpPacket, udpPacket } from '../../../../../helpers/cluster/super-packet.ts'

/** One of everything but what record takes apart. */
const mixed = (): Buffer[] => [
  udpPacket({ data: bytesOf(0) }),
  udpPacket({ data: bytesOf(1_400) }),
  udpPacket({ data: bytesOf(1_500) }),
  udpPacket({ data: bytesOf(65_507) }),
  tcpPacket({ data: bytesOf(0) }),
  tcpPacket({ data: bytesOf(1_448) }),
  udpPacket({ data: bytesOf(20_000), mss: 1_000 }),
]

for (const form of FORMS) {
  t.test(`${form}: packets of every kind arrive as they left`, async (t) => {
    const { world, a, b, atA, atB } = memoryNet(t, form)
    a.tun.waiting.push(...mixed())
    world.run()
    const sorted = (packets: readonly Buffer[]) => packets.toSorted(Buffer.compare)
    t.same(sorted(b.tun.written), sorted(mixed()))
    t.match(atA(), { txPackets: 7, txDropped: 0 })
    t.match(atB(), { rxPackets: 7, rxForged: 0, rxMalformed: 0, rxRefused: 0, rxReplayed: 0 })
  })

  t.test(`${form}: a TCP super-packet of every size`, async (t) => {
    const { world, a, b } = memoryNet(t, form)
    for (const length of [1_449, 1_450, 2_896, 2_897, 10_000, 59_999, 64_000, 65_483])
      for (const tcpHeader of [20, 32, 44, 60]) {
        const bytes = Math.min(length, 65_535 - 20 - tcpHeader)
        a.tun.waiting.push(tcpPacket({ data: bytesOf(bytes), tcpHeader }))
        world.run()
        const got = streamOf(b.tun.written.splice(0), 1_000, bytes)
        t.same(got, Buffer.from(bytesOf(bytes)), `${bytes} behind ${tcpHeader}`)
      }
  })

  t.test(`${form}: every datagram twice and all in reverse, and later once more`, async (t) => {
    const { a, b, atB } = memoryNet(t, form)
    a.tun.waiting.push(...mixed())
    a.run()
    const datagrams = a.udp.sent.splice(0)
    b.udp.arrived.push(...[...datagrams, ...datagrams].reverse())
    b.run()
    const sorted = (packets: readonly Buffer[]) => packets.toSorted(Buffer.compare)
    t.same(sorted(b.tun.written.splice(0)), sorted(mixed()))
    b.udp.arrived.push(...datagrams)
    b.run()
    t.same(b.tun.written, [])
    t.ok(atB().rxReplayed >= datagrams.length, `${atB().rxReplayed} of ${datagrams.length}`)
    t.match(atB(), { rxForged: 0, rxMalformed: 0, rxIncomplete: 0 })
  })

  t.test(`${form}: segments of other sizes, changed in between`, async (t) => {
    const { world, a, b, atB } = memoryNet(t, form)
    for (const bytes of [1_100, 1_232, 9_000, 1_472, 8_972, 1_452]) {
      a.plane.peer(2)?.setSegmentBytes(bytes)
      // More than it takes for a layout to follow.
      for (let i = 0; i < 12; i++) {
        a.tun.waiting.push(tcpPacket({ data: bytesOf(50_000, i) }), udpPacket({ data: bytesOf(20, i) }))
        world.run()
        const written = b.tun.written.splice(0)
        const tcp = written.filter((p) => parsed(p).isTcp)
        t.same(streamOf(tcp, 1_000, 50_000), Buffer.from(bytesOf(50_000, i)))
        t.equal(written.length - tcp.length, 1)
      }
    }
    t.match(atB(), { rxForged: 0, rxMalformed: 0, rxIncomplete: 0 })
  })

  t.test(
    `${form}: a lost datagram costs no more than it must, and nothing is delivered in part`,
    async (t) => {
      const { a, b } = memoryNet(t, form)
      const data = bytesOf(60_000)
      for (let lost = 0; lost < 44; lost++) {
        a.tun.waiting.push(tcpPacket({ data }))
        a.run()
        const datagrams = a.udp.sent.splice(0)
        b.udp.arrived.push(...datagrams.filter((_, i) => i !== lost % datagrams.length))
        b.run()
        const pieces = b.tun.written.splice(0).map(parsed)
        for (const d of b.udp.sent.splice(0)) a.udp.arrived.push(d)
        if (form === 'whole') t.same(pieces, [], `without ${lost}`)
        else {
          const got = pieces.reduce((sum, piece) => sum + piece.data.byteLength, 0)
          const isRight = pieces.every(
            ({ isRight, sequence, data: piece }) =>
              isRight && piece.equals(data.subarray(sequence - 1_000, sequence - 1_000 + piece.byteLength)),
          )
          t.ok(
            isRight && pieces.length <= 2 && got >= 60_000 - 1_448 && got < 60_000,
            `without ${lost}: ${got}`,
          )
        }
      }
    },
  )

  t.test(`${form}: the flags of TCP are where the kernel would put them`, async (t) => {
    const { a, b } = memoryNet(t, form)
    const [FIN, PSH, ACK, CWR] = [1, 8, 16, 128]
    a.tun.waiting.push(tcpPacket({ data: bytesOf(10_000), tcpFlags: FIN | PSH | ACK | CWR, id: 100 }))
    a.run()
    b.udp.arrived.push(...a.udp.sent.splice(0).filter((_, i) => form === 'whole' || i !== 3))
    b.run()
    const pieces = b.tun.written.map(parsed)
    const expected =
      form === 'whole'
        ? [{ flags: FIN | PSH | ACK | CWR, id: 100 }]
        : [
            { flags: ACK | CWR, id: 100, sequence: 1_000 },
            { flags: ACK | PSH | FIN, id: 104 },
          ]
    t.match(pieces, expected)
    const last = pieces.at(-1)
    t.equal((last?.sequence ?? 0) + (last?.data.byteLength ?? 0), 11_000)
  })

  t.test(`${form}: a device that refuses super-packets gets segments`, async (t) => {
    const { world, a, b, atB } = memoryNet(t, form)
    b.tun.refuse = (packet) => (packet[1] === 0 ? 0 : 22)
    for (let i = 0; i < 2; i++) {
      a.tun.waiting.push(
        tcpPacket({ data: bytesOf(20_000, i) }),
        udpPacket({ data: bytesOf(5_000), mss: 1_000 }),
      )
      world.run()
      const written = b.tun.written.splice(0)
      const tcp = written.filter((p) => parsed(p).isTcp)
      t.same(streamOf(tcp, 1_000, 20_000), Buffer.from(bytesOf(20_000, i)))
      const udp = written.map(parsed).filter((p) => !p.isTcp)
      t.same(Buffer.concat(udp.map((p) => p.data)), Buffer.from(bytesOf(5_000)))
      t.ok(written.map(parsed).every((p) => p.isRight && p.gsoType === 0 && p.data.byteLength <= 1_448))
    }
    t.match(atB(), { rxRefused: 0 })
    t.match(b.plane.counters, { deviceRefused: 0 })
  })

  t.test(`${form}: a device that takes nothing costs packets and is counted`, async (t) => {
    const { world, a, b } = memoryNet(t, form)
    for (const errno of [22, 5]) {
      b.tun.refuse = () => errno
      a.tun.waiting.push(tcpPacket({ data: bytesOf(20_000) }), udpPacket({ data: bytesOf(10) }))
      world.run()
    }
    t.same(b.tun.written, [])
    t.ok(b.plane.counters.deviceRefused >= 4, `${b.plane.counters.deviceRefused}`)
  })

  t.test(`${form}: packets that would hurt a kernel are not written`, async (t) => {
    const { world, a, b, atB } = memoryNet(t, form)
    a.tun.waiting.push(
      udpPacket({ data: bytesOf(100), hdrLen: 60_000 }),
      tcpPacket({ data: bytesOf(10_000), csumStart: 12 }),
      tcpPacket({ data: bytesOf(10_000), csumOffset: 60_000 }),
      tcpPacket({ data: bytesOf(10_000), gsoSize: 1 }),
      tcpPacket({ data: bytesOf(10_000), fragment: 1 }),
    )
    world.run()
    t.same(b.tun.written, [])
    t.equal(atB().rxRefused, 5)
  })
}
