/**
 * UDP that comes and goes every five seconds: packets soon stay on the gateway path, and no request is lost meanwhile.
 *
 * What keeps it off at any one moment, its failures, its loss or a try that goes on, is a matter of chance on a machine
 * that others use; what failures do is in p2p-damped.
 *
 * By hand: npx tap --timeout=420 test/hosts/p2p-flapping.test.ts
 */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import {
  becomesDirect,
  failures,
  p2pPair,
  pathTo,
  promotionsOf,
  requestsTo,
  worstGap,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'

const FOR_MS = 300_000
const EVERY_MS = 5_000
const PROMOTIONS = 4

t.test('UDP blocked and unblocked each 5 s for 5 min', { skip: needsRoot, timeout: 420_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { one, faults } = pair
  await becomesDirect(pair)
  const requests = requestsTo(pair, 20)
  await requests.answered(20)
  const began = performance.now()
  let isBlocked = false
  for (let at = EVERY_MS; at <= FOR_MS; at += EVERY_MS) {
    isBlocked = !isBlocked
    if (isBlocked) faults.drop(1, 2)
    else faults.heal()
    // The beat is the fault itself, so nothing can be waited for.
    await pause(began + at - performance.now())
  }
  const answers = await requests.stop()
  const { p2p } = await pathTo(one, 2)
  const promotions = promotionsOf(one)
  t.comment(`${promotions} promotions (bound ${PROMOTIONS}), then: ${p2p?.reason}`)
  t.comment(`${answers.length} requests, worst gap ${worstGap(answers)} ms`)
  t.ok(promotions <= PROMOTIONS, `at most ${PROMOTIONS} promotions`)
  t.same(failures(answers), [], 'no request failed')
  t.ok(answers.length >= (FOR_MS / 1_000) * 20 * 0.9, 'about 20 requests a second')
})
