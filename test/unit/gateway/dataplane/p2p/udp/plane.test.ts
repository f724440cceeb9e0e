/**
 * Planes on a network in memory: every packet arrives as it left, in both forms, in any order, once, and from no
 * stranger.
 */
import { Errno } from 'netlink-ts/errors.ts'
import t from 'tap'
import { formOf, partOf, WireForm } from '../../../../../../gateway/dataplane/p2p/udp/wire/datagram.ts'
import type { MemoryHost } from '../../../../../helpers/cluster/plane-memory.ts'
import { bytesOf, FORMS, memoryNet, streamOf } from '../../../../../helpers/cluster/plane-memory-net.ts'
import { parsed, tcpPacket, udpPacket } from '../../../../../helpers/cluster/super-packet.ts'

const isAfterPart = (datagram: Uint8Array, part: number): boolean => {
  const word = Buffer.from(datagram).readUInt32BE(4)
  return formOf(word) !== WireForm.control && partOf(word) >= part
}

t.test('a foreign source is refused', async (t) => {
  const { world, a, b, c } = memoryNet(t, 'whole', 3)
  const genuine = tcpPacket({ data: bytesOf(5_000), src: '10.100.3.10' })
  c.tun.waiting.push(genuine)
  world.run()
  t.same(b.tun.written, [genuine])
  a.tun.waiting.push(genuine)
  world.run()
  t.match(a.plane.counters, { notOurs: 1 }, 'at the sender already')
  for (const form of FORMS) {
    b.tun.written.length = 0
    // A member that has gone bad seals it with its own keys all the same.
    const impostor = world.impostor(3, 2)
    impostor.plane.peer(2)?.setForm(form)
    impostor.tun.waiting.push(genuine, udpPacket({ data: bytesOf(10), src: '10.100.3.10' }))
    impostor.run()
    b.udp.arrived.push(...impostor.udp.sent.splice(0))
    world.run()
    t.same(b.tun.written, [], form)
    impostor.close()
  }
  t.equal(b.plane.peer(1)?.counters.rxRefused, 4 + 0)
})

t.test('packets for several hosts go each to its own', async (t) => {
  const { world, a, b, c } = memoryNet(t, undefined, 3)
  const to = (host: number, i: number) => udpPacket({ data: bytesOf(200 + i, i), dst: `10.100.${host}.10` })
  for (const form of FORMS) {
    for (const peer of [2, 3]) a.plane.peer(peer)?.setForm(form)
    for (let i = 0; i < 40; i++) a.tun.waiting.push(to(2 + (i % 3 === 0 ? 1 : 0), i))
    a.tun.waiting.push(to(9, 0))
    world.run()
    const got = (host: MemoryHost) => host.tun.written.splice(0).map((p) => parsed(p).data.byteLength - 200)
    const all = Array.from({ length: 40 }, (_, i) => i)
    t.same(
      got(b),
      all.filter((i) => i % 3 !== 0),
    )
    t.same(
      got(c),
      all.filter((i) => i % 3 === 0),
    )
  }
  t.match(a.plane.counters, { noPeer: 2, notOurs: 0 })
})

t.test('small packets that wait together share a message', async (t) => {
  const { world, a, b, atA } = memoryNet(t, 'whole')
  const sent = Array.from({ length: 60 }, (_, i) => udpPacket({ data: bytesOf(100, i) }))
  a.tun.waiting.push(...sent)
  world.run()
  t.same(b.tun.written, sent)
  t.equal(atA().txDatagrams, 6, '8,280 bytes')
})

