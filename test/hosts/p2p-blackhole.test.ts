/** UDP that stops: traffic is back on the gateway path before a person notices, whichever direction is dropped. */
import t, { type Test } from 'tap'
import {
  becomesDirect,
  directAgain,
  failures,
  leavesUdp,
  PATIENCE_MS,
  p2pPair,
  pathTo,
  requestsTo,
  retryAt,
  worstGap,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { keepsBound, keepsBounds } from '../helpers/run/bound.ts'
import { waitFor } from '../helpers/run/wait.ts'

const BACK_MS = 600
const IDLE_BACK_MS = 2_000
const ONE_WAY_MS = 1_000
const GAP_MS = 1_200
const HEALED_MS = 20_000

t.test('two hosts with a direct path', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { one, faults } = pair

  /** UDP stops in some way under traffic, and stays so. */
  const broken = async (t: Test, drop: () => void) => {
    await directAgain(pair)
    const requests = requestsTo(pair, 100)
    await requests.answered(50)
    drop()
    const ms = await leavesUdp(pair)
    const answers = await requests.stop()
    t.same(failures(answers), [], 'no request failed')
    return { ms, gap: worstGap(answers) }
  }

  await t.test('both ways dropped under traffic', (t) =>
    keepsBounds(t, { 'back on the gateway path': BACK_MS, 'worst gap': GAP_MS }, async () => {
      const { ms, gap } = await broken(t, () => faults.drop(1, 2))
      return { 'back on the gateway path': ms, 'worst gap': gap }
    }),
  )

  for (const [from, to] of [
    [1, 2],
    [2, 1],
  ] as const)
    await t.test(`only from host ${from} to host ${to}`, async (t) => {
      await keepsBound(t, 'both on the gateway path', ONE_WAY_MS, async () => {
        const { ms } = await broken(t, () => faults.dropOneWay(from, to))
        return ms
      })
      await retryAt(pair)
      const requests = requestsTo(pair, 100)
      const until = performance.now() + 8_000
      let promotions = 0
      await waitFor('8 s have passed', PATIENCE_MS, async () => {
        if ((await pathTo(one, 2)).state === 'P2P_ACTIVE') promotions++
        return performance.now() > until
      })
      t.equal(promotions, 0, 'no promotion while one direction is blocked')
      t.same(failures(await requests.stop()), [], 'no request failed')
    })

  await t.test('both ways dropped while idle; comes back by itself', (t) =>
    keepsBounds(t, { 'back on the gateway path': IDLE_BACK_MS, 'direct again': HEALED_MS }, async () => {
      await directAgain(pair)
      faults.drop(1, 2)
      const ms = await leavesUdp(pair)
      faults.heal()
      const healedAt = performance.now()
      await becomesDirect(pair)
      return { 'back on the gateway path': ms, 'direct again': performance.now() - healedAt }
    }),
  )
})
