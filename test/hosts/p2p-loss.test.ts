/** Loss on UDP alone: a little stays, more is told, much demotes, and none of it flaps. */
import t from 'tap'
import {
  awayFromUdp,
  directAgain,
  failures,
  leavesUdp,
  metricsTo,
  PATIENCE_MS,
  p2pPair,
  pathTo,
  promotionsOf,
  requestsTo,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { keepsBound } from '../helpers/run/bound.ts'
import { waitFor } from '../helpers/run/wait.ts'

const DEMOTED_MS = 10_000
const LOSSY_MS = 20_000

t.test('two hosts with a direct path', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { one, two, faults } = pair

  await t.test('2 % each way stays', async (t) => {
    const requests = requestsTo(pair, 50)
    await directAgain(pair)
    faults.lose(1, 2, 2)
    faults.lose(2, 1, 2)
    t.equal(await awayFromUdp(pair, LOSSY_MS), 0, 'ms away from UDP')
    t.same(failures(await requests.stop()), [], 'no request failed')
  })

  await t.test('5 % each way is told in the reason', async (t) => {
    await directAgain(pair)
    const requests = requestsTo(pair, 50)
    faults.lose(1, 2, 5)
    faults.lose(2, 1, 5)
    await waitFor('the reason tells of loss', PATIENCE_MS, async () => {
      const infos = await Promise.all([pathTo(one, 2), pathTo(two, 1)])
      return infos.some(({ reason }) => /los/.test(reason))
    })
    t.same(failures(await requests.stop()), [], 'no request failed')
  })

  for (const [what, lose] of [
    ['12 % each way', () => [faults.lose(1, 2, 12), faults.lose(2, 1, 12)]],
    ['30 % from host 1 to host 2 only', () => [faults.lose(1, 2, 30)]],
  ] as const)
    await t.test(`${what} demotes, once`, async (t) => {
      const requests = requestsTo(pair, 50)
      await requests.answered(50)
      await keepsBound(t, 'demoted', DEMOTED_MS, async () => {
        await directAgain(pair)
        lose()
        return leavesUdp(pair)
      })
      const promotions = [one, two].map(promotionsOf)
      t.ok((await awayFromUdp(pair, DEMOTED_MS)) >= DEMOTED_MS, 'it stays demoted')
      t.same([one, two].map(promotionsOf), promotions, 'neither end promotes it again')
      t.same([metricsTo(one, 2), metricsTo(two, 1)], [[200], [200]])
      t.same(failures(await requests.stop()), [], 'no request failed')
    })
})
