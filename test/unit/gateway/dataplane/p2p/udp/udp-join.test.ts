/** Packets of one UDP flow that arrive together: joined for the device, or each alone. */
import t from 'tap'
import { bytesOf, memoryNet } from '../../../../../helpers/cluster/plane-memory-net.ts'
import { parsed, udpPacket } from '../../../../../helpers/cluster/super-packet.ts'

/** As a kernel gives them to a device that fills in checksums. */
const ofKernel = { flags: 1, csumStart: 20, csumOffset: 6, hdrLen: 28 }

t.test('packets of one UDP flow that come together reach the device as one super-packet', async (t) => {
  const { world, a, b } = memoryNet(t, 'whole')
  const datas = Array.from({ length: 20 }, (_, i) => bytesOf(i < 19 ? 1_000 : 300, i))
  a.tun.waiting.push(...datas.map((data, i) => udpPacket({ id: 7 + i, data, ...ofKernel })))
  world.run()
  t.equal(b.tun.written.length, 1)
  const whole = parsed(b.tun.written[0]!)
  t.match(whole, { isTcp: false, id: 7, gsoType: 5, gsoSize: 1_000, isRight: true })
  t.same(whole.data, Buffer.concat(datas))
  const bytes = 20 * 28 + 19 * 1_000 + 300
  t.match(b.plane.peer(1)?.counters, { rxPackets: 20, rxBytes: bytes, rxRefused: 0 })
  t.match(a.plane.peer(2)?.counters, { txPackets: 20, txBytes: bytes })
})

t.test('what is not one UDP flow is not joined', async (t) => {
  const sizes = (packets: readonly Buffer[]) => {
    const { world, a, b } = memoryNet(t, 'whole')
    a.tun.waiting.push(...packets.map((packet) => Buffer.from(packet)))
    world.run()
    t.equal(b.plane.peer(1)?.counters.rxPackets, packets.length)
    return b.tun.written.map((packet) => parsed(packet).data.byteLength)
  }
  const make = (count: number, of: (i: number) => Buffer) => Array.from({ length: count }, (_, i) => of(i))
  const one = (i: number, bytes = 500) => udpPacket({ data: bytesOf(bytes, i), ...ofKernel })
  t.same(sizes(make(7, (i) => one(i))), Array(7).fill(500), 'too few')
  t.same(
    sizes(make(10, (i) => udpPacket({ data: bytesOf(500, i) }))),
    Array(10).fill(500),
    'with their checksums in them',
  )
  t.same(
    sizes(
      make(10, (i) => udpPacket({ data: bytesOf(500, i), ...ofKernel, src: `10.100.1.${10 + (i % 2)}` })),
    ),
    Array(10).fill(500),
    'of two flows',
  )
  t.same(
    sizes(make(10, (i) => udpPacket({ data: bytesOf(500, i), ...ofKernel, fragment: 0x2000 }))),
    Array(10).fill(500),
    'fragments',
  )
  t.same(
    sizes(make(20, (i) => one(i, i === 9 ? 600 : 500))),
    [4_500, 1_100, 4_500],
    'a longer one begins another, a shorter one ends it',
  )
})

t.test('a device that takes no joined UDP gets each packet alone, from then on at once', async (t) => {
  const { world, a, b } = memoryNet(t, 'whole')
  let refused = 0
  b.tun.refuse = (packet) => {
    if (packet[1] !== 5) return 0
    refused++
    return 22
  }
  const sent = Array.from({ length: 20 }, (_, i) =>
    udpPacket({ id: i, data: bytesOf(1_000, i), ...ofKernel }),
  )
  for (let times = 0; times < 2; times++) {
    a.tun.waiting.push(...sent.map((packet) => Buffer.from(packet)))
    world.run()
  }
  t.same(b.tun.written, [...sent, ...sent])
  t.equal(refused, 1)
  t.match(b.plane.counters, { deviceRefused: 0 })
})
