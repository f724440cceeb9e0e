/**
 * The receiver against everything that a network or a stranger may do: noise, truncation, flipped bits, repetition,
 * loss and any order, on memory with canaries. Nothing crashes, nothing is written outside its place, nothing arrives
 * twice or changed.
 */
import fc from 'fast-check'
import t from 'tap'
import type { Datagram } from '../../../../../helpers/cluster/plane-memory.ts'
import { bytesOf, FORMS, memoryNet } from '../../../../../helpers/cluster/plane-memory-net.ts'
import { parsed, tcpPacket, udpPacket } from '../../../../../helpers/cluster/super-packet.ts'

/** Every eighth byte of data says which packet it is of and where in it. */
const marked = (id: number, length: number): Uint8Array => {
  const data = bytesOf(length, id)
  const view = new DataView(data.buffer)
  for (let at = 0; at + 8 <= length; at += 8) {
    view.setUint32(at, id)
    view.setUint32(at + 4, at)
  }
  return data
}

type Packet = { readonly isTcp: boolean; readonly length: number }
const packets: fc.Arbitrary<Packet[]> = fc.array(
  fc.record({
    isTcp: fc.boolean(),
    length: fc.oneof(
      fc.integer({ min: 0, max: 200 }),
      fc.integer({ min: 0, max: 3_000 }),
      fc.integer({ min: 0, max: 65_000 }),
    ),
  }),
  { minLength: 1, maxLength: 12 },
)

/** From host 2 to host 1. */
const back = [tcpPacket({ data: bytesOf(40_000), src: '10.100.2.10', dst: '10.100.1.10' })]

/** What happens to one datagram. */
type Fate =
  | { readonly do: 'keep' | 'lose' | 'twice' }
  | { readonly do: 'cut'; readonly to: number }
  | { readonly do: 'flip'; readonly bit: number }
  | { readonly do: 'later'; readonly by: number }
  | { readonly do: 'noise'; readonly bytes: Uint8Array }
const fate: fc.Arbitrary<Fate> = fc.oneof(
  { weight: 12, arbitrary: fc.constant({ do: 'keep' } as const) },
  { weight: 1, arbitrary: fc.constantFrom({ do: 'lose' } as const, { do: 'twice' } as const) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('cut' as const), to: fc.integer({ min: 0, max: 1_500 }) }),
  },
  // Most of all in the header, which decides where things go.
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('flip' as const),
      bit: fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 12_000 })),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('later' as const), by: fc.integer({ min: 1, max: 90 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('noise' as const), bytes: fc.uint8Array({ maxLength: 1_600 }) }),
  },
)

/**
 * How many parts get lost of random examples is a matter of chance, so these come first. Of each message of 44 parts one
 * gets lost, or none: where all lose some, the sender changes its form.
 */
const LOSSY: [Packet[], Fate[]][] = Array.from({ length: 12 }, () => [
  Array.from({ length: 12 }, () => ({ isTcp: true, length: 60_000 })),
  [...Array.from({ length: 60 }, () => ({ do: 'keep' }) as const), { do: 'lose' }],
])

/** @returns the datagrams that arrive, in their order */
function suffer(sent: readonly Datagram[], fates: readonly Fate[]): Datagram[] {
  const out: { at: number; one: Datagram }[] = []
  for (const [i, one] of sent.entries()) {
    const what = fates[i % fates.length]!
    const put = (bytes: Buffer, at = i) => out.push({ at, one: { ...one, bytes } })
    if (what.do === 'lose') continue
    if (what.do === 'cut') put(one.bytes.subarray(0, what.to))
    else if (what.do === 'flip') {
      const bytes = Buffer.from(one.bytes)
      const bit = what.bit % (bytes.byteLength * 8)
      bytes[bit >> 3]! ^= 1 << (bit & 7)
      put(bytes)
    } else put(one.bytes, what.do === 'later' ? i + what.by : i)
    if (what.do === 'twice') put(one.bytes)
    // Noise that knows the index gets further.
    if (what.do === 'noise') {
      put(Buffer.from(what.bytes))
      put(Buffer.concat([one.bytes.subarray(0, 4), what.bytes]))
      put(Buffer.concat([one.bytes.subarray(0, 8), what.bytes]))
    }
  }
  return out.toSorted((x, y) => x.at - y.at).map(({ one }) => one)
}

