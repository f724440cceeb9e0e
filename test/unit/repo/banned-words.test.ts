/** The banned words fail the check wherever they stand, and the number that is still allowed only falls. */
import t from 'tap'
import { BANNED, tooOften } from '../../../build/check/banned-words.ts'

t.test('a banned word is found with its place', async (t) => {
  const texts = new Map([
    ['core/a.ts', '/** The lock is free. */\n// Nobody waits\nconst anybodyElse = 1'],
    ['notes/a.md', 'A sentence, and whoever reads it.'],
  ])
  t.same(tooOften(texts, { nobody: 0, whoever: 0, anybody: 0 }), [
    { word: 'nobody', places: ['core/a.ts:2: // Nobody waits'] },
    { word: 'whoever', places: ['notes/a.md:1: A sentence, and whoever reads it.'] },
  ])
})

t.test('what is still allowed passes, one more does not', async (t) => {
  const said = (times: number) => new Map([['a.md', 'nobody\n'.repeat(times)]])
  t.same(tooOften(said(2), { nobody: 2 }), [])
  t.equal(tooOften(said(3), { nobody: 2 })[0]?.places.length, 3)
})

t.test('the list', async (t) => {
  t.ok(Object.keys(BANNED).length >= 8)
})
