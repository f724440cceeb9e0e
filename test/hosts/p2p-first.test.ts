/**
 * The first request goes by the gateway path at once; UDP is proven behind it and takes over without a lost request.
 */
import t from 'tap'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts } from '../helpers/cluster/hosts.ts'
import {
  becomesDirect,
  failures,
  metricsTo,
  PATIENCE_MS,
  PROMOTED_WITHIN_MS,
  pathTo,
  requestsTo,
  worstGap,
} from '../helpers/cluster/p2p-pair.ts'
import { udpFaults } from '../helpers/cluster/udp-faults.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { keepsBound } from '../helpers/run/bound.ts'
import { waitFor } from '../helpers/run/wait.ts'

t.test('two hosts that start', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 2, { p2p: true })
  const faults = udpFaults(net)
  const [one, two] = [net.host(1), net.host(2)]
  const [apple, berry] = [await hostContainer(t, one, 'apple'), await hostContainer(t, two, 'berry')]
  const pair = { net, one, two, apple, berry, faults }
  await keepsBound(t, 'direct', PROMOTED_WITHIN_MS, async () => {
    // Both start over, so that the first request meets paths that nothing has proven.
    await Promise.all([one.stop(), two.stop()])
    faults.drop(1, 2)
    await Promise.all([one.start(), two.start()])
    await waitFor('both reach each other by the gateway path', PATIENCE_MS, async () => {
      const paths = await Promise.all([pathTo(one, 2), pathTo(two, 1)])
      return paths.every(({ state }) => state === 'P2P_ATTEMPTING' || state === 'GATEWAY_ONLY')
    })
    t.equal(apple.ns.exec('busybox', 'wget', '-q', '-O', '-', `http://${berry.ip}/`), 'berry on host 2\n')
    t.same([metricsTo(one, 2), metricsTo(two, 1)], [[200], [200]], 'by the gateway path')
    const requests = requestsTo(pair, 100)
    faults.heal()
    await one.ok('retry')
    const began = performance.now()
    await becomesDirect(pair)
    const ms = performance.now() - began
    const answers = await requests.stop()
    t.same(failures(answers), [], `none of ${answers.length} requests failed while packets moved`)
    t.comment(`worst gap between answers: ${worstGap(answers)} ms`)
    t.ok(answers.length > 20)
    return ms
  })
  t.match(await pathTo(one, 2), { state: 'P2P_ACTIVE', via: 'p2p' })
})
