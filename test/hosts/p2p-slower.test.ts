/** A UDP path that works and is worse: slower than the gateway path, or slow in the same way as it. */
import t from 'tap'
import {
  becomesDirect,
  leavesUdp,
  metricsTo,
  p2pPair,
  pathTo,
  requestsTo,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'

t.test('80 ms more on UDP alone', { skip: needsRoot, timeout: 180_000 }, async (t) => {
  const pair = await p2pPair(t, { spare: 1 })
  const { net, one, two, faults } = pair
  await becomesDirect(pair)
  const requests = requestsTo(pair, 20)
  await requests.answered(20)
  const end = await faults.delay(t, net, 1, 2, 40)
  const ms = await leavesUdp(pair, 30_000)
  t.comment(`demoted after ${Math.round(ms)} ms (bounds 10,000 and 12,000)`)
  // The two looks at the routes and the views of each second are part of it.
  t.ok(ms >= 9_500 && ms <= 12_000, `after about ten seconds of it: ${Math.round(ms)} ms`)
  const reasons = (await Promise.all([pathTo(one, 2), pathTo(two, 1)])).map(({ reason }) => reason)
  t.ok(
    reasons.some((reason) => /slower/.test(reason)),
    reasons.join(' | '),
  )
  t.same([metricsTo(one, 2), metricsTo(two, 1)], [[200], [200]])
  await requests.stop()
  end()
})
