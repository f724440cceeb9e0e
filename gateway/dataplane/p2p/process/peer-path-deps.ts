/** What the path to one peer needs of the session and the process around it. */
import type { DemotionReason } from '../protocol.ts'
import type { PlanePeer, UdpPlane } from '../udp/types.ts'
import type { SharedTimes } from './cadence.ts'
import type { CandidateGatherer } from './candidate-gatherer.ts'

/** What a path needs to know of this host's TURN servers. */
export type Relays = Pick<CandidateGatherer, 'pathLost' | 'relayedBy'>

export interface PeerPathDeps {
  readonly plane: Pick<UdpPlane, 'sendControl'>
  readonly peer: PlanePeer
  /** Whether this host has the lower hostId, and so chooses the pair of addresses. */
  readonly isLower: boolean
  isLan(address: string): boolean
  canReach(address: string): boolean
  readonly relays: Relays
  readonly times: SharedTimes
  /** Whether silence is likely to be this host's own fault. */
  isLocalFault(): boolean
  randomToken(): number
  /** The path became proven, suspect, or suspect no longer. */
  judged(what: 'proven' | 'suspect' | 'cleared' | 'extended'): void
  lost(reason: DemotionReason): void
  /** Address or datagram size changed. */
  moved(): void
  /** The peer sees this host at a new address. */
  observed(address: string): void
}

/** The path's part of a session's view. */
export type PathField =
  | 'isProven'
  | 'isFullSize'
  | 'address'
  | 'turn'
  | 'rttMs'
  | 'jitterMs'
  | 'lossRate'
  | 'peerLossRate'
  | 'probes'
  | 'mtu'
