/**
 * A UDP path that fails each time when it has just been taken is damped after its fourth failure, until a person says
 * that it is mended.
 *
 * What fails is not a beat of the clock but each promotion, so that it takes as many of them on a machine that others
 * use too. It takes 100 s: after each failure the path rests, for 8, 24 and 55 s
 * (test/unit/gateway/paths/escalation/damping.test.ts).
 */
import t from 'tap'
import {
  becomesDirect,
  failures,
  leavesUdp,
  PATIENCE_MS,
  p2pPair,
  pathTo,
  promotionsOf,
  requestsTo,
  worstGap,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const PROMOTIONS = 4
/** The third rest is 55 s, and a busy machine takes its time for the try after it. */
const RESTED_MS = 120_000
/** A rest alone is over after two minutes; a damped path comes back when its penalty has halved once or more. */
const DAMPED_MS = 240_000

t.test('UDP blocked each time that it is used', { skip: needsRoot, timeout: 480_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { one, faults } = pair
  await becomesDirect(pair)
  const requests = requestsTo(pair, 20)
  await requests.answered(20)
  const promotions = (): number => promotionsOf(one)
  const isDamped = async (): Promise<boolean> =>
    /failed too often/.test((await pathTo(one, 2)).p2p?.reason ?? '')

  await t.test('damped after the fourth failure', async (t) => {
    while (!(await isDamped()) && promotions() <= PROMOTIONS) {
      await becomesDirect(pair, RESTED_MS)
      faults.drop(1, 2)
      const ms = await leavesUdp(pair)
      await waitFor('host 1 says so', PATIENCE_MS, async () => (await pathTo(one, 2)).state !== 'P2P_ACTIVE')
      faults.heal()
      t.comment(`promotion ${promotions()}: left ${ms} ms after UDP was blocked`)
    }
    t.equal(promotions(), PROMOTIONS, 'promotions')
  })

  await t.test('it works again, and is not used', async (t) => {
    const before = promotions()
    const { reason, nextAttemptAt = '' } = await waitFor(
      'status says that it would work',
      RESTED_MS,
      async () => {
        const { p2p } = await pathTo(one, 2)
        return /failed too often.*it would work now/.test(p2p?.reason ?? '') ? p2p : undefined
      },
    )
    t.comment(`${reason}; next try at ${nextAttemptAt}`)
    t.ok(Date.parse(nextAttemptAt) - Date.now() > DAMPED_MS, 'for minutes')
    t.equal(promotions(), before, 'no promotion more')
  })

  await t.test('flatnet retry ends it', async () => {
    await one.ok('retry', '2')
    await becomesDirect(pair)
  })

  const answers = await requests.stop()
  t.comment(`${answers.length} requests, worst gap ${worstGap(answers)} ms`)
  t.same(failures(answers), [], 'no request failed')
})
