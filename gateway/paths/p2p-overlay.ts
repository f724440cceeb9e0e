/** Lays the UDP path over what was decided without it: the path below stays, and takes over when UDP ends. Pure. */

import type { PathDecision } from './decide.ts'
import type { Candidate } from './transport.ts'

/**
 * @param below decided without UDP
 * @param p2p undefined: this gateway has no UDP path to the host, and tries for none
 */
export function withP2p(below: PathDecision, p2p: Candidate | undefined): PathDecision {
  const escalation = p2p?.escalation
  if (p2p === undefined || escalation === undefined) return below
  if (below.state === 'LOCAL' || below.state === 'QUARANTINED') return below
  const { state, reason } = escalation
  const { via } = below
  if (state === 'P2P_ACTIVE') {
    const { id, rttMs, tier } = p2p
    const carries = (via.kind === 'gateway' || via.kind === 'relay') && below.isWebOnly !== true
    return { state, via: id, reason, rttMs, tier, ...(carries && { below: { via, rttMs: below.rttMs } }) }
  }
  // Nothing is shown of tries while nothing carries: why there is no path at all comes first.
  if (below.state !== 'GATEWAY_ONLY' || state === 'GATEWAY_ONLY') return below
  return { ...below, state, reason: via.kind === 'relay' ? `${below.reason}; ${reason}` : reason }
}