t.test(
  'credit: reading stops while too much is out, and goes on after an acknowledgement or in time',
  async (t) => {
    const { world, a, b, atA } = memoryNet(t, 'whole')
    const many = () => Array.from({ length: 40 }, (_, i) => tcpPacket({ data: bytesOf(60_000, i) }))
    a.tun.waiting.push(...many())
    a.run()
    t.ok(a.tun.waiting.length > 15, `${a.tun.waiting.length} wait in the device, others in memory`)
    t.ok((a.plane.waitMs ?? 0) > 0 && (a.plane.waitMs ?? 0) <= 20)
    world.run()
    t.equal(a.tun.waiting.length, 0, 'acknowledgements let it go on')
    t.equal(b.tun.written.length, 40)
    t.match(atA(), { txLost: 0, txDropped: 0 })
    a.tun.waiting.push(...many(), ...many(), ...many())
    world.change = () => []
    world.run()
    t.ok(a.tun.waiting.length > 0, `${a.tun.waiting.length} wait: no acknowledgement comes`)
    world.time += 100
    t.equal(a.plane.waitMs, undefined)
    world.change = (datagram) => [datagram]
    world.run()
    t.equal(a.tun.waiting.length, 0)
    t.ok(atA().txLost > 100, `${atA().txLost} lost`)
  },
)

t.test(
  'a queue shorter than a message: the form becomes record, since nothing whole gets through',
  async (t) => {
    const { world, a, b, atA } = memoryNet(t)
    const peer = a.plane.peer(2)!
    // 480 Mbit/s, all of which arrives: the form is judged over 20,000 datagrams.
    for (let ms = 0; ms < 60 && peer.form === 'record'; ms++) {
      for (let i = 0; i < 10; i++) a.tun.waiting.push(tcpPacket({ data: bytesOf(60_000, i) }))
      world.run()
      world.time += 10
    }
    t.equal(peer.form, 'whole')
    // 22 datagrams of 1,472 bytes are 32 KB; a flow that does not slow down finds the queue full each time.
    world.change = (datagram) => (isAfterPart(datagram.bytes, 22) ? [] : [datagram])
    const [acked, lost] = [atA().txAcked, atA().txLost]
    b.tun.written.length = 0
    for (let ms = 0; ms < 500; ms += 5) {
      a.tun.waiting.push(tcpPacket({ data: bytesOf(60_000) }))
      world.run()
      world.time += 5
    }
    t.equal(peer.form, 'record')
    t.ok(b.tun.written.length > 50, `${b.tun.written.length} packets got through`)
    const share = (atA().txLost - lost) / (atA().txAcked - acked)
    t.ok(share > 0.4 && share < 0.7, `${Math.round(share * 100)} % counted as lost`)
  },
)

t.test('one of several whose credit is used up loses packets instead of holding up the others', async (t) => {
  const { world, a, c, atA } = memoryNet(t, 'whole', 3)
  world.change = (datagram) => (datagram.to === '10.0.0.2:7443' ? [] : [datagram])
  for (let i = 0; i < 40; i++) {
    a.tun.waiting.push(tcpPacket({ data: bytesOf(60_000, i) }))
    a.tun.waiting.push(udpPacket({ data: bytesOf(100, i), dst: '10.100.3.10' }))
  }
  world.run()
  t.equal(a.tun.waiting.length, 0)
  t.equal(c.tun.written.length, 40)
  t.ok(atA().txDropped > 20, `${atA().txDropped} dropped`)
})