/** Counts each byte of data that was delivered. @throws {Error} a byte is not the one that was sent, or came twice */
class Ledger {
  readonly #seen = new Map<number, Uint8Array>()
  readonly #data: Uint8Array[] = []

  /** Of the packets that are sent next, by their number. */
  sends(data: readonly Uint8Array[]): void {
    this.#data.push(...data)
  }

  note(packet: Buffer): void {
    const { isRight, id, sequence, isTcp, data } = parsed(packet)
    if (!isRight) throw new Error('a checksum or a length is wrong')
    // TCP: the sequence begins at a million times the number; pieces count up the identification.
    const number = isTcp ? Math.floor(sequence / 1_000_000) : id
    const from = isTcp ? sequence % 1_000_000 : 0
    const expected = this.#data[number]
    if (expected === undefined || !data.equals(expected.subarray(from, from + data.byteLength)))
      throw new Error(`packet ${number} at ${from}: ${data.byteLength} bytes that were not sent`)
    const seen = this.#seen.get(number) ?? new Uint8Array(expected.byteLength + 1)
    this.#seen.set(number, seen)
    // A packet without data has one place as well.
    const to = data.byteLength === 0 ? from + 1 : from + data.byteLength
    if (seen.subarray(from, to).some((byte) => byte !== 0))
      throw new Error(`packet ${number} at ${from} twice`)
    seen.fill(1, from, to)
  }

