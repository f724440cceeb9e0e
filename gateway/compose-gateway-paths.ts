/** What UDP paths and Nebula are compared with: the path that packets take without them, and how long keys are good. */

import { X509Certificate } from 'node:crypto'
import type { Millis } from '../core/clock.ts'
import type { Cluster } from './cluster/cluster.ts'
import type { Base } from './compose-base.ts'
import type { DataPlane } from './dataplane/dataplane.ts'
import { GatewayRates } from './dataplane/gateway-rates.ts'
import type { GatewayPathFacts } from './paths/escalation/types.ts'

interface Around {
  readonly base: Base
  readonly cluster: Cluster
  readonly dataplane: Pick<DataPlane, 'carried'>
}

export function gatewayPaths({ base, cluster, dataplane }: Around): (hostId: number) => GatewayPathFacts {
  const rates = new GatewayRates(
    () => dataplane.carried(),
    () => base.scheduler.monotonic(),
  )
  return (hostId) => ({ ...gatewayPathOf(base, cluster, hostId), peakBps: rates.peakBps(hostId) })
}

/** The way that packets take without UDP, as it was decided last. */
function gatewayPathOf({ paths }: Base, { links }: Cluster, hostId: number): GatewayPathFacts {
  const decision = paths.decision(hostId)
  const way = decision?.state === 'P2P_ACTIVE' ? decision.below : decision
  const kind = way?.via.kind
  if (kind !== 'gateway' && kind !== 'relay') return { isUp: false }
  if (decision?.isWebOnly === true || decision?.state === 'CONNECTING') return { isUp: false }
  const jitterMs = kind === 'gateway' ? links.view(hostId)?.jitterMs : undefined
  return { isUp: true, rttMs: way?.rttMs, jitterMs }
}

/** The earlier end of both certificates. */
export function validUntil(
  { cluster: { state } }: Pick<Around, 'cluster'>,
  peerValidTo: Millis | undefined,
): Millis {
  const own = new X509Certificate(state.identity.certPem).validToDate.getTime()
  return Math.min(own, peerValidTo ?? 0)
}
