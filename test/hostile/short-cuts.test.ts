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
const MOST_CUTS = 4

t.test('two short cuts of one pair of three hosts', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const one = net.host(1)
  const path = (hostId: number) => one.api<PathInfo>(`/v1/paths/${hostId}`)
  const goes = (via: string, timeoutMs: number) =>
    waitFor(`packets to host 2 go by ${via}`, timeoutMs, async () => (await path(2)).via === via)
  // A way that never stood is not broken by a cut.
  await goes('gateway', 20_000)
  const told: boolean[] = []
  const seen: { cut: number; waitS: number }[] = []
  for (let cut = 0; seen.length < CUTS && cut < MOST_CUTS; cut++) {
    net.cut(1, 2)
    await goes('relay:3', 20_000)
    net.heal(1, 2)
    const { reason, via } = await waitFor('the direct way is on probation or back', 20_000, async () => {
      const now = await path(2)
      return /carries packets once/.test(now.reason) || now.via === 'gateway' ? now : undefined
    })
    // On a busy machine 2 s may pass between two looks.
    if (via === 'gateway') continue
    const since = performance.now()
    const [said, seconds] = /once it has held for (\d+) s/.exec(reason) ?? [reason, '0']
    const waitS = Number(seconds)
    seen.push({ cut, waitS })
    const status = (await one.ok('status')).replaceAll(/\s+/g, ' ')
    const isTold = status.includes(said)
    // The program may end when the probation has.
    if (isTold || (await path(2)).via !== 'gateway') told.push(isTold)
    await goes('gateway', waitS * 1_000 + 15_000)
    t.ok(performance.now() - since > waitS * 500, 'it was waited for')
    t.equal((await path(3)).via, 'gateway', 'another host is reached as before')
  }
  t.ok(told.length > 0 && told.every(Boolean), 'flatnet status says it too, however long the reason is')
  const [first = { cut: 0, waitS: 0 }, second] = seen
  const firstS = first.waitS / 2 ** first.cut
  t.ok(FIRST_WAITS.includes(firstS), `the first wait is ${firstS} s`)
  t.equal(second?.waitS, first.waitS * 2 ** ((second?.cut ?? 0) - first.cut), 'each is twice the one before')
})
