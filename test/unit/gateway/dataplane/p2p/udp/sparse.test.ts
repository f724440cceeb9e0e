/** Sparse flows pass the backlog of bulk: how far, at whose cost, and in what order. */
import fc from 'fast-check'
import t from 'tap'
import { Flows, flowOf } from '../../../../../../gateway/dataplane/p2p/udp/flow/flows.ts'
import { type MemoryHost, MemoryNet } from '../../../../../helpers/cluster/plane-memory.ts'
import { bytesOf, FORMS, memoryNet } from '../../../../../helpers/cluster/plane-memory-net.ts'
import { parsed, tcpPacket, udpPacket } from '../../../../../helpers/cluster/super-packet.ts'

const PORTS_AT = 30

const onPort = (packet: Buffer, port: number): Buffer => {
  packet.writeUInt16BE(port, PORTS_AT + 2)
  return packet
}
const bulk = (id: number, port = 80): Buffer => onPort(tcpPacket({ id, data: bytesOf(60_000, id) }), port)
const small = (id: number, port = 53, dst = '10.100.2.10'): Buffer =>
  onPort(udpPacket({ id, data: bytesOf(100, id), dst }), port)

/** What arrived, as `T` or `U`, port and number, without the pieces of a super-packet but its first. */
const names = (host: MemoryHost): string[] => {
  const all = host.tun.written.map((bytes) => {
    const { isTcp, id } = parsed(bytes)
    return `${isTcp ? 'T' : 'U'}${bytes.readUInt16BE(PORTS_AT + 2)}:${id}`
  })
  return all.filter((name, i) => name !== all[i - 1])
}

for (const form of FORMS)
  t.test(`${form}: a packet of a sparse flow passes the bulk that was read before it`, async (t) => {
    const { world, a, b } = memoryNet(t, form)
    a.tun.waiting.push(small(1))
    world.run()
    b.tun.written.length = 0
    a.tun.waiting.push(...Array.from({ length: 10 }, (_, i) => bulk(i)), small(2))
    a.plane.step()
    world.carry()
    b.run()
    t.equal(names(b)[0], 'U53:2', `first of ${names(b).join(' ')}`)
    t.equal(a.tun.waiting.length, 0, 'the device was read until it was empty')
    world.run()
    t.same(names(b), ['U53:2', ...Array.from({ length: 10 }, (_, i) => `T80:${i}`)])
  })

/** How often a step reads the device before it sends anything. */
function readsBeforeSending(host: MemoryHost): number {
  const read = host.tun.read.bind(host.tun)
  let reads = 0
  host.tun.read = (...args) => {
    if (host.udp.sent.length === 0) reads++
    return read(...args)
  }
  host.plane.step()
  host.tun.read = read
  return reads
}

t.test(
  'bulk alone goes as it is read; acknowledgements of TCP change nothing, any other sparse packet does',
  async (t) => {
    const { world, a } = memoryNet(t, 'whole')
    const four = () => Array.from({ length: 4 }, (_, i) => bulk(i))
    const reads = (first: readonly Buffer[]) => {
      a.tun.waiting.push(...first)
      world.run()
      a.tun.waiting.push(...four())
      const count = readsBeforeSending(a)
      world.run()
      return count
    }
    t.equal(reads([]), 3, '128 KB')
    t.equal(reads([onPort(tcpPacket({ data: bytesOf(0) }), 90)]), 3)
    t.equal(reads([onPort(tcpPacket({ data: bytesOf(0), tcpFlags: 2 }), 91)]), 5, 'SYN')
    world.time += 1_000
    t.equal(reads([]), 3, 'half a second is over')
    t.equal(reads([onPort(tcpPacket({ data: bytesOf(1) }), 90)]), 5)
    world.time += 1_000
    t.equal(reads([small(1)]), 5)
  },
)

/** One packet: of which flow, and whether it is a super-packet of TCP. */
interface Planned {
  readonly flow: number
  readonly isBulk: boolean
}

/** Sends these packets, so many at a time, numbered in each flow. @throws {Error} a flow got out of order */
function arrivesInOrder(net: MemoryNet, turns: readonly (readonly Planned[])[]): boolean {
  const [a, b] = net.hosts as [MemoryHost, MemoryHost]
  const sent = new Map<string, number>()
  for (const packets of turns) {
    for (const { flow, isBulk } of packets) {
      const name = `${isBulk ? 'T' : 'U'}${flow}`
      const number = sent.get(name) ?? 0
      sent.set(name, number + 1)
      const data = bytesOf(isBulk ? 9_000 * (flow + 1) : 100, number)
      const packet = isBulk ? tcpPacket({ id: number * 64, data }) : udpPacket({ id: number, data })
      a.tun.waiting.push(onPort(packet, flow))
    }
    a.plane.step()
  }
  net.run()
  const last = new Map<string, number>()
  for (const name of names(b)) {
    const [flow = '', id = ''] = name.split(':')
    // Record may deliver a super-packet in pieces, which count on from its identification.
    const number = flow.startsWith('T') ? Math.floor(Number(id) / 64) : Number(id)
    const before = last.get(flow) ?? -1
    if (number !== before && number !== before + 1) throw new Error(`${flow}: ${number} after ${before}`)
    last.set(flow, number)
  }
  return [...sent].every(([name, count]) => last.get(name) === count - 1)
}

