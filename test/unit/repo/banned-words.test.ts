/** The banned words fail the check wherever they stand. */
import t from 'tap'
import { BANNED, bannedIn } from '../../../build/check/banned-words.ts'

t.test('a banned word is found with its place, a longer word that holds it is not', async (t) => {
  const texts = new Map([
    ['core/a.ts', '/** The lock is free. */\n// Whoever waits\nconst anybodyElse = 1'],
    ['notes/a.md', 'A sentence, and whoever reads it.'],
  ])
  t.same(bannedIn(texts), [
    {
      word: 'whoever',
      places: ['core/a.ts:2: // Whoever waits', 'notes/a.md:1: A sentence, and whoever reads it.'],
    },
  ])
})

t.test('each word of the list is found', async (t) => {
  for (const word of BANNED) t.equal(bannedIn(new Map([['a.md', `It is ${word} here.`]]))[0]?.word, word)
})
