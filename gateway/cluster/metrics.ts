/** What the metrics say of this host's part in its cluster. */

import type { Clock } from '../../core/clock.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Links } from '../links/links.ts'
import type { Refused } from '../links/types.ts'
import type { ClusterState } from './members/state.ts'

export function clusterGauges(deps: {
  readonly metrics: Metrics
  readonly clock: Clock
  readonly state: ClusterState
  readonly links: Links
}): void {
  const { metrics, clock, state, links } = deps
  const active = (): number => state.document.members.filter((m) => m.state === 'active').length
  metrics.gauge('flatnet_cluster_members', 'Members of the cluster, this host included', active)
  metrics.gauge('flatnet_cluster_version', 'Of the list of members', () => state.document.version)
  metrics.gauge(
    'flatnet_cluster_links_up',
    'Peers with a control connection',
    () => links.views().filter((v) => v.state === 'up').length,
  )
  metrics.gauge('flatnet_peer_streams', 'Streams to and from other gateways', () => links.streams.count)
  metrics.gauge('flatnet_certificate_seconds', 'Until the certificate of this host ends', () =>
    Math.round(state.remainingMs(clock.now()) / 1000),
  )
}

/** Counts connections, not machines: a machine that is refused dials again. */
export function countRefused(metrics: Metrics, { isDuplicate }: Refused): void {
  metrics.count('flatnet_cluster_refused_total', 'Peers that were refused a connection', {
    why: isDuplicate ? 'duplicate' : 'no member',
  })
}
