/** Slips of the pen: the quick test for one of them says what the full distance says. */
import fc from 'fast-check'
import t from 'tap'
import { distance, isOneOff } from '../../../conf/nearest.ts'

const cases: readonly [string, string, boolean][] = [
  ['bridge', 'bridge', false],
  ['bridg', 'bridge', true],
  ['bridgee', 'bridge', true],
  ['brigde', 'bridge', true],
  ['brodge', 'bridge', true],
  ['brdige', 'bridges', false],
  ['', 'x', true],
  ['', '', false],
]
for (const [a, b, expected] of cases) {
  t.test(
    `${JSON.stringify(a)} ${expected ? 'is' : 'is not'} one slip from ${JSON.stringify(b)}`,
    async (t) => {
      t.equal(isOneOff(a, b), expected)
      t.equal(isOneOff(b, a), expected)
    },
  )
}

t.test('whatever the words', async (t) => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 7 })
  const property = fc.property(word, word, (a, b) => isOneOff(a, b) === (distance(a, b) === 1))
  t.doesNotThrow(() => fc.assert(property, { numRuns: 3000 }))
})
