/**
 * Short cuts of one pair of three hosts: the direct way is damped, status says for how long, and it comes back.
 *
 * Two cuts, for waits of 2 and 4 s. More of them, and the minute that forgives all, are simulated in
 * test/unit/gateway/paths/steadiness.test.ts and controller.test.ts beside it.
 */
import t from 'tap'
import type { PathInfo } from '../../core/api.ts'
import { joinedHosts } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** What status says of the path, and how long after it the path has to be direct on a busy machine. */
const WAITS: readonly [said: RegExp, waitMs: number, timeoutMs: number][] = [
  [/held for 2 s/, 2_000, 15_000],
  [/held for 4 s/, 4_000, 20_000],
]

t.test('two short cuts of one pair of three hosts', { skip: needsRoot, timeout: 90_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const one = net.host(1)
  const path = (hostId: number) => one.api<PathInfo>(`/v1/paths/${hostId}`)
  const goes = (via: string, timeoutMs: number) =>
    waitFor(`packets to host 2 go by ${via}`, timeoutMs, async () => (await path(2)).via === via)
  // A way that never stood is not broken by a cut.
  await goes('gateway', 20_000)
  for (const [said, waitMs, timeoutMs] of WAITS) {
    net.cut(1, 2)
    await goes('relay:3', 20_000)
    net.heal(1, 2)
    const { reason } = await waitFor('the direct way is on probation', 20_000, async () => {
      const now = await path(2)
      return /takes packets once/.test(now.reason) ? now : undefined
    })
    const since = performance.now()
    t.match(reason, said, reason)
    const status = (await one.ok('status')).replaceAll(/\s+/g, ' ')
    t.match(status, said, 'flatnet status says it too, however long the reason is')
    await goes('gateway', timeoutMs)
    t.ok(performance.now() - since > waitMs / 2, 'it was waited for')
    t.equal((await path(3)).via, 'gateway', 'another host is reached as before')
  }
})