t.test('whatever the mix: nothing is lost, and no flow gets out of order', async () => {
  const one = fc.record({ flow: fc.integer({ min: 0, max: 3 }), isBulk: fc.boolean() })
  const turns = fc.array(fc.array(one, { maxLength: 12 }), { maxLength: 12 })
  fc.assert(
    fc.property(fc.constantFrom(...FORMS), turns, (form, planned) => {
      const net = new MemoryNet(2)
      try {
        net.hosts[0]?.plane.peer(2)?.setForm(form)
        return arrivesInOrder(net, planned)
      } finally {
        net.close()
      }
    }),
    { numRuns: 30 },
  )
})

t.test('a flow that sends much is bulk, and waits its turn', async (t) => {
  const { world, a, b } = memoryNet(t, 'whole')
  a.tun.waiting.push(small(0, 99), ...Array.from({ length: 300 }, (_, i) => small(i, 53)))
  world.run()
  b.tun.written.length = 0
  a.tun.waiting.push(...Array.from({ length: 10 }, (_, i) => bulk(i)), small(1, 53), small(1, 99))
  world.run()
  t.same(
    names(b).filter((name) => name.startsWith('U')),
    ['U99:1', 'U53:1'],
  )
  t.equal(names(b).at(-1), 'U53:1', 'behind all that came before it')
  b.tun.written.length = 0
  world.time += 20
  a.tun.waiting.push(...Array.from({ length: 10 }, (_, i) => bulk(i)), small(2, 53))
  world.run()
  t.equal(names(b)[0], 'U53:2', 'and is sparse again when it has been quiet')
})

t.test('many sparse flows do not starve bulk', async (t) => {
  const { world, a, b } = memoryNet(t, 'whole')
  a.tun.waiting.push(
    small(0),
    bulk(0),
    ...Array.from({ length: 3_000 }, (_, i) => small(i, 1_000 + (i % 500))),
  )
  world.run()
  const at = names(b).indexOf('T80:0')
  t.ok(at >= 0 && at < 400, `${at} packets went first`)
  t.equal(b.tun.written.length, 3_002)
})

t.test('without credit bulk waits, up to a bound, and sparse flows go on', async (t) => {
  const { world, a, b } = memoryNet(t, 'whole')
  world.change = () => []
  a.tun.waiting.push(...Array.from({ length: 10 }, (_, i) => bulk(i)))
  world.run()
  t.ok((a.plane.waitMs ?? 0) > 0)
  t.same([a.tun.waiting.length, a.plane.readsDevice], [0, true], 'there is room')
  world.change = (datagram) => [datagram]
  a.tun.waiting.push(small(1))
  a.run()
  world.carry()
  b.run()
  t.same(names(b), ['U53:1'])
  a.tun.waiting.push(...Array.from({ length: 60 }, (_, i) => bulk(i)))
  world.change = () => []
  world.run()
  t.equal(a.plane.readsDevice, false)
  const read = 70 - a.tun.waiting.length
  t.ok(read >= 18 && read <= 24, `${read} packets of 60 KB were read: 256 KB on their way, 1 MB in memory`)
  world.time += 100
  world.change = (datagram) => [datagram]
  world.run()
  t.same([a.tun.waiting.length, a.plane.readsDevice], [0, true], 'and all goes on in time')
})

t.test('a peer that leaves takes its backlog along', async (t) => {
  const { world, a, c, atA } = memoryNet(t, 'whole', 3)
  world.change = () => []
  a.tun.waiting.push(...Array.from({ length: 20 }, (_, i) => bulk(i)))
  world.run()
  const { txPackets } = atA()
  const counters = atA()
  a.plane.removePeer(2)
  world.change = (datagram) => [datagram]
  a.tun.waiting.push(small(1, 53, '10.100.3.10'))
  world.run()
  t.same(names(c), ['U53:1'])
  t.equal(counters.txPackets, txPackets)
  t.equal(counters.txPackets + counters.txDropped + a.plane.counters.noPeer, 20)
})

t.test('flows differ by addresses, protocol and ports; fragments have no ports', async (t) => {
  const flow = (packet: Buffer) => flowOf(packet, 0)
  t.equal(flow(small(1)), flow(small(2)))
  t.not(flow(small(1)), flow(small(1, 54)))
  t.not(flow(small(1)), flow(small(1, 53, '10.100.2.11')))
  t.not(flow(onPort(tcpPacket({ data: bytesOf(9) }), 53)), flow(small(1)))
  const fragment = (port: number) => onPort(udpPacket({ data: bytesOf(9), fragment: 0x2000 }), port)
  t.equal(flow(fragment(53)), flow(fragment(54)))
  const flows = new Flows()
  t.equal(flows.isSparse(5, 32_768, 1_000), true)
  t.equal(flows.isSparse(5, 1, 1_000), false)
  t.equal(flows.isSparse(6, 1, 1_000), true, 'each on its own')
  t.equal(flows.isSparse(5, 100, 1_001), true, '4 KB came back')
  flows.waits(5)
  t.equal(flows.isSparse(5, 1, 2_000), false, 'a packet of its own waits')
  flows.left(5)
  t.equal(flows.isSparse(5, 1, 3_000), true)
})
