/** Parts of whole messages that got lost are sent again: in order, once, counted as lost, and with bounds. */
import t, { type Test } from 'tap'
import { encodeResend } from '../../../../../../gateway/dataplane/p2p/udp/control.ts'
import { formOf, partOf, WireForm } from '../../../../../../gateway/dataplane/p2p/udp/wire/datagram.ts'
import type { Datagram } from '../../../../../helpers/cluster/plane-memory.ts'
import { bytesOf, memoryNet } from '../../../../../helpers/cluster/plane-memory-net.ts'
import { tcpPacket } from '../../../../../helpers/cluster/super-packet.ts'

const PARTS = 42
const packet = (i: number): Buffer => tcpPacket({ data: bytesOf(60_000, i), sequence: 1 + i * 60_000 })
/** Which of `packet` each of these is, byte for byte; -1: none. */
const numbersOf = (written: readonly Buffer[]): number[] =>
  written.map((one) =>
    Array.from({ length: 200 }, (_, i) => i).findIndex((i) => one.length > 30_000 && one.equals(packets[i]!)),
  )
const packets = Array.from({ length: 200 }, (_, i) => packet(i))
const isData = ({ bytes }: Datagram): boolean => formOf(bytes.readUInt32BE(4)) === WireForm.whole
const isPart =
  (part: number) =>
  (datagram: Datagram): boolean =>
    isData(datagram) && partOf(datagram.bytes.readUInt32BE(4)) === part

/** Two hosts whose receiver asks and whose sender keeps: both have learned that by a first loss. */
function recovering(t: Test) {
  const net = memoryNet(t, 'whole')
  const { world, a, b } = net
  const send = (from: number, count: number) => {
    for (let i = from; i < from + count; i++) a.tun.waiting.push(packet(i))
  }
  // Acknowledgements both ways say that both are of this version.
  for (const host of [a, b]) host.tun.waiting.push(...(host === a ? [packet(0), packet(1)] : []))
  b.tun.waiting.push(tcpPacket({ data: bytesOf(60_000), src: '10.100.2.10', dst: '10.100.1.10' }))
  b.tun.waiting.push(tcpPacket({ data: bytesOf(60_000), src: '10.100.2.10', dst: '10.100.1.10' }))
  world.run()
  let hasLost = false
  world.change = (datagram) => {
    const loses = !hasLost && datagram.from === a.udp.address && isPart(3)(datagram)
    hasLost ||= loses
    return loses ? [] : [datagram]
  }
  send(2, 2)
  world.run()
  world.change = (datagram) => [datagram]
  b.tun.written.length = 0
  return { ...net, send }
}

/** Loses, once each, the datagrams of host 1 that `isLost` names. @returns the lost ones, and the resent ones */
function losing({ world, a }: ReturnType<typeof recovering>, isLost: (datagram: Datagram) => boolean) {
  const lost: Datagram[] = []
  const again: Datagram[] = []
  const key = ({ bytes }: Datagram) => bytes.toString('latin1')
  const known = new Set<string>()
  world.change = (datagram) => {
    if (datagram.from !== a.udp.address || !isData(datagram)) return [datagram]
    if (known.has(key(datagram))) again.push(datagram)
    else if (isLost(datagram)) {
      known.add(key(datagram))
      lost.push(datagram)
      return []
    }
    return [datagram]
  }
  return { lost, again }
}

t.test('what got lost comes again as it was, and all packets arrive in their order', async (t) => {
  const net = recovering(t)
  const { world, b, send, atA, atB } = net
  const before = { ...atA() }
  const { lost, again } = losing(net, (datagram) =>
    isPart([0, 7, PARTS - 1][datagram.bytes.readUInt16BE(6) % 3]!)(datagram),
  )
  for (let i = 10; i < 40; i += 3) {
    send(i, 3)
    world.run()
    world.time += 1
  }
  // The last message has nothing behind it that would show the hole.
  world.change = (datagram) => [datagram]
  send(40, 1)
  world.run()
  t.same(
    numbersOf(b.tun.written),
    Array.from({ length: 31 }, (_, i) => i + 10),
  )
  t.equal(lost.length, 30)
  t.ok(again.length === 30 && again.every(({ bytes }) => lost.some((one) => one.bytes.equals(bytes))))
  t.equal(atA().txResent - before.txResent, 30)
  t.match(atB(), { rxForged: 0, rxReplayed: 0, rxMalformed: 0 })
  world.time += 500
  send(50, 3)
  world.run()
  t.equal(atA().txLost - before.txLost, 30, 'they count as lost all the same')
})

t.test('a message of which nothing arrived comes again as well', async (t) => {
  const net = recovering(t)
  const { world, b, send } = net
  const small = (i: number) => tcpPacket({ data: bytesOf(10, i), sequence: i })
  let count = 0
  const { lost } = losing(net, () => count++ === 1)
  for (let i = 1; i < 6; i++) {
    net.a.tun.waiting.push(small(i))
    net.a.run()
  }
  world.run()
  t.equal(lost.length, 1)
  t.same(b.tun.written, [1, 2, 3, 4, 5].map(small))
  send(9, 1)
  world.run()
  t.same(b.tun.written.at(-1), packet(9))
})

