/** Keeps what is known of other hosts: how fresh it is, who is quarantined, and a copy on disk. */

import type { Assignment } from '../../core/api.ts'
import type { Millis } from '../../core/clock.ts'
import { type Freshness, isNewer } from '../registry/table.ts'
import type { Alarms } from './alarms.ts'
import type { ReplicationDeps, StoredTable } from './deps.ts'
import { hearsay, type Incarnation, restoreFirst } from './fence.ts'
import type { Guard } from './guard.ts'
import type { Signed } from './messages.ts'
import type { ReplicationPeers } from './peers.ts'
import type { RecordDecoder } from './record.ts'
import type { Replica, Replicas } from './replicas.ts'

/** Its names are free then: a person has moved what ran there. docs/architecture/registry.md#gone. */
const GONE_MS: Millis = 600_000
/** How long it is still shown to a person who looks for what was there. */
const FORGET_MS: Millis = 86_400_000
/** What a cold start may lack; each table that changed is written once in this time. */
const SAVE_MS: Millis = 10_000
/** A change of the list of members reaches all hosts within 5 s; until then a replacement machine is a stranger. */
const SPREAD_MS: Millis = 5_000

const release = (hostId: number): string =>
  `stop the machine that should not be host ${hostId}, then on each host that keeps it out: ` +
  `flatnet hosts release ${hostId}`

interface ReplicaStoreDeps extends ReplicationDeps {
  readonly alarms: Alarms
  readonly peers: ReplicationPeers
  readonly guard: Guard
  readonly replicas: Replicas
  readonly decoder: RecordDecoder
}

export class ReplicaStore {
  readonly #deps: ReplicaStoreDeps
  readonly #dirty = new Set<number>()
  #cancelSave: (() => void) | undefined
  #saving: Promise<void> = Promise.resolve()

  constructor(deps: ReplicaStoreDeps) {
    this.#deps = deps
  }

  restore({ hostId, keyId, known, signed, ageMs, quarantine, records }: StoredTable): void {
    const { decoder, keyIdOf, registry, replicas, scheduler, slices } = this.#deps
    if (!slices.isHostId(hostId) || hostId === registry.hostId || keyIdOf(hostId) !== keyId) return
    const assignments = records.map((r) => decoder.decode(r, hostId))
    if (assignments.some((a) => typeof a === 'string')) return
    const replica = replicas.ensure(hostId, keyId, known)
    replica.signed = signed
    replica.proof = signed
    replica.quarantine = quarantine
    replica.heardAt = scheduler.monotonic() - ageMs
    const version = signed === undefined ? { epoch: known.epoch, seq: 0 } : signed
    registry.replace(hostId, { epoch: version.epoch, seq: version.seq }, assignments as Assignment[])
    this.evaluate(hostId)
  }

  /**
   * A table, or changes of it, are in the registry now.
   * @param isHearsay passed on by a third host, so signature and hash were checked
   */
  tookOver(hostId: number, signed: Signed, isHearsay: boolean, ageMs: Millis): void {
    const { keyIdOf, replicas, scheduler } = this.#deps
    const heardAt = scheduler.monotonic() - ageMs
    const known = { epoch: signed.epoch, nonce: signed.nonce, superseded: [] }
    const isNew = replicas.get(hostId) === undefined
    const replica = replicas.ensure(hostId, keyIdOf(hostId)!, known)
    replica.heardAt = isNew ? heardAt : Math.max(replica.heardAt, heardAt)
    if (isHearsay) replica.known = hearsay(replica.known, signed)
    replica.signed = signed
    if (isNewer(signed, replica.proof)) replica.proof = signed
    replica.isChecked = isHearsay
    replicas.noteCaughtUp(replica)
    this.#save(hostId)
    this.evaluate(hostId)
  }

