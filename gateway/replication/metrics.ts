/** What the metrics say of the replicated tables: age, size and version, and the hosts they come from. */

import type { Metrics } from '../base/metrics.ts'
import type { Registry } from '../registry/registry.ts'
import type { Replication } from './replication.ts'

export function replicationGauges(metrics: Metrics, registry: Registry, replication: Replication): void {
  metrics.gauge(
    'flatnet_registry_lag_seconds',
    'How long a table has been known to be out of date',
    () => Math.round(replication.lagMs()) / 1000,
  )
  metrics.gaugeEach('flatnet_registry_assignments', 'Assignments by host', () =>
    registry.hosts().map((h) => [{ host: String(h.hostId) }, h.assignments]),
  )
  metrics.gaugeEach('flatnet_registry_epoch', 'Epoch of the table', () =>
    registry.hosts().map((h) => [{ host: String(h.hostId) }, h.version.epoch]),
  )
  metrics.gaugeEach('flatnet_registry_seq', 'Changes to the table in its epoch', () =>
    registry.hosts().map((h) => [{ host: String(h.hostId) }, h.version.seq]),
  )
  metrics.gaugeEach('flatnet_hosts', 'Hosts by how they are reached', () =>
    hostsByState(registry, replication),
  )
  metrics.gauge(
    'flatnet_alarms',
    'What a person has to act on now, besides quarantine',
    () => replication.alarms().length,
  )
}

function hostsByState(registry: Registry, replication: Replication): [{ state: string }, number][] {
  const counts = new Map([
    ['live', 0],
    ['unreachable', 0],
    ['gone', 0],
    ['quarantined', 0],
  ])
  for (const { hostId, freshness } of registry.hosts()) {
    const state = replication.quarantineOf(hostId) === undefined ? freshness : 'quarantined'
    counts.set(state, (counts.get(state) ?? 0) + 1)
  }
  return [...counts].map(([state, n]) => [{ state }, n])
}
