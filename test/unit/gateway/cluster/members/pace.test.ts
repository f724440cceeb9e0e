/**
 * gateway/cluster pace: one host's endpoints are news a few times in ten seconds, and others' are not held up by it.
 */
import t from 'tap'
import { Pace } from '../../../../../gateway/cluster/members/pace.ts'

t.test('five changes in ten seconds, of each host', (t) => {
  const pace = new Pace()
  const taken = Array.from({ length: 8 }, (_, n) => pace.reserve(2, 1_000 + n))
  t.same(taken, [true, true, true, true, true, false, false, false])
  t.ok(pace.reserve(3, 1_100), 'another host')
  t.notOk(pace.reserve(2, 10_999))
  t.ok(pace.reserve(2, 11_000), 'a window later')
  t.end()
})
