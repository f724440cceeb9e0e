/** Reassembly: any order, repetition, sizes that do not agree, and the bound on memory. */
import fc from 'fast-check'
import t from 'tap'
import {
  type Assembling,
  Reassembly,
} from '../../../../../../../gateway/dataplane/p2p/udp/wire/reassembly.ts'
import { Arena } from '../../../../../../../kernel/arena.ts'
import { bytesOf } from '../../../../../../helpers/cluster/plane-memory-net.ts'

class Sender implements Assembling {
  given = 0
  incomplete(): void {
    this.given++
  }
}

const arena = new Arena(22 << 20)
const from = arena.take(70_000)

/** Cuts `message` and adds the parts in this order. @returns what each said */
function add(
  reassembly: Reassembly,
  owner: Assembling,
  number: number,
  message: Uint8Array,
  partBytes: number,
  order: readonly number[],
) {
  const parts = Math.ceil(message.byteLength / partBytes)
  return order.map((part) => {
    const bytes = message.subarray(part * partBytes, (part + 1) * partBytes)
    from.bytes.set(bytes)
    const got = reassembly.add(owner, number, part, parts, from, 0, bytes.byteLength)
    if (typeof got === 'string') return got
    reassembly.take(owner, number)
    return Buffer.from(got.bytes.bytes.subarray(0, got.length))
  })
}

t.test('any order, with repetitions', async () => {
  const reassembly = new Reassembly(arena)
  const owner = new Sender()
  let number = 0
  fc.assert(
    fc.property(
      fc.integer({ min: 2, max: 44 }).chain((n) =>
        fc.record({
          order: fc.shuffledSubarray(
            Array.from({ length: n }, (_, i) => i),
            { minLength: n },
          ),
          again: fc.nat({ max: n - 1 }),
          last: fc.integer({ min: 1, max: 1_464 }),
        }),
      ),
      ({ order, again, last }) => {
        const message = bytesOf((order.length - 1) * 1_464 + last, number)
        const begun = add(reassembly, owner, ++number, message, 1_464, order.slice(0, -1))
        const repeated = add(reassembly, owner, number, message, 1_464, [
          order.slice(0, -1)[again % (order.length - 1)]!,
        ])
        const [whole] = add(reassembly, owner, number, message, 1_464, order.slice(-1))
        return (
          begun.every((got) => got === 'kept') &&
          repeated[0] === 'refused' &&
          Buffer.compare(whole as Buffer, message) === 0
        )
      },
    ),
  )
})

t.test('parts that do not agree are refused, and cost nothing that was there', async (t) => {
  const reassembly = new Reassembly(arena)
  const owner = new Sender()
  const put = (part: number, parts: number, length: number) =>
    reassembly.add(owner, 1, part, parts, from, 0, length)
  t.equal(put(0, 3, 1_464), 'kept')
  t.equal(put(1, 3, 1_463), 'refused', 'another size')
  t.equal(put(2, 3, 1_465), 'refused', 'a last part that is longer')
  t.equal(put(1, 4, 1_464), 'refused', 'another number of parts')
  t.equal(put(1, 3, 1_464), 'kept')
  t.match(put(2, 3, 1), { length: 2_929, parts: 3, number: 1 })
  t.equal(reassembly.add(owner, 2, 62, 64, from, 0, 1_464), 'refused', 'longer than any message')
  t.equal(reassembly.has(owner, 2), false)
  t.equal(reassembly.add(owner, 3, 63, 64, from, 0, 1_464), 'kept', 'its last alone could be')
  t.equal(reassembly.add(owner, 3, 0, 64, from, 0, 1_464), 'refused', 'with this one not')
})

t.test('memory is bounded: the oldest goes, and a sender first displaces its own', async (t) => {
  const reassembly = new Reassembly(arena)
  const senders = [new Sender(), new Sender(), new Sender(), new Sender()]
  const begin = (owner: Sender, number: number) => reassembly.add(owner, number, 0, 2, from, 0, 100)
  const [a, b, c, d] = senders as [Sender, Sender, Sender, Sender]
  for (let i = 1; i <= 44; i++) begin(a, i)
  t.equal(a.given, 12, '32 of its own stay')
  t.equal(reassembly.isFull(a), true)
  for (const owner of [b, c]) for (let i = 1; i <= 16; i++) begin(owner, i)
  t.same([a.given, b.given, c.given], [12, 0, 0])
  begin(d, 1)
  t.same([a.given, b.given, c.given, d.given], [13, 0, 0, 0], 'the oldest of all')
  t.notOk(reassembly.has(a, 13))
  t.ok(reassembly.has(a, 14))
  t.equal(reassembly.partsAfter(a, 42), 2)
  reassembly.forget(a)
  t.equal(reassembly.partsAfter(a, 0), 0)
  t.equal(a.given, 13, 'forgetting is not loss')
})

t.test('a complete message stays until it is taken, once', async (t) => {
  const reassembly = new Reassembly(arena)
  const owner = new Sender()
  const put = (number: number, part: number, counts: number) =>
    reassembly.add(owner, number, part, 2, from, 0, 100, counts)
  for (const number of [5, 3]) {
    put(number, 0, 1)
    t.equal(reassembly.take(owner, number), undefined, 'a part is missing')
    put(number, 1, 0)
  }
  put(4, 1, 1)
  t.same(reassembly.complete(owner), [3, 5])
  t.equal(reassembly.partsAfter(owner, 3), 2, 'parts that do not count as arrived are left out')
  t.match(reassembly.take(owner, 3), { number: 3, length: 200, counted: 1 })
  t.equal(reassembly.take(owner, 3), undefined)
  reassembly.dropBelow(owner, 5)
  t.equal(owner.given, 1, 'message 4 was incomplete')
  t.ok(reassembly.has(owner, 5))
})
