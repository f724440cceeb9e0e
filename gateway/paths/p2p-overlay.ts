/** Lays UDP and Nebula over what was decided without them: the path below stays, and takes over at their end. Pure. */

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
  if (state === 'P2P_ACTIVE') return over(below, p2p, reason)
  // Nothing is shown of tries while nothing carries: why there is no path at all comes first.
  if (below.state !== 'GATEWAY_ONLY' || state === 'GATEWAY_ONLY') return below
  return { ...below, state, reason: below.via.kind === 'relay' ? `${below.reason}; ${reason}` : reason }
}

/** Of its tries nothing is shown here: the states are those of UDP. */
export function withNebula(below: PathDecision, nebula: Candidate | undefined): PathDecision {
  const escalation = nebula?.escalation
  if (nebula === undefined || escalation?.state !== 'P2P_ACTIVE') return below
  if (below.state === 'LOCAL' || below.state === 'QUARANTINED') return below
  return over(below, nebula, escalation.reason)
}

function over(base: PathDecision, { id, rttMs, tier }: Candidate, reason: string): PathDecision {
  const { via } = base
  const carries = (via.kind === 'gateway' || via.kind === 'relay') && base.isWebOnly !== true
  // Below UDP and Nebula together lies what is below Nebula.
  const below = base.below ?? (carries ? { via, rttMs: base.rttMs } : undefined)
  return { state: 'P2P_ACTIVE', via: id, reason, rttMs, tier, ...(below !== undefined && { below }) }
}
