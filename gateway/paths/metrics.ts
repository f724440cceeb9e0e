/** What the metrics say of the paths: how many there are in each state and by each way, and how tiers fare. */

import type { TierInfo } from '../../core/api.ts'
import type { Metrics } from '../base/metrics.ts'
import type { PathTable } from './table.ts'
import type { Tiers } from './tiers.ts'

export function pathGauges(metrics: Metrics, paths: PathTable, tiers: Tiers): void {
  metrics.gaugeEach('flatnet_paths', 'Paths by state and way', () => {
    const counts = new Map<string, number>()
    for (const { state, via } of paths.all()) {
      const key = `${state} ${via.split(':')[0]}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    return [...counts].map(([key, n]) => {
      const [state = '', via = ''] = key.split(' ')
      return [{ state, via }, n]
    })
  })
  const perTier = [
    ['flatnet_tier_enabled', 'Whether this tier is used (paths.tiers)', (tier) => Number(tier.enabled)],
    ['flatnet_tier_hosts', 'Hosts whose packets go by this tier', (tier) => tier.hosts],
    [
      'flatnet_tier_tries',
      'Times that a way of this tier was sought since the gateway started',
      (t) => t.tries,
    ],
    ['flatnet_tier_successes', 'Times that one was found', (tier) => tier.successes],
    [
      'flatnet_tier_median_seconds',
      'How long that took, the median; 0: it was never found',
      ({ medianMs = 0 }) => medianMs / 1_000,
    ],
  ] as const satisfies readonly (readonly [string, string, (tier: TierInfo) => number])[]
  for (const [name, help, value] of perTier)
    metrics.gaugeEach(name, help, () =>
      tiers.view(paths.all().map(({ tier }) => tier)).map((tier) => [{ tier: tier.name }, value(tier)]),
    )
}
