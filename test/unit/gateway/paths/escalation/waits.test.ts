/** gateway/paths/escalation: the retry schedule, damping, and the rest of an address that failed. */
import t from 'tap'
import {
  isSuppressed,
  NO_DAMPING,
  penalized,
  type Rest,
  restAfter,
  suppressedUntil,
} from '../../../../../gateway/paths/escalation/damping.ts'
import {
  type RetrySchedule,
  tryAfresh,
  tryAt,
  tryLater,
} from '../../../../../gateway/paths/escalation/retry-schedule.ts'
import { qualityOf } from '../../../../../gateway/paths/escalation/view.ts'

const S = 1_000
const MINUTE = 60 * S

t.test('1, 5, 15, 30, 60, 120, 300 s, then 300 s for ever, each ±20 %', async (t) => {
  const waits = (random: number): number[] => {
    let schedule: RetrySchedule = tryAt(0)
    return Array.from({ length: 9 }, () => {
      schedule = tryLater(schedule, 0, random)
      return Math.round(schedule.nextAt) / S
    })
  }
  t.same(waits(0.5), [1, 5, 15, 30, 60, 120, 300, 300, 300])
  t.same(waits(0).slice(0, 3), [0.8, 4, 12])
  t.same(waits(1).slice(0, 3), [1.2, 6, 18])
})

t.test('a reset begins anew at once; within 10 s of the last one it waits for their end', async (t) => {
  const late = { failures: 7, nextAt: 500 * S }
  const first = tryAfresh(late, 100 * S)
  t.same(first, { failures: 0, nextAt: 100 * S, resetAt: 100 * S })
  const second = tryAfresh({ ...first, failures: 3, nextAt: 500 * S }, 105 * S)
  t.equal(second.nextAt, 110 * S)
  t.equal(second.failures, 3)
  t.equal(tryAfresh({ ...first, nextAt: 101 * S }, 105 * S).nextAt, 101 * S, 'never later than planned')
  t.equal(tryAfresh(second, 110 * S).failures, 0)
})

t.test('the fourth failure within 5 minutes suppresses, the third does not', async (t) => {
  let damping = NO_DAMPING
  for (const at of [0, 60, 120]) damping = penalized(damping, at * S)
  t.notOk(isSuppressed(damping, 120 * S))
  damping = penalized(damping, 180 * S)
  t.ok(isSuppressed(damping, 180 * S))
  const until = suppressedUntil(damping)
  t.ok(until > 8 * MINUTE && until < 15 * MINUTE, 'until the penalty is below 1,000')
  t.notOk(isSuppressed(damping, until))
})

t.test('one failure each 5 minutes never suppresses', async (t) => {
  let damping = NO_DAMPING
  let suppressed = 0
  for (let at = 0; at < 24 * 60 * MINUTE; at += 5 * MINUTE) {
    damping = penalized(damping, at)
    if (isSuppressed(damping, at)) suppressed++
  }
  t.equal(suppressed, 0)
  t.ok(damping.penalty < 2_001)
})

t.test('failures without an end: suppressed for 15 minutes at most', async (t) => {
  let damping = NO_DAMPING
  for (let at = 0; at < 100; at++) damping = penalized(damping, at)
  t.ok(suppressedUntil(damping) <= 15 * MINUTE + 100)
})

t.test(
  'an address that failed rests for 8 s, 24 s, 56 s and up to 10 minutes, and is forgiven',
  async (t) => {
    let rest: Rest | undefined
    let now = 0
    const rests: number[] = []
    for (let i = 0; i < 9; i++) {
      rest = restAfter(rest, 'a', now)
      rests.push(rest.restMs / S)
      now = rest.until
    }
    t.same(rests, [8, 24, 56, 120, 248, 504, 600, 600, 600])
    t.equal(restAfter(rest, 'b', now).restMs, 8 * S, 'another address')
    t.equal(restAfter(rest, 'a', now + 100 * MINUTE).restMs, 8 * S, 'long ago')
  },
)

t.test('quality: a product, so that one bad figure is not hidden', async (t) => {
  t.equal(qualityOf({}), 1)
  t.equal(qualityOf({ lossRate: 0.1 }), 0.5)
  t.equal(qualityOf({ rttMs: 300 }), 0.5)
  t.equal(qualityOf({ lossRate: 0.1, rttMs: 300 }), 0.25)
  t.equal(qualityOf({ lossRate: 1 }), 0)
})
