/**
 * Short cuts of one pair of three hosts: the direct way is damped, status says for how long, and it comes back.
 *
 * Two cuts, for waits of 2 and 4 s, or twice that where the hosts' first connections met and one broke. More of them,
 * and the minute that forgives all, are simulated in test/unit/gateway/paths/steadiness.test.ts and controller.test.ts
 * beside it.
 */
import t from 'tap'
import type { PathInfo } from '../../core/api.ts'
import { joinedHosts } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** Of the first cut, s: that of the second is twice as long. */
const FIRST_WAITS: readonly number[] = [2, 4]
const CUTS = 2

t.test('two short cuts of one pair of three hosts', { skip: needsRoot, timeout: 90_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const one = net.host(1)
  const path = (hostId: number) => one.api<PathInfo>(`/v1/paths/${hostId}`)
  const goes = (via: string, timeoutMs: number) =>
    waitFor(`packets to host 2 go by ${via}`, timeoutMs, async () => (await path(2)).via === via)
  // A way that never stood is not broken by a cut.
  await goes('gateway', 20_000)
  const waits: number[] = []
  for (let cut = 0; cut < CUTS; cut++) {
    net.cut(1, 2)
    await goes('relay:3', 20_000)
    net.heal(1, 2)
    const { reason } = await waitFor('the direct way is on probation', 20_000, async () => {
      const now = await path(2)
      return /takes packets once/.test(now.reason) ? now : undefined
    })
    const since = performance.now()
    const [said, seconds] = /once it has held for (\d+) s/.exec(reason) ?? [reason, '0']
    const waitS = Number(seconds)
    waits.push(waitS)
    const status = (await one.ok('status')).replaceAll(/\s+/g, ' ')
    t.match(status, said, 'flatnet status says it too, however long the reason is')
    await goes('gateway', waitS * 1_000 + 15_000)
    t.ok(performance.now() - since > waitS * 500, 'it was waited for')
    t.equal((await path(3)).via, 'gateway', 'another host is reached as before')
  }
  const [first = 0, second] = waits
  t.ok(FIRST_WAITS.includes(first), `the first wait is ${first} s`)
  t.equal(second, 2 * first)
})