  tick(): void {
    const { registry, replicas, scheduler } = this.#deps
    for (const hostId of replicas.dropStrangers()) this.#save(hostId)
    for (const replica of replicas.all()) {
      this.evaluate(replica.hostId)
      const isOld = scheduler.monotonic() - replica.heardAt > FORGET_MS
      if (!isOld || this.#freshness(replica) === 'live' || replica.signed === undefined) continue
      // The version stays, so that no peer that still has the table can bring it back.
      registry.empty(replica.hostId)
      replica.signed = undefined
      this.#save(replica.hostId)
    }
  }

  evaluate(hostId: number): void {
    const { events, log, registry, replicas } = this.#deps
    const replica = replicas.get(hostId)
    if (replica === undefined) return
    const freshness = this.#freshness(replica)
    if (!registry.setFreshness(hostId, freshness)) return
    events.emit({ type: 'hostChanged', hostId, state: freshness })
    log.info({ peer: hostId, reason: freshness }, 'host changed')
  }

  #freshness(replica: Replica): Freshness {
    const { peers, isReached, scheduler } = this.#deps
    if (peers.isUp(replica.hostId) || isReached(replica.hostId)) return 'live'
    return scheduler.monotonic() - replica.heardAt >= GONE_MS ? 'gone' : 'unreachable'
  }

  /** Two machines use one identity. Routing could reach either machine, so the whole hostId is quarantined. */
  clone(replica: Replica, seen: Incarnation): void {
    replica.known = restoreFirst(replica.known, seen)
    this.keepOut(replica)
  }

  /** The run that is known is the first one. */
  keepOut(replica: Replica): void {
    const { hostId } = replica
    const since = new Date(this.#deps.scheduler.now()).toISOString()
    this.#deps.send(hostId, { type: 'registry.clone' })
    if (replica.quarantine !== undefined) return
    const reason = `two machines use the identity of host ${hostId}`
    replica.quarantine = { reason, since }
    this.#save(hostId)
    this.#deps.alarms.announce({ hostId, reason, next: release(hostId) })
    this.#deps.events.emit({ type: 'hostChanged', hostId, state: 'quarantined' })
  }

  /** A machine with another key than the pinned one wants to be this host; the links refuse it. */
  duplicate(hostId: number, keyId: string, endpoint: string): void {
    const reason = `the machine at ${endpoint} calls itself host ${hostId} with another key, and is refused`
    const next = 'on that machine: flatnet leave --force, then flatnet join with a new token'
    this.#deps.alarms.raise(`key ${keyId}`, { hostId, reason, next }, SPREAD_MS)
  }

  /** A peer says that another machine uses the identity of this host. */
  ownClone(from: number): void {
    const { hostId } = this.#deps.registry
    const reason = `host ${from} sees a second machine with the identity of this host`
    this.#deps.alarms.raise('clone', { hostId, reason, next: release(hostId) })
  }

  release(hostId: number): boolean {
    const replica = this.#deps.replicas.get(hostId)
    if (replica?.quarantine === undefined) return false
    replica.quarantine = undefined
    // The machine that is left is the right one, as long as its epoch is not below what was used.
    replica.known = { epoch: replica.known.epoch - 1, nonce: '', superseded: [] }
    this.#save(hostId)
    const state = this.#freshness(replica)
    this.#deps.events.emit({ type: 'hostChanged', hostId, state })
    this.#deps.log.info({ peer: hostId }, 'host released')
    return true
  }

  /**
   * Writes what has changed since the last time, one table after the other, so that a slow disk holds one in memory.
   */
  flush(): Promise<void> {
    this.#cancelSave?.()
    this.#cancelSave = undefined
    const hosts = [...this.#dirty]
    this.#dirty.clear()
    this.#saving = this.#saving.then(() => this.#write(hosts))
    return this.#saving
  }

  async #write(hosts: readonly number[]): Promise<void> {
    const { guard, peers, log, replicas, store } = this.#deps
    for (const hostId of hosts) {
      const replica = replicas.get(hostId)
      try {
        if (replica === undefined) await store?.remove(hostId)
        else await store?.save(replicas.stored(replica, peers.isUp(hostId)))
      } catch (err) {
        // A full disk takes none of 253; the next change of each tries again.
        if (guard.isDue('tables kept')) log.warn({ peer: hostId, err }, 'table of a host could not be kept')
      }
    }
  }

  #save(hostId: number): void {
    if (this.#deps.store === undefined) return
    this.#dirty.add(hostId)
    this.#cancelSave ??= this.#deps.scheduler.after(SAVE_MS, () => void this.flush())
  }
}
