/** Loss on UDP alone: a little stays, more is told, much demotes, and none of it flaps. */
import t from 'tap'
import {
  becomesDirect,
  failures,
  leavesUdp,
  metricsTo,
  PATIENCE_MS,
  p2pPair,
  pathTo,
  requestsTo,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const DEMOTED_MS = 10_000

t.test('two hosts with a direct path', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { one, two, faults } = pair

  /** Watches for so long under traffic. @returns every state that was seen, and the reasons */
  const watch = async (ms: number) => {
    const until = performance.now() + ms
    const states = new Set<string>()
    const reasons = new Set<string>()
    await waitFor(`${ms} ms have passed`, ms + PATIENCE_MS, async () => {
      for (const info of await Promise.all([pathTo(one, 2), pathTo(two, 1)])) {
        states.add(info.state)
        reasons.add(info.reason)
      }
      return performance.now() > until
    })
    return { states: [...states], reasons: [...reasons] }
  }
  const again = async () => {
    faults.heal()
    await one.ok('retry')
    await becomesDirect(pair)
  }

  await becomesDirect(pair)
  await t.test('2 % each way stays', async (t) => {
    const requests = requestsTo(pair, 50)
    faults.lose(1, 2, 2)
    faults.lose(2, 1, 2)
    t.same((await watch(20_000)).states, ['P2P_ACTIVE'])
    t.same(failures(await requests.stop()), [], 'no request failed')
    faults.heal()
  })

  await t.test('5 % each way is told in the reason', async (t) => {
    const requests = requestsTo(pair, 50)
    faults.lose(1, 2, 5)
    faults.lose(2, 1, 5)
    await waitFor('the reason tells of loss', PATIENCE_MS, async () => {
      const infos = await Promise.all([pathTo(one, 2), pathTo(two, 1)])
      return infos.some(({ reason }) => /los/.test(reason))
    })
    t.same(failures(await requests.stop()), [], 'no request failed')
    await again()
  })

  for (const [what, lose] of [
    ['12 % each way', () => [faults.lose(1, 2, 12), faults.lose(2, 1, 12)]],
    ['30 % from host 1 to host 2 only', () => [faults.lose(1, 2, 30)]],
  ] as const)
    await t.test(`${what} demotes, once`, async (t) => {
      const requests = requestsTo(pair, 50)
      await requests.answered(50)
      lose()
      const ms = await leavesUdp(pair)
      t.comment(`${what}: demoted after ${Math.round(ms)} ms (bound ${DEMOTED_MS})`)
      t.ok(ms <= DEMOTED_MS)
      t.notOk((await watch(10_000)).states.includes('P2P_ACTIVE'), 'it stays demoted')
      t.same([metricsTo(one, 2), metricsTo(two, 1)], [[200], [200]])
      t.same(failures(await requests.stop()), [], 'no request failed')
      await again()
    })
})
