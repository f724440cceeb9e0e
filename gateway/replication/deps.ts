/** What the sharing of the registry is given; all that touches the world is in here. */

import type { Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Events } from '../base/events.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { ControlMessage } from '../links/types.ts'
import type { Registry } from '../registry/registry.ts'
import type { Slices } from '../registry/slices.ts'
import type { Known } from './fence.ts'
import type { Signed } from './messages.ts'
import type { RecordDecoder, WireRecord } from './record.ts'
import type { Signer, Verifier } from './sign.ts'

/** Another host's table as it is kept for a cold start. */
export interface StoredTable {
  readonly hostId: number
  /** The key that the table belongs to; another key of the same hostId starts anew. */
  readonly keyId: string
  readonly known: Known
  readonly signed: Signed | undefined
  /** Since the owner last spoke or was spoken of; time in which this gateway did not run is not counted. */
  readonly ageMs: Millis
  readonly quarantine: Quarantine | undefined
  readonly records: readonly WireRecord[]
}

/** A host that is kept out, with what a person needs to know. */
export interface Quarantine {
  readonly reason: string
  /** ISO 8601, UTC. */
  readonly since: string
}

export interface TableStore {
  save(table: StoredTable): Promise<void>
  remove(hostId: number): Promise<void>
}

export interface ReplicationDeps {
  readonly registry: Registry
  readonly slices: Slices
  readonly events: Events
  readonly scheduler: Scheduler
  /** 0 to 1, as Math.random. */
  readonly random: () => number
  readonly log: Log
  readonly signer: Signer
  readonly verifier: Verifier
  /** 128 bits, hex; another one at each call. */
  readonly newNonce: () => string
  /** On disk when it returns. @throws when that is not possible; the epoch is then not used */
  saveEpoch(epoch: number): void
  /** The pinned key of a member that is welcome; undefined: not a member, or revoked. */
  keyIdOf(hostId: number): string | undefined
  /** In order, or not at all. @returns false when there is no link */
  send(hostId: number, message: ControlMessage): boolean
  /** Whether a host without a link is reached all the same, over a relay. */
  isReached(hostId: number): boolean
  /** Counts a message that was dropped. */
  dropped(reason: DropReason): void
  readonly decoder?: RecordDecoder
  readonly store?: TableStore
}

/** Why a message was not followed; the labels of `flatnet_registry_dropped_total`. */
export type DropReason =
  | 'malformed'
  | 'out-of-slice'
  | 'too-big'
  /** Not newer than what is known: a repetition, a replay, or two ways for one table. */
  | 'old'
  /** A table passed on whose signature or hash is not its owner's. */
  | 'forged'
  /** About a host that is no member. */
  | 'stranger'
  /** Speaks for another host without that host's signature. */
  | 'not-owner'
  | 'stale-epoch'
  | 'quarantined'
  /** Does not follow on what is known; the table was asked for. */
  | 'gap'
  | 'flood'
  | 'fault'