t.test('control datagrams: content, padding, other addresses, repetition', async (t) => {
  const { world, a, b } = memoryNet(t)
  const peer = a.plane.peer(2)!
  t.equal(a.plane.sendControl(peer, 5, Buffer.from('hello'), { padToBytes: 1_400 }), 0)
  t.equal(a.udp.sent[0]?.bytes.byteLength, 1_400)
  const copy = a.udp.sent[0]!
  world.run()
  b.udp.arrived.push(copy, { ...copy, from: '10.9.9.9:1' })
  world.run()
  t.same(b.events, [['control', 1, 5, Buffer.from('hello').toString('hex'), '10.0.0.1:7443']])
  a.plane.sendControl(peer, 255, new Uint8Array(1_024), { to: '[2001:db8::7]:99' })
  t.match(a.udp.sent, [{ to: '[2001:db8::7]:99' }])
  t.throws(() => a.plane.sendControl(peer, 5, new Uint8Array(1_025)), /1025 bytes: at most 1024/)
  peer.setAddress(undefined)
  t.equal(a.plane.sendControl(peer, 5, new Uint8Array(0)), 107)
  t.equal(a.plane.sendControl(peer, 5, new Uint8Array(0), { to: '10.0.0.2:7443' }), 0)
  t.equal(a.plane.sendControl(peer, 5, new Uint8Array(0), { to: '10.0.0.2:7443', padToBytes: 9_001 }), 90)
  t.throws(() => a.plane.sendControl(peer, 0, new Uint8Array(0)), /control type 0: 1 to 255/)
  t.throws(() => peer.setSegmentBytes(1_099), /1100 to 9000/)
  t.throws(() => peer.setAddress('nowhere'), /write 192/)
})

t.test('a jumbo probe in the middle of a message of the usual size', async (t) => {
  const { world, a, b } = memoryNet(t, 'whole')
  a.tun.waiting.push(tcpPacket({ data: bytesOf(50_000) }))
  a.run()
  const datagrams = a.udp.sent.splice(0)
  a.plane.sendControl(a.plane.peer(2)!, 5, Buffer.from('big'), { padToBytes: 9_000 })
  b.udp.arrived.push(...datagrams.slice(0, 10), ...a.udp.sent.splice(0), ...datagrams.slice(10))
  world.run()
  t.match(b.events, [['control', 1, 5, Buffer.from('big').toString('hex')]])
  t.same(streamOf(b.tun.written, 1_000, 50_000), Buffer.from(bytesOf(50_000)))
})

const back = () => udpPacket({ data: bytesOf(9), src: '10.100.2.10', dst: '10.100.1.10' })

t.test('new keys open at once, seal once the peer has them, and the old ones die after 10 s', async (t) => {
  const { world, a, b, atB } = memoryNet(t, 'whole')
  const packet = (seed: number) => udpPacket({ data: bytesOf(50, seed) })
  a.tun.waiting.push(packet(1))
  a.run()
  const old = a.udp.sent.splice(0)
  b.plane.peer(1)?.replaceKeys(b.keys(1, 2), 'heard')
  b.tun.waiting.push(back())
  world.run()
  t.equal(a.tun.written.length, 1, 'b still seals with the old')
  a.plane.peer(2)?.replaceKeys(a.keys(2, 2), 'now')
  a.tun.waiting.push(packet(2))
  world.run()
  t.same(b.events, [['confirmed', 1]])
  b.tun.waiting.push(back())
  world.run()
  t.equal(a.tun.written.length, 2, 'b seals with the new')
  world.time += 9_000
  b.udp.arrived.push(...old)
  world.run()
  t.equal(b.tun.written.length, 2, 'what was sealed with the old still opens')
  world.time += 2_000
  world.run()
  b.udp.arrived.push(...old)
  world.run()
  t.match(b.plane.counters, { unknownIndex: old.length })
  t.match(atB(), { rxForged: 0 })
})

t.test('rekeys without an end hold no more than three keys', async (t) => {
  const { world, a, b } = memoryNet(t, 'whole')
  for (let seed = 2; seed < 50; seed++) {
    b.plane.peer(1)?.replaceKeys(b.keys(1, seed), 'heard')
    a.plane.peer(2)?.replaceKeys(a.keys(2, seed), 'now')
    a.tun.waiting.push(tcpPacket({ data: bytesOf(5_000, seed) }))
    world.run()
  }
  t.equal(b.tun.written.length, 48)
  t.equal(b.events.length, 48)
})

