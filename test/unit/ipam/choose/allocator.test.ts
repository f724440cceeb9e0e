/** ipam/choose/allocator.ts: which address comes next, as a table and as properties. */
import fc from 'fast-check'
import t from 'tap'
import { chooseAddress, isResting, type RangeFacts, REST_MS } from '../../../../ipam/choose/allocator.ts'

interface Case {
  readonly leased?: readonly number[]
  readonly released?: Readonly<Record<number, number>>
  readonly cursor?: number
  readonly held?: readonly number[]
}

const factsOf = ({ leased = [], released = {}, cursor, held = [] }: Case): RangeFacts => ({
  first: 10,
  last: 14,
  isLeased: (ip) => leased.includes(ip),
  releasedAt: (ip) => released[ip],
  cursor,
  isHeld: (ip) => held.includes(ip),
})

const cases: readonly (readonly [string, Case, number | undefined])[] = [
  // Never-used addresses, going round.
  ['the first of an empty range', {}, 10],
  ['the one after the cursor', { cursor: 11 }, 12],
  ['round to the start after the last', { cursor: 14 }, 10],
  ['over leased ones', { cursor: 10, leased: [11, 12] }, 13],
  ['a cursor of another slice counts as none', { cursor: 99 }, 10],
  ['a never-used one before any released one', { cursor: 10, released: { 11: 1, 12: 2 } }, 13],
  // Released addresses, longest first.
  ['the one released longest ago', { released: { 10: 5, 11: 3, 12: 4, 13: 9, 14: 8 } }, 11],
  [
    'over leased ones, the oldest of the rest',
    { leased: [11], released: { 10: 5, 12: 4, 13: 9, 14: 8 } },
    12,
  ],
  [
    'at equal times the one after the cursor',
    { cursor: 12, released: { 10: 5, 11: 5, 12: 5, 13: 5, 14: 5 } },
    13,
  ],
  // Held by a container that the leases do not know.
  ['over held ones', { held: [10, 11] }, 12],
  ['over held ones among the released', { released: { 10: 5, 11: 3, 12: 4, 13: 9, 14: 8 }, held: [11] }, 12],
  // Nothing.
  ['none when all are leased', { leased: [10, 11, 12, 13, 14] }, undefined],
  ['none when the rest is held', { leased: [10, 11, 12], held: [13, 14] }, undefined],
]

for (const [name, facts, expected] of cases) {
  t.test(`chooses ${name}`, async (t) => {
    t.equal(chooseAddress(factsOf(facts)), expected)
  })
}

t.test('an empty range has none', async (t) => {
  t.equal(chooseAddress({ ...factsOf({}), first: 5, last: 4 }), undefined)
})

t.test('an address rests for a minute', async (t) => {
  t.equal(isResting(1000, 1000), true)
  t.equal(isResting(1000, 1000 + REST_MS - 1), true)
  t.equal(isResting(1000, 1000 + REST_MS), false)
  t.equal(isResting(1000, 999), false, 'a clock that was set back')
})

t.test('it never chooses a leased or held address, and gives up only when there is no other', async (t) => {
  const ips = fc.integer({ min: 10, max: 14 })
  fc.assert(
    fc.property(
      fc.uniqueArray(ips),
      fc.dictionary(ips.map(String), fc.nat(100)),
      fc.option(fc.integer({ min: 5, max: 20 }), { nil: undefined }),
      fc.uniqueArray(ips),
      (leased, released, cursor, held) => {
        const chosen = chooseAddress(
          factsOf({ leased, released, held, ...(cursor !== undefined && { cursor }) }),
        )
        const possible = [10, 11, 12, 13, 14].filter((ip) => !leased.includes(ip) && !held.includes(ip))
        if (chosen === undefined) return possible.length === 0
        const fresh = possible.filter((ip) => released[ip] === undefined)
        const oldest = Math.min(...possible.map((ip) => released[ip] ?? 0))
        return (
          possible.includes(chosen) &&
          (fresh.length > 0 ? fresh.includes(chosen) : released[chosen] === oldest)
        )
      },
    ),
  )
  t.pass()
})