  get bytes(): number {
    let total = 0
    for (const seen of this.#seen.values()) total += seen.reduce((sum, one) => sum + one, 0)
    return total
  }
}

for (const [form, resends] of [...FORMS.map((form) => [form, false] as const), ['whole', true] as const])
  t.test(`${form}${resends ? ', lost parts sent again' : ''}: what arrives was sent, once`, async (t) => {
    const { world, a, b, atA, atB } = memoryNet(t, form)
    let number = 0
    // One for all examples: a packet may wait in the sender's backlog until the next one begins.
    const ledger = new Ledger()
    const property = fc.property(packets, fc.array(fate, { minLength: 1, maxLength: 120 }), (list, fates) => {
      const first = number
      const data = list.map(({ length }, i) => marked(first + i, length))
      number += list.length
      ledger.sends(data)
      a.tun.waiting.push(
        ...list.map(({ isTcp }, i) => {
          const id = first + i
          return isTcp
            ? tcpPacket({ data: data[i]!, id, sequence: id * 1_000_000 })
            : udpPacket({ data: data[i]!, id })
        }),
      )
      const before = b.tun.written.length
      for (let turns = 0; a.tun.waiting.length > 0 || turns < (resends ? 12 : 2); turns++) {
        // Host 1 acknowledges this, and so tells host 2 that it sends again.
        if (resends && turns === 0) b.tun.waiting.push(...back, ...back)
        a.run()
        b.udp.arrived.push(...suffer(a.udp.sent.splice(0), fates))
        b.run()
        a.udp.arrived.push(...suffer(b.udp.sent.splice(0), fates))
        world.time += resends ? 1 + (turns % 3) * 5 : 50
      }
      a.tun.written.length = 0
      for (const packet of b.tun.written.slice(before)) ledger.note(packet)
      b.tun.written.length = 0
      if (!a.isIntact || !b.isIntact) throw new Error('a byte was written outside its place')
    })
    // At most 4,294 packets, a million times whose number is a TCP sequence.
    fc.assert(property, { numRuns: 60, endOnFailure: true, examples: resends ? LOSSY : [] })
    t.ok(ledger.bytes > 20_000, `${ledger.bytes} bytes arrived`)
    t.ok(atB().rxForged > 0 && atB().rxReplayed > 0, JSON.stringify(atB()))
    if (resends) t.ok(atA().txResent > 50, `${atA().txResent} sent again`)
  })

t.test('noise alone: nothing comes of it', async (t) => {
  const { world, a, b, atB } = memoryNet(t)
  // With the right index, and with a header that could be.
  a.tun.waiting.push(udpPacket({ data: bytesOf(10) }))
  a.run()
  const index = a.udp.sent.splice(0)[0]!.bytes.subarray(0, 4)
  const header = fc.record({
    // Most of them whole, so that reassembly overflows.
    form: fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constant(1)),
    part: fc.oneof(fc.integer({ min: 0, max: 63 }), fc.integer({ min: 0, max: 2 })),
    parts: fc.oneof(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 1, max: 3 })),
    id: fc.integer({ min: 0, max: 65_535 }),
  })
  const noise = fc.record({
    header,
    bytes: fc
      .tuple(fc.integer({ min: 0, max: 9_500 }), fc.nat())
      .map(([length, seed]) => bytesOf(length, seed)),
    isKnown: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(noise, { minLength: 40, maxLength: 80 }), (all) => {
      for (const { header: h, bytes, isKnown } of all) {
        // Most counters of eight random bytes are none that a sender reaches.
        const counter = Buffer.alloc(bytes.byteLength % 3 === 0 ? 0 : 4)
        const start = Buffer.from([(h.form << 6) | h.part, h.parts, h.id >> 8, h.id & 255])
        const datagram = Buffer.concat([isKnown ? index : Buffer.alloc(4, 9), start, counter, bytes])
        b.udp.arrived.push({ from: '10.6.6.6:666', to: b.udp.address, bytes: datagram })
      }
      world.run()
      if (!b.isIntact) throw new Error('a byte was written outside its place')
    }),
    { numRuns: 60 },
  )
  t.same(b.tun.written, [])
  t.same(b.events, [])
  t.equal(atB().rxPackets, 0)
  t.ok(atB().rxForged > 20 && atB().rxIncomplete > 0, JSON.stringify(atB()))
  a.tun.waiting.push(udpPacket({ data: bytesOf(10) }), tcpPacket({ data: bytesOf(60_000) }))
  world.run()
  t.ok(b.tun.written.length >= 2, 'and what is genuine arrives')
})

t.test('a member that seals nonsense cannot hurt either', async (t) => {
  const { world, a, b, atB } = memoryNet(t, 'record')
  // The first bytes of a packet are what decides; the rest is any.
  const packet = fc.record({
    isTcp: fc.boolean(),
    length: fc.integer({ min: 0, max: 20_000 }),
    at: fc.array(fc.tuple(fc.integer({ min: 0, max: 69 }), fc.integer({ min: 0, max: 255 })), {
      maxLength: 4,
    }),
  })
  fc.assert(
    fc.property(fc.array(packet, { minLength: 1, maxLength: 6 }), fc.constantFrom(...FORMS), (list, form) => {
      a.plane.peer(2)?.setForm(form)
      for (const { isTcp, length, at } of list) {
        const bytes = isTcp
          ? tcpPacket({ data: bytesOf(length) })
          : udpPacket({ data: bytesOf(length), mss: 1_000 })
        // Not the addresses, by which its own plane chooses where it goes.
        for (const [place, value] of at) if (place < 22 || place >= 30) bytes[place] = value
        a.tun.waiting.push(bytes)
      }
      for (let i = 0; i < 4; i++) {
        world.run()
        world.time += 50
      }
      if (!a.isIntact || !b.isIntact) throw new Error('a byte was written outside its place')
    }),
    { numRuns: 60 },
  )
  t.ok(atB().rxRefused + atB().rxMalformed > 10, JSON.stringify(atB()))
  t.ok(b.tun.written.length > 10)
})
