/** What the metrics say of the comparisons with the leases, and of the rules that follow from them. */

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

/** @param dropped packets by reason; throws where the kernel does not tell, and the series is absent */
export function dropGauges(metrics: Metrics, dropped: () => ReadonlyMap<string, number>): void {
  metrics.gaugeEach(
    'flatnet_rules_dropped_packets',
    'Packets that the ruleset dropped since it was loaded: forged ones, floods, and services that containers may not reach',
    () => {
      try {
        return [...dropped()].map(([reason, packets]) => [{ reason }, packets] as const)
      } catch {
        // Not root, or a kernel without nftables: the reconciler reports it.
        return []
      }
    },
  )
}