t.test('a resent datagram that comes once more is a replay', async (t) => {
  const net = recovering(t)
  const { world, b, send, atB } = net
  const { again } = losing(net, isPart(5))
  send(10, 3)
  world.run()
  send(13, 1)
  world.run()
  t.ok(again.length >= 3, `${again.length} sent again`)
  const { length } = b.tun.written
  const { rxReplayed } = atB()
  for (let i = 0; i < 3; i++) b.udp.arrived.push(...again)
  b.run()
  t.equal(b.tun.written.length, length)
  t.equal(atB().rxReplayed - rxReplayed, 3 * again.length)
})

t.test('what is lost for good is given up in 16 ms, and what waited is delivered', async (t) => {
  const net = recovering(t)
  const { world, b, send, atB } = net
  const { rxIncomplete } = atB()
  // The answers are lost as well, so that nothing tells how it stands.
  world.change = (datagram) => (isPart(5)(datagram) || datagram.bytes.readUInt8(4) === 0xc0 ? [] : [datagram])
  send(10, 1)
  world.run()
  world.change = (datagram) => (datagram.bytes.readUInt8(4) === 0xc0 ? [] : [datagram])
  send(11, 4)
  world.run()
  t.same(b.tun.written, [], 'four messages wait')
  const holdMs = b.plane.holdMs ?? Number.NaN
  t.ok(holdMs > 0 && holdMs <= 16, `for ${holdMs} ms`)
  world.time += holdMs
  world.run()
  t.same(numbersOf(b.tun.written), [11, 12, 13, 14])
  t.equal(atB().rxIncomplete - rxIncomplete, 1)
  t.equal(b.plane.holdMs, undefined)
})

t.test('a part that gets lost each time is sent again three times', async (t) => {
  const net = recovering(t)
  const { world, b, send, atA, atB } = net
  const { txResent } = atA()
  const { rxIncomplete } = atB()
  let id: number | undefined
  world.change = (datagram) => {
    if (!isPart(5)(datagram)) return [datagram]
    id ??= datagram.bytes.readUInt16BE(6)
    return datagram.bytes.readUInt16BE(6) === id ? [] : [datagram]
  }
  for (let i = 10; i < 20; i++) {
    send(i, 1)
    world.run()
  }
  t.equal(atA().txResent - txResent, 3)
  t.equal(atB().rxIncomplete - rxIncomplete, 1)
  t.same(numbersOf(b.tun.written), [11, 12, 13, 14, 15, 16, 17, 18, 19], 'the others in their order')
})

t.test('a host that is not known to answer is not asked', async (t) => {
  const { world, a, b, atA, atB } = memoryNet(t, 'whole')
  const controls: number[] = []
  world.change = (datagram) => {
    if (datagram.from === b.udp.address) controls.push(datagram.bytes.byteLength)
    return isPart(3)(datagram) ? [] : [datagram]
  }
  // Host 1 has nothing to acknowledge, as a host of an earlier version that says nothing of it.
  for (let i = 0; i < 60; i++) {
    a.tun.waiting.push(i % 4 === 0 ? tcpPacket({ data: bytesOf(10) }) : packet(i))
    world.run()
    world.time += 20
  }
  t.ok(controls.length > 0 && controls.every((bytes) => bytes === 46), 'nothing but acknowledgements')
  t.equal(atA().txResent, 0)
  t.ok(atB().rxIncomplete > 0)
})

t.test('heavy loss: nothing is sent again for ten seconds', async (t) => {
  const net = recovering(t)
  const { world, a, send, atA } = net
  let count = 0
  world.change = (datagram) => (isData(datagram) && count++ % 10 === 0 ? [] : [datagram])
  const load = (from: number) => {
    for (let i = from; i < from + 60; i++) {
      send(i % 200, 1)
      world.run()
      world.time += 2
    }
  }
  load(100)
  t.ok(atA().txLost > 0.05 * atA().txAcked, `${atA().txLost} of ${atA().txAcked} lost`)
  const { txResent } = atA()
  load(300)
  t.equal(atA().txResent, txResent)
  a.plane.peer(2)?.setForm(undefined)
  t.match(a.plane.peer(2), { form: 'record' }, 'the TCP inside shall see the loss')
})

t.test('a request for messages that never were is answered, and costs nothing', async (t) => {
  const net = recovering(t)
  const { a, b, world, send, atA } = net
  const { txResent } = atA()
  const sent: number[] = []
  world.change = (datagram) => {
    if (datagram.from === a.udp.address) sent.push(datagram.bytes.byteLength)
    return [datagram]
  }
  const parts = Array.from({ length: 90 }, (_, i) => ({ number: 30_000 + i, low: -1, high: -1 }))
  const index = a.keys(2).seal.index
  b.plane.sendControl(b.plane.peer(1)!, 1, encodeResend({ index, request: 9, isOn: true, parts }))
  world.run()
  t.equal(atA().txResent, txResent)
  t.equal(sent.length, 1, 'one answer')
  send(10, 2)
  world.run()
  t.same(numbersOf(b.tun.written), [10, 11])
})