t.test('a host that is there already, an index that is taken, a host that has left', async (t) => {
  const { world, a, b } = memoryNet(t)
  t.throws(() => a.add(2), /host 2 is a peer already/)
  const keys = { ...a.keys(3), open: a.keys(2).open }
  t.throws(() => a.plane.addPeer({ hostId: 3, keys }), { code: 'ERR_FLATNET_TRY_AGAIN' })
  t.equal(a.plane.peer(3), undefined)
  a.tun.waiting.push(udpPacket({ data: bytesOf(10) }))
  a.run()
  const datagrams = a.udp.sent.splice(0)
  const gone = b.plane.peer(1)!
  b.plane.removePeer(1)
  b.plane.removePeer(1)
  b.udp.arrived.push(...datagrams)
  world.run()
  t.match(b.plane.counters, { unknownIndex: 1 })
  t.same(b.tun.written, [])
  t.equal(b.plane.sendControl(gone, 5, new Uint8Array(0)), 107)
  b.add(1)
  b.udp.arrived.push(...datagrams)
  world.run()
  t.equal(b.tun.written.length, 1, 'the same secret opens again')
})

t.test('a peer may be removed while its own control datagram is handled', async (t) => {
  const { world, a, b } = memoryNet(t)
  a.plane.sendControl(a.plane.peer(2)!, 5, Buffer.from('bye'))
  a.tun.waiting.push(udpPacket({ data: bytesOf(10) }))
  b.onEvent = () => b.plane.removePeer(1)
  world.run()
  t.equal(b.plane.peer(1), undefined)
  t.same(b.tun.written, [])
})

t.test('errors of the kernel are told once per step', async (t) => {
  const { a } = memoryNet(t, 'whole')
  a.udp.errors.push(113, 113, 90)
  for (let i = 0; i < 3; i++) a.tun.waiting.push(tcpPacket({ data: bytesOf(60_000) }))
  a.run()
  t.same(a.events, [
    ['sendError', 2, 113],
    ['sendError', 2, 90],
  ])
  a.tun.read = () => -77
  a.run()
  t.same(a.events.at(-1), ['deviceError', 77])
})

t.test('data from another address is reported, forged data is not', async (t) => {
  const { world, a, b } = memoryNet(t, 'record')
  world.change = (one) => (one.to === b.udp.address ? [{ ...one, from: '10.9.9.9:4444' }] : [one])
  a.tun.waiting.push(udpPacket({ data: bytesOf(10) }))
  a.run()
  const forged = a.udp.sent.map((one) => ({ ...one, from: '10.6.6.6:666', bytes: Buffer.from(one.bytes) }))
  for (const { bytes } of forged) bytes[20]! ^= 1
  b.udp.arrived.push(...forged)
  b.run()
  t.same(b.events, [])
  world.run()
  t.same(b.events, [['roamed', 1, '10.9.9.9:4444']])
})

t.test('without an address packets are dropped and counted', async (t) => {
  const { world, a, atA } = memoryNet(t)
  a.plane.peer(2)?.setAddress(undefined)
  a.tun.waiting.push(udpPacket({ data: bytesOf(10) }))
  world.run()
  t.match(atA(), { txDropped: 1, txPackets: 0 })
})

t.test('STUN is handed out as it came, and goes out as it is', async (t) => {
  const { world, a, b } = memoryNet(t)
  const stun = (cookie: string, length: number): Buffer =>
    Buffer.concat([Buffer.from(`00010000${cookie}`, 'hex'), Buffer.alloc(length - 8, 7)])
  const question = stun('2112a442', 20)
  t.equal(a.plane.plain.send(question, '10.0.0.2:7443'), 0)
  for (const bytes of [stun('2112a443', 20), stun('2112a442', 549)])
    b.udp.arrived.push({ from: '10.0.0.9:5', to: '10.0.0.2:7443', bytes })
  world.run()
  t.same(b.events, [['plain', question.toString('hex'), '10.0.0.1:7443']])
  t.match(b.plane.counters, { unknownIndex: 2 })
  t.equal(a.plane.plain.send(stun('2112a442', 549), '10.0.0.2:7443'), Errno.EMSGSIZE)
})
