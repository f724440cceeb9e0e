/** The contract between paths and data plane: the ways to a host, and the way that packets take. */

import type { TierName } from '../../core/api.ts'
import type { Millis } from '../../core/clock.ts'
import type { EscalationView } from './escalation/view.ts'

/** A way to another host. `gateway` is TLS straight to its gateway, `relay` TLS through a third one. */
export type CandidateId =
  | { readonly kind: 'gateway' }
  | { readonly kind: 'relay'; readonly hostId: number }
  | { readonly kind: 'p2p' }
  /** By the device of Nebula. */
  | { readonly kind: 'nebula' }

/** The way that packets go: a candidate, the own kernel, or `none`, where there is no route. */
export type Via = CandidateId | { readonly kind: 'local' } | { readonly kind: 'none' }

/**
 * Key of a way, and its name in the API and on the command line: `local`, `gateway`, `relay:3`, `p2p`, `nebula`,
 * `none`.
 */
export const viaText = (via: Via): string => (via.kind === 'relay' ? `relay:${via.hostId}` : via.kind)

export const sameVia = (a: Via, b: Via): boolean => viaText(a) === viaText(b)

/** What a gateway would carry for pairs of other hosts. */
export interface RelayCapacity {
  /** Pairs that it takes on; 0: full, or it does not relay. */
  readonly freePairs: number
  /** Why it does not relay, in words for a person; undefined: it does. */
  readonly refusal?: string | undefined
  /** Of its pairs and its bandwidth, the scarcer; 0 to 1. */
  readonly freeShare: number
  readonly region?: string | undefined
}

/** What a gateway says of itself as a relay to a host, with the round trip from here to it. */
export interface RelayOffer extends Pick<RelayCapacity, 'freePairs' | 'freeShare' | 'refusal'> {
  readonly hostId: number
  readonly toRelayMs: Millis
  readonly fromRelayMs: Millis
  /** How many of the two ends are in its region, so that both count alike. */
  readonly endsInRegion: number
  /** Of its gateway. */
  readonly uptimeMs: Millis
}

/** One way by which packets could go to a host, as its transport sees it now. */
export interface Candidate {
  readonly id: CandidateId
  readonly tier: TierName
  /** Of UDP: the tiers whose addresses are tried at once; undefined: only `tier`. */
  readonly raced?: readonly TierName[] | undefined
  /** From end to end; undefined: not measured. */
  readonly rttMs?: Millis | undefined
  /** 0 to 1; undefined: not measured, or TCP makes up for it. */
  readonly lossRate?: number | undefined
  /** Why it cannot be used, in words for a person; undefined: it can, or was not tried yet. */
  readonly problem?: string | undefined
  /**
   * Whether packets that are sent by it now arrive. A relay that was chosen a moment ago has no connection yet:
   * packets stay on the channel that stands, if there is one.
   */
  readonly hasChannel: boolean
  /** Of a relay. */
  readonly offer?: RelayOffer | undefined
  /** Of UDP and Nebula: what its escalation does, also while packets do not go by it. */
  readonly escalation?: Pick<EscalationView, 'state' | 'reason'> | undefined
}

/** One kind of path to other hosts: direct TLS, relays, UDP, Nebula. Constructed before the paths; must not throw. */
export interface Transport {
  readonly kind: CandidateId['kind']
  /** What could be used now, problems included; empty: there is nothing to say of the host. */
  candidates(hostId: number): readonly Candidate[]
  /**
   * Packets for the host go by this candidate from now on: on its channel, or by a route of the kernel to a device of
   * its own. Called again with another candidate of its kind. Undefined: by none of this kind; called after the `use`
   * of a transport that takes over.
   */
  use(hostId: number, candidate: Candidate | undefined): void
  /** Called when `candidates` has another answer for the host. @returns how to stop listening */
  onChange(listener: (hostId: number) => void): () => void
}

/** What this host carries at all, for its own decisions and for its reports to the peers. */
export interface Carriage {
  /** Why this host carries no packets, in words for a person; undefined: it does. */
  noTunnel(): string | undefined
  relayCapacity(): RelayCapacity
}
