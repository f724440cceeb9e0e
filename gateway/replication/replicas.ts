/** What is known of each other host beside its table: its run, last claim and last sign of life. */

import type { Millis } from '../../core/clock.ts'
import { isNewer, type Version } from '../registry/table.ts'
import type { Quarantine, ReplicationDeps, StoredTable } from './deps.ts'
import type { Known } from './fence.ts'
import type { KnownVersion, Signed } from './messages.ts'
import { wireRecord } from './record.ts'

export interface Replica {
  readonly hostId: number
  readonly keyId: string
  known: Known
  /** About the version in the registry; undefined: nothing that could be passed on. */
  signed: Signed | undefined
  /** The newest claim that was believed, also of a table that has not come yet: shown to a run that lags behind it. */
  proof: Signed | undefined
  /** Whether `signed` was compared with the table and the key. A direct link needs no proof, passing on does. */
  isChecked: boolean
  /** Monotonic. Of a linked host: when it was linked. */
  heardAt: Millis
  quarantine: Quarantine | undefined
  /** The newest version that a peer named, and since when (monotonic) this host is behind it. */
  behind: { readonly version: Version; readonly since: Millis } | undefined
}

type ReplicasDeps = Pick<ReplicationDeps, 'registry' | 'scheduler' | 'keyIdOf'>

export class Replicas {
  readonly #deps: ReplicasDeps
  readonly #byHost = new Map<number, Replica>()

  constructor(deps: ReplicasDeps) {
    this.#deps = deps
  }

  get(hostId: number): Replica | undefined {
    return this.#byHost.get(hostId)
  }

  all(): Iterable<Replica> {
    return this.#byHost.values()
  }

  set(replica: Replica): void {
    this.#byHost.set(replica.hostId, replica)
  }

  /** Made when the first message about a member comes. */
  ensure(hostId: number, keyId: string, known: Known): Replica {
    const there = this.#byHost.get(hostId)
    if (there !== undefined) return there
    const heardAt = this.#deps.scheduler.monotonic()
    const replica: Replica = {
      hostId,
      keyId,
      known,
      signed: undefined,
      proof: undefined,
      isChecked: false,
      heardAt,
      quarantine: undefined,
      behind: undefined,
    }
    this.#byHost.set(hostId, replica)
    return replica
  }

  /** @returns those that were dropped: no member any more, or another machine under the hostId */
  dropStrangers(): number[] {
    const strangers = [...this.#byHost.values()].filter((r) => this.#deps.keyIdOf(r.hostId) !== r.keyId)
    for (const { hostId } of strangers) {
      this.#byHost.delete(hostId)
      this.#deps.registry.forget(hostId)
    }
    return strangers.map((r) => r.hostId)
  }

  /** All tables that can be passed on, and the own one. */
  know(own: Version): KnownVersion[] {
    const { registry } = this.#deps
    const list: KnownVersion[] = [[registry.hostId, own.epoch, own.seq]]
    for (const { hostId, signed } of this.#byHost.values()) {
      const version = registry.version(hostId)
      if (version !== undefined && signed !== undefined) list.push([hostId, version.epoch, version.seq])
    }
    return list
  }

  /** A peer has a newer table than this host. */
  noteBehind(hostId: number, version: Version): void {
    const replica = this.#byHost.get(hostId)
    if (replica === undefined || !isNewer(version, this.#deps.registry.version(hostId))) return
    const since = replica.behind?.since ?? this.#deps.scheduler.monotonic()
    if (isNewer(version, replica.behind?.version)) replica.behind = { version, since }
  }

  noteCaughtUp(replica: Replica): void {
    const { behind } = replica
    if (behind !== undefined && !isNewer(behind.version, this.#deps.registry.version(replica.hostId))) {
      replica.behind = undefined
    }
  }

  /** The longest that any table has been known to be out of date, ms. */
  lagMs(): Millis {
    const now = this.#deps.scheduler.monotonic()
    let lag = 0
    for (const { behind } of this.#byHost.values()) {
      if (behind !== undefined) lag = Math.max(lag, now - behind.since)
    }
    return lag
  }

  stored({ hostId, keyId, known, signed, heardAt, quarantine }: Replica, isLinked: boolean): StoredTable {
    const ageMs = isLinked ? 0 : Math.max(0, Math.round(this.#deps.scheduler.monotonic() - heardAt))
    const records = this.#deps.registry.all(hostId).map(wireRecord)
    return { hostId, keyId, known, signed, ageMs, quarantine, records }
  }
}
