/** docs/architecture/nat.md shows the tables of pairs and set-ups that test/nat goes by; that of pairs is whole. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { NAT_KINDS } from '../../helpers/nat/nat-router.ts'
import { PAIRS, pairTable } from '../../helpers/nat/pair-table.ts'
import { setUpTable } from '../../helpers/nat/set-ups.ts'
import { inRepo } from '../../helpers/run/sources.ts'

t.test('the document shows both tables', async (t) => {
  const text = readFileSync(inRepo('docs/architecture/nat.md'), 'utf8')
  for (const table of [pairTable(), setUpTable()]) t.ok(text.includes(`\n${table}\n`), table)
})

t.test('every pair is in it once, and every kind with the hub', async (t) => {
  const pairs = PAIRS.map(({ a, b }) => [a, b].toSorted().join(' '))
  t.equal(new Set(pairs).size, pairs.length)
  t.equal(PAIRS.filter(({ a }) => a !== 'public').length, 36)
  t.same(
    PAIRS.filter(({ a }) => a === 'public').map(({ b }) => b),
    NAT_KINDS,
  )
})
