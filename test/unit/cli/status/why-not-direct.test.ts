/** `flatnet status`: what it says of paths that are not direct. */
import t from 'tap'
import { whyNotDirect } from '../../../../cli/status/why-not-direct.ts'
import type { PathInfo } from '../../../../core/api.ts'

const path = (hostId: number, part: Partial<PathInfo> = {}): PathInfo => ({
  hostId,
  state: 'GATEWAY_FALLBACK',
  via: 'gateway',
  reason: 'UDP stopped answering',
  since: '2026-11-28T16:00:00.000Z',
  p2p: { reason: 'UDP stopped answering', attempts: 6, generation: 2 },
  ...part,
})
const NOW = Date.parse('2026-11-28T16:00:00.000Z')

t.test('one sentence for each host that is not direct', async (t) => {
  const next = { reason: 'blocked', attempts: 6, generation: 2, nextAttemptAt: '2026-11-28T16:00:53.400Z' }
  t.same(whyNotDirect([path(2, { p2p: next })], NOW), [
    'host 2 is not direct: blocked; next try in 54 s (6 so far)',
  ])
  t.same(whyNotDirect([path(2)], NOW), ['host 2 is not direct: UDP stopped answering'])
  t.same(whyNotDirect([path(2, { p2p: { ...next, nextAttemptAt: '2026-11-28T15:00:00.000Z' } })], NOW), [
    'host 2 is not direct: blocked',
  ])
})

t.test('none for this host, for one that is direct, and for a gateway without UDP paths', async (t) => {
  const { p2p: _, ...plain } = path(3)
  t.same(
    whyNotDirect([path(1, { state: 'LOCAL' }), path(2, { via: 'p2p', state: 'P2P_ACTIVE' }), plain], NOW),
    [],
  )
})

t.test('254 hosts do not fill the screen', async (t) => {
  const lines = whyNotDirect(
    Array.from({ length: 253 }, (_, i) => path(i + 2)),
    NOW,
  )
  t.equal(lines.length, 11)
  t.equal(lines.at(-1), '243 more hosts not direct: flatnet status --json')
})
