/** A bound is held by the best of three measurements, and broken when none keeps it. */
import t, { type Test } from 'tap'
import { keepsBound, keepsBounds } from '../../helpers/run/bound.ts'
import { stolenMs } from '../../helpers/run/stalled.ts'

/** A test that notes what is asserted. */
function noting() {
  const said: [ok: boolean, text: string][] = []
  const say = (ok: boolean, text: string) => {
    said.push([ok, text])
    return ok
  }
  return { said, stand: { ok: say, fail: (text: string) => say(false, text) } as unknown as Test }
}

/** Judges these times against 100 ms. @returns what was asserted, and how many were measured */
async function judged(...times: number[]) {
  const { said, stand } = noting()
  let measured = 0
  await keepsBound(stand, 'it', 100, () => times[measured++] ?? 0)
  return { said, measured }
}

t.test('the first time that keeps it is enough', async (t) => {
  t.same(await judged(100), { said: [[true, 'it after 100 ms (bound 100)']], measured: 1 })
  t.same(await judged(101, 99), { said: [[true, 'it after 101, then 99 ms (bound 100)']], measured: 2 })
})

t.test('three that are beyond it break it', async (t) =>
  t.same(await judged(500, 101, 102, 1), {
    said: [[false, 'it after 500, then 101, then 102 ms (bound 100)']],
    measured: 3,
  }),
)

t.test('a time that cannot be keeps no bound', async (t) => {
  for (const ms of [-1, Number.NaN])
    t.same(await judged(ms, 1), { said: [[false, `it: measured ${ms} ms`]], measured: 1 })
})

t.test('of several times each needs one try that keeps it', async (t) => {
  const tries = [
    { a: 101, b: 5 },
    { a: 1, b: 900 },
    { a: 1, b: 1 },
  ]
  const { said, stand } = noting()
  await keepsBounds(stand, { a: 100, b: 100 }, async () => tries.shift() ?? { a: 0, b: 0 })
  t.same(said, [
    [true, 'a after 101, then 1 ms (bound 100)'],
    [true, 'b after 5, then 900 ms (bound 100)'],
  ])
  t.equal(tries.length, 1)
  const second = noting()
  await keepsBounds(second.stand, { a: 100, b: 100 }, async () => ({ a: 1, b: 101 }))
  t.same(
    second.said.map(([ok]) => ok),
    [true, false],
  )
})

t.test('what a hypervisor took is the eighth counter of all processors, which is shared out', async (t) => {
  t.equal(stolenMs('cpu  38802 0 36320 171225 440 0 10039 44 0 0\ncpu0 1 1\ncpu1 1 1\nintr 1\n'), 220)
  t.equal(stolenMs(''), 0)
})
