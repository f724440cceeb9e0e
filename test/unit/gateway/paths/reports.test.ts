/** What members say of their links: who leads to a host, who carries letters. */
import t from 'tap'
import { Reports } from '../../../../gateway/paths/reports.ts'

const report = (hosts: readonly number[], more = {}) => ({
  type: 'paths.links' as const,
  links: hosts.map((hostId) => [hostId, 5] as const),
  freePairs: 1,
  uptimeMs: 1,
  ...more,
})

t.test('a host that members lead to again is told once, and not while another one leads there', async (t) => {
  const reports = new Reports()
  const led: number[] = []
  const stop = reports.onLed((hostId) => void led.push(hostId))
  reports.handle(2, report([1, 3]), 0)
  t.same(led.splice(0), [1, 3])
  reports.handle(2, report([1, 3]), 5_000)
  reports.handle(4, report([3]), 5_000)
  reports.handle(2, report([1]), 6_000)
  reports.handle(2, report([1, 3]), 7_000)
  t.same(led, [], 'host 4 led there all the time')
  reports.forget(4)
  reports.handle(2, report([1]), 8_000)
  reports.handle(2, report([1, 3]), 9_000)
  t.same(led.splice(0), [3])
  reports.handle(2, report([1, 3]), 60_000)
  t.same(led.splice(0), [1, 3], 'what is too old counts no more')
  reports.handle(2, { ...report([9]), uptimeMs: -1 }, 60_000)
  t.same(led, [], 'nor what is no report')
  stop()
  reports.handle(2, report([7]), 61_000)
  t.same(led, [])
})

t.test('who carries letters is what its newest report says', async (t) => {
  const reports = new Reports()
  t.notOk(reports.carriesLetters(2))
  for (const letters of [undefined, false, 'yes', 1]) {
    t.ok(reports.handle(2, report([], letters === undefined ? {} : { letters }), 0))
    t.notOk(reports.carriesLetters(2), String(letters))
  }
  reports.handle(2, report([], { letters: true }), 0)
  t.ok(reports.carriesLetters(2))
  reports.forget(2)
  t.notOk(reports.carriesLetters(2))
})
