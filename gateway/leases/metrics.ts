/** What the metrics say of the comparisons with the leases. */

import type { Metrics } from '../base/metrics.ts'
import type { Reconciler } from './reconciler.ts'

export function reconcileGauges(metrics: Metrics, reconciler: Reconciler): void {
  const gauge = (name: string, help: string, read: (report: Reconciler['report']) => number | undefined) =>
    metrics.gauge(name, help, () => read(reconciler.report) ?? 0)
  gauge('flatnet_reconcile_runs', 'Comparisons with the leases since start', (r) => r?.runs)
  gauge('flatnet_reconcile_failures', 'Of them failed', (r) => r?.failures)
  gauge('flatnet_reconcile_seconds', 'How long the last one took', (r) => (r?.durationMs ?? 0) / 1000)
  gauge('flatnet_leases_stale', 'Leases whose container is gone', (r) => r?.stale)
}
