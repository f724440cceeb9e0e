/** How long a direct way that came back has to hold, after breaks of each kind. */
import t from 'tap'
import { Steadiness } from '../../../../gateway/paths/steadiness.ts'

/** A way at a clock that moves as the test says. */
function way() {
  let now = 0
  const steadiness = new Steadiness(now)
  const see = (stands: boolean) => steadiness.see(stands, false, now)
  return {
    get settlesMs() {
      return steadiness.settlesMs
    },
    /** It stands for so long, then is cut for a moment. */
    cutAfter(ms: number): number {
      see(true)
      now += ms
      see(false)
      now += 500
      return steadiness.settlesMs
    },
  }
}

t.test('short cuts in a row lengthen the wait, and a minute without one forgives them', async (t) => {
  const cut = way()
  t.same(
    [1, 2, 3, 4, 5].map(() => cut.cutAfter(1_000)),
    [2_000, 4_000, 8_000, 16_000, 32_000],
  )
  t.same(
    [1, 2, 3].map(() => cut.cutAfter(1_000)),
    [60_000, 60_000, 60_000],
    'a minute at most',
  )
  t.equal(cut.cutAfter(59_999), 60_000)
  t.equal(cut.cutAfter(60_000 - 1), 60_000)
  const healed = way()
  for (let i = 0; i < 5; i++) healed.cutAfter(1_000)
  t.equal(healed.cutAfter(60_000), 2_000, '60 s without a cut, its wait among them')
})

t.test('what breaks as soon as it has packets is not forgiven for its wait', async (t) => {
  const broken = way()
  broken.cutAfter(1_000)
  t.same(
    [1, 2, 3, 4, 5, 6, 7, 8, 9].map(() => broken.cutAfter(broken.settlesMs + 3_000)),
    [4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000],
  )
  t.equal(
    broken.cutAfter(300_000 + 10_000),
    2_000,
    'it carried packets for 10 s, after minutes without a break',
  )
})

t.test('an orderly end is no break', async (t) => {
  const stopped = new Steadiness(0)
  for (let i = 0; i < 5; i++) {
    stopped.see(true, false, i * 100)
    stopped.see(false, true, i * 100 + 50)
  }
  t.equal(stopped.settlesMs, 2_000)
})
