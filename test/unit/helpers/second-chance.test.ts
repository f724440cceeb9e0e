/** What failed beside other files counts as passed only when all of it passes alone, later, and is told. */
import t from 'tap'
import { firstRun, type RunFiles, secondChance } from '../../helpers/run/second-chance.ts'

/** @param alone what each file that failed at first does when it runs by itself */
async function chance(failed: readonly string[], alone: Readonly<Record<string, number>>) {
  const did: string[] = []
  const run: RunFiles = async (files, ended) => {
    did.push(files.join())
    const isFirst = files.length > 1
    const bad = files.filter((file) => (isFirst ? failed.includes(file) : (alone[file] ?? 0) > 0))
    for (const file of isFirst ? [...files, ...failed.filter((f) => !files.includes(f))] : files)
      ended(file, !bad.includes(file) && files.includes(file), '')
    const failures = isFirst ? failed.map((file) => `${file} > too late\n    at: x`) : bad
    return { passed: 7, failed: failures.length, skips: [], notes: ['n'], failures }
  }
  const first = await firstRun(['a', 'b', 'c', 'd', 'e', 'f', 'g'], run, () => {})
  const calm = async () => `calm ${did.push('calm')}`
  const tally = await secondChance(first, run, () => {}, calm)
  return { did: did.slice(1), failed: tally.failed, notes: tally.notes }
}

t.test('none failed', async (t) => t.same(await chance([], {}), { did: [], failed: 0, notes: ['n'] }))
t.test('one passes alone, on a calm machine', async (t) =>
  t.same(await chance(['b'], {}), {
    did: ['calm', 'b'],
    failed: 0,
    notes: ['n', 'failed beside other files and passed alone (calm 2): b > too late'],
  }),
)
t.test('one of two fails again: both count', async (t) =>
  t.same(await chance(['a', 'b'], { b: 1 }), { did: ['calm', 'a', 'calm', 'b'], failed: 2, notes: ['n'] }),
)
t.test('six have no second chance', async (t) =>
  t.same(await chance(['a', 'b', 'c', 'd', 'e', 'f'], {}), { did: [], failed: 6, notes: ['n'] }),
)
t.test('what is left open is no file', async (t) =>
  t.same(await chance(['a, after it'], {}), { did: [], failed: 1, notes: ['n'] }),
)
