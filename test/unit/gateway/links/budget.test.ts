/** gateway/links/budget: what members do in normal life is within it, and a member that floods has to stay away. */
import t from 'tap'
import { type Cost, MemberBudget } from '../../../../gateway/links/budget.ts'
import { SimTime } from '../../../helpers/sim/network.ts'

const MIB = 1024 * 1024

function world() {
  const time = new SimTime()
  const told: string[] = []
  const budget = new MemberBudget(
    time.scheduler(() => 0),
    {
      overspent: (spent) => void told.push(spent),
      rested: () => void told.push('rested'),
    },
  )
  /** The first of so many that was refused; undefined: none. */
  const spendEvery = (everyMs: number, count: number, cost: Cost): number | undefined => {
    for (let n = 0; n < count; n++) {
      if (budget.spend(cost) !== undefined) return n
      time.run(everyMs)
    }
    return undefined
  }
  return { time, told, budget, spendEvery }
}

t.test('normal life', async (t) => {
  const cases: [string, number, number, Cost][] = [
    ['253 tables at once after a partition', 0, 253, { bytes: 50 * 1024, frames: 1, cpuMs: 4 }],
    ['a slice of 65,536 addresses', 0, 64, { bytes: 262_144, frames: 1, cpuMs: 20 }],
    ['a container that changes 50 times a second', 20, 10_000, { bytes: 600, frames: 1, cpuMs: 0.5 }],
    ['a link that flaps as fast as backoff lets it', 200, 3_000, { connections: 1, bytes: 2_000, frames: 4 }],
    [
      'a page of an earlier version that is too long, again and again',
      2_000,
      300,
      { skipped: (3 * MIB) / 4 },
    ],
  ]
  for (const [name, everyMs, count, cost] of cases)
    t.equal(world().spendEvery(everyMs, count, cost), undefined, name)
})

t.test('floods', async (t) => {
  const cases: [string, number, Cost, RegExp][] = [
    ['bytes', 0, { bytes: 65_536, frames: 1 }, /bytes/],
    ['small frames', 0, { frames: 3_000, bytes: 15_000 }, /bytes/],
    ['20 MB that are passed over', 100, { bytes: 65_536, skipped: 20 * MIB }, /bytes/],
    ['messages that take long', 20, { bytes: 10_000, cpuMs: 20 }, /time/],
    ['connections', 50, { connections: 1 }, /time/],
  ]
  for (const [name, everyMs, cost, why] of cases) {
    const { told, budget, spendEvery, time } = world()
    t.not(spendEvery(everyMs, 10_000, cost), undefined, name)
    t.match(told, [why])
    t.ok(budget.isOver)
    t.match(budget.spend({ bytes: 1 }) ?? '', /^$|stays away/)
    time.run(10_000)
    t.match(told, [why, 'rested'])
    t.equal(budget.isOver, false)
    t.equal(
      spendEvery(1_000, 100, { bytes: 2_000, frames: 10, cpuMs: 5 }),
      undefined,
      'a mended one may stay',
    )
  }
})

t.test('a link that is ended waits for nothing', async (t) => {
  const { told, budget, spendEvery, time } = world()
  spendEvery(0, 10_000, { bytes: MIB })
  budget.stop()
  time.run(60_000)
  t.equal(told.length, 1)
})
