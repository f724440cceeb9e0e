/** UDP that stops: traffic is back on the gateway path before a person notices, whichever direction is dropped. */
import t from 'tap'
import {
  becomesDirect,
  failures,
  leavesUdp,
  PATIENCE_MS,
  p2pPair,
  pathTo,
  requestsTo,
  worstGap,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const BACK_MS = 600
const IDLE_BACK_MS = 2_000
const ONE_WAY_MS = 1_000
const GAP_MS = 1_200
const HEALED_MS = 20_000

t.test('two hosts with a direct path', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { one, faults } = pair
  const says = async (what: string, ms: number, bound: number) => {
    t.comment(`${what}: ${Math.round(ms)} ms (bound ${bound})`)
    t.ok(ms <= bound, `${what} within ${bound} ms`)
  }
  await becomesDirect(pair)

  await t.test('both ways dropped under traffic', async (t) => {
    const requests = requestsTo(pair, 100)
    await requests.answered(50)
    faults.drop(1, 2)
    const ms = await leavesUdp(pair)
    const answers = await requests.stop()
    faults.heal()
    await says('back on the gateway path', ms, BACK_MS)
    await says('worst gap between answers', worstGap(answers), GAP_MS)
    t.same(failures(answers), [], 'no request failed')
    await one.ok('retry')
    await becomesDirect(pair)
  })

  for (const [from, to] of [
    [1, 2],
    [2, 1],
  ] as const)
    await t.test(`only from host ${from} to host ${to}`, async (t) => {
      const requests = requestsTo(pair, 100)
      faults.dropOneWay(from, to)
      await says('both on the gateway path', await leavesUdp(pair), ONE_WAY_MS)
      await one.ok('retry')
      const until = performance.now() + 8_000
      let promotions = 0
      await waitFor('8 s have passed', PATIENCE_MS, async () => {
        if ((await pathTo(one, 2)).state === 'P2P_ACTIVE') promotions++
        return performance.now() > until
      })
      t.equal(promotions, 0, 'no promotion while one direction is blocked')
      t.same(failures(await requests.stop()), [], 'no request failed')
      faults.heal()
      await one.ok('retry')
      await becomesDirect(pair)
    })

  await t.test('both ways dropped while idle', async () => {
    faults.drop(1, 2)
    await says('back on the gateway path', await leavesUdp(pair), IDLE_BACK_MS)
    faults.heal()
  })

  await t.test('comes back by itself', async () => {
    const began = performance.now()
    await becomesDirect(pair)
    await says('direct again', performance.now() - began, HEALED_MS)
  })
})
