/** The types of links: this host's identity, the members, and the events of a link. */

import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../core/clock.ts'

/** This host's place in a cluster; PEM texts. */
export interface Identity {
  /** Lower-case letters and digits, e.g. `k3v9q2`; part of every certificate's URI. */
  readonly cluster: string
  readonly hostId: number
  readonly caPem: string
  readonly certPem: string
  readonly keyPem: string
}

/** A host that may be talked to. */
export interface Member {
  readonly hostId: number
  /** SHA-256 of its certificate's public key (SPKI), lower-case hex: renewal keeps it, a clone's key differs. */
  readonly keyId: string
  /** `host:port`, the best first; empty when only it can reach us. */
  readonly endpoints: readonly string[]
}

/** Kept by the cluster part; asked at every handshake, so that a revocation counts at once. */
export interface Membership {
  /** Others than this host. */
  members(): readonly Member[]
  /** Undefined: welcome. Otherwise why not, e.g. `revoked`, `another key holds host 7`. */
  refusal(hostId: number, keyId: string): string | undefined
  /** Of a key that is refused: its hostId is an active member's, under another key, and it was never that member's. */
  isDuplicate?(hostId: number, keyId: string): boolean
}

/** A JSON object with a type; everything on the control connection but heartbeats. */
export interface ControlMessage {
  readonly type: string
  readonly [key: string]: unknown
}

export type LinkState = 'connecting' | 'up' | 'draining' | 'down'

export interface LinkView {
  readonly hostId: number
  readonly state: LinkState
  /** Why it is not up, in words for a person. */
  readonly reason: string
  /** Smoothed round trip of the control connection; undefined before the first. */
  readonly rttMs: Millis | undefined
  /** How far round trips are off their mean; undefined: no connection stands. */
  readonly jitterMs?: Millis | undefined
  /** Whether the data connection stands. */
  readonly hasData: boolean
  /** Why it does not, while the control connection does; undefined: it does, or was not tried yet. */
  readonly dataReason?: string | undefined
  /** Wall clock, ms, of the last change of state. */
  readonly since: Millis
}

/** A holder of a certificate of this cluster that gets no link. */
export interface Refused {
  readonly hostId: number
  readonly keyId: string
  /** Where it connected from, or what was dialled. */
  readonly endpoint: string
  /** Two machines were given one hostId: a person has to act. */
  readonly isDuplicate: boolean
}

/** Called by the links, synchronously; must not throw. */
export interface LinkEvents {
  up(hostId: number): void
  down(hostId: number, reason: string): void
  /** The data connection stands; it is the caller's to read and write until `dataDown`. */
  dataUp(hostId: number, socket: TLSSocket): void
  dataDown(hostId: number): void
  /**
   * A message that came under this host's name while another connection with it stood. Its sender is the same host,
   * which dialled at the same moment or started anew, or a second machine with its key.
   */
  rival?(hostId: number, message: ControlMessage): void
  /** A member has cost more than its share (gateway/links/budget.ts) and stays away for a while. */
  overspent?(hostId: number, reason: string): void
  /** Called at every try, so a machine that keeps dialling is reported again and again. */
  refused?(refused: Refused): void
}
