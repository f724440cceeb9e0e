/**
 * Replicates the registry to and from the other gateways (docs/architecture/registry.md#one-writer).
 *
 * It knows no sockets: links and messages are given to it, and it sends through a function. No message of a peer
 * makes it throw.
 */

import type { Millis } from '../../core/clock.ts'
import type { ControlMessage } from '../links/types.ts'
import { isNewer } from '../registry/table.ts'
import { type Alarm, Alarms } from './alarms.ts'
import { Clocks } from './clocks.ts'
import type { Quarantine, ReplicationDeps, StoredTable } from './deps.ts'
import { Digests } from './digests.ts'
import { DuplicateIdentity } from './duplicate-identity.ts'
import { Guard } from './guard.ts'
import { Inbox } from './inbox.ts'
import { readMessage } from './messages.ts'
import { tellShadowed } from './name-conflicts.ts'
import { ReplicationPeers } from './peers.ts'
import { Publisher } from './publisher.ts'
import { WireDecoder } from './record.ts'
import { ReplicaStore } from './replica-store.ts'
import { Replicas } from './replicas.ts'

/**
 * From one publication to the next; the first change after a pause goes out at once.
 * docs/architecture/registry.md#publish.
 */
const DEBOUNCE_MS: Millis = 20
const PAIR_DIGEST_MS: Millis = 10_000
const FULL_DIGEST_MS: Millis = 5_000
const TICK_MS: Millis = 1_000

export class Replication {
  readonly #deps: ReplicationDeps
  readonly #peers: ReplicationPeers
  readonly #guard: Guard
  readonly #alarms: Alarms
  readonly #replicas: Replicas
  readonly #publisher: Publisher
  readonly #replicaStore: ReplicaStore
  readonly #digests: Digests
  readonly #inbox: Inbox
  readonly #duplicates: DuplicateIdentity
  readonly #clocks: Clocks
  #published: { epoch: number; seq: number }
  #publishedAt: Millis = Number.NEGATIVE_INFINITY
  #cancelPublish: (() => void) | undefined
  readonly #stops: (() => void)[] = []
  #isStopped = false

  constructor(deps: ReplicationDeps) {
    const decoder = deps.decoder ?? new WireDecoder(deps.slices)
    this.#deps = deps
    this.#peers = new ReplicationPeers(deps.scheduler, decoder)
    this.#guard = new Guard(deps)
    this.#alarms = new Alarms(deps)
    this.#replicas = new Replicas(deps)
    this.#publisher = new Publisher(deps)
    this.#published = this.#publisher.version
    const shared = { ...deps, peers: this.#peers, guard: this.#guard, replicas: this.#replicas, decoder }
    this.#replicaStore = new ReplicaStore({ ...shared, alarms: this.#alarms })
    this.#clocks = new Clocks({ ...deps, alarms: this.#alarms })
    this.#duplicates = new DuplicateIdentity({ ...shared, replicaStore: this.#replicaStore })
    const publisher = this.#publisher
    this.#digests = new Digests({ ...shared, publisher })
    this.#inbox = new Inbox({
      ...shared,
      digests: this.#digests,
      publisher,
      replicaStore: this.#replicaStore,
      republish: () => this.#publishIn(0),
    })
  }

  /** Tables of earlier runs, before `start`; what is wrong with one of them makes it absent. */
  restore(stored: readonly StoredTable[]): void {
    for (const table of stored) this.#replicaStore.restore(table)
  }

  start(): void {
    const { random, scheduler } = this.#deps
    const comparePairs = (): void => {
      for (const hostId of this.#peers.ready()) this.#digests.sendPair(hostId)
      this.#inbox.audit(random())
    }
    const compareAll = (): void => {
      const hostId = this.#peers.someReady(random())
      if (hostId !== undefined) this.#digests.sendFull(hostId)
    }
    this.#stops.push(
      scheduler.every(PAIR_DIGEST_MS, comparePairs, random),
      scheduler.every(FULL_DIGEST_MS, compareAll, random),
      scheduler.every(TICK_MS, () => this.#replicaStore.tick(), random),
    )
  }

  /** Tables are on disk when the promise resolves. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#cancelPublish?.()
    for (const stop of this.#stops) stop()
    await this.#replicaStore.flush()
  }

  /** There is a link, or another one in the place of the last: both sides start over. */
  peerUp(hostId: number): void {
    this.#peers.up(hostId)
    this.#replicaStore.evaluate(hostId)
    this.#digests.sendHello(hostId)
  }

  peerDown(hostId: number): void {
    if (!this.#peers.isUp(hostId)) return
    this.#peers.down(hostId)
    const replica = this.#replicas.get(hostId)
    if (replica !== undefined) replica.heardAt = this.#deps.scheduler.monotonic()
    this.#replicaStore.evaluate(hostId)
  }

  /** A message of a peer whose type begins with `registry.`. */
  receive(hostId: number, message: ControlMessage): void {
    if (this.#isStopped) return
    try {
      const read = readMessage(message)
      if (read === undefined) this.#guard.drop(hostId, 'malformed')
      else if (this.#deps.keyIdOf(hostId) === undefined) this.#guard.drop(hostId, 'stranger')
      else {
        this.#inbox.handle(hostId, read)
        if (read.type === 'registry.digest' && read.now !== undefined)
          this.#clocks.onReading(hostId, read.now)
        for (const id of [hostId, this.#deps.registry.hostId])
          tellShadowed({ registry: this.#deps.registry, alarms: this.#alarms }, id)
      }
    } catch (err) {
      this.#guard.drop(hostId, 'fault')
      this.#deps.log.error({ peer: hostId, err }, 'registry message failed')
    }
  }

  /** To be called after every change of the own table, cheap. */
  localChanged(): void {
    const elapsed = this.#deps.scheduler.monotonic() - this.#publishedAt
    this.#publishIn(Math.max(0, DEBOUNCE_MS - elapsed))
  }

  /** A relay path to a host came or went, or the membership changed. */
  refresh(): void {
    this.#replicaStore.tick()
  }

  /** Why a host is kept out; undefined when it is not. */
  quarantineOf(hostId: number): Quarantine | undefined {
    return this.#replicas.get(hostId)?.quarantine
  }

  /** A message that came under this host's name while a link with it stood. */
  rival(hostId: number, message: ControlMessage): void {
    const read = readMessage(message)
    if (read?.type === 'registry.hello') this.#duplicates.onHello(hostId, read)
  }

  /** A machine with another key calls itself this host. The pinned key stays, and the newcomer has no link to cut. */
  duplicate(hostId: number, keyId: string, endpoint: string): void {
    this.#replicaStore.duplicate(hostId, keyId, endpoint)
  }

  /** A member has cost this gateway more than its share, and was cut off for a while. */
  overspent(hostId: number, spent: string): void {
    const reason = `it was cut off: it sent ${spent}`
    const next = `its gateway is broken or was taken over: look at its log, or remove it with flatnet revoke ${hostId}`
    this.#alarms.raise('budget', { hostId, reason, next })
  }

  /** What a person has to act on besides quarantine, for this host too. */
  alarms(): readonly Alarm[] {
    return this.#alarms.list()
  }

  /** An operator has removed the cause. @returns whether the host was quarantined */
  release(hostId: number): boolean {
    if (!this.#replicaStore.release(hostId)) return false
    // Start over on a link that stands: its hello was not followed.
    if (this.#peers.isUp(hostId)) this.peerUp(hostId)
    return true
  }

  /** The longest that any table has been known to be out of date; 0: none is. */
  lagMs(): Millis {
    return this.#replicas.lagMs()
  }

  #publishIn(delayMs: Millis): void {
    if (this.#cancelPublish !== undefined || this.#isStopped) return
    this.#cancelPublish = this.#deps.scheduler.after(delayMs, () => {
      this.#cancelPublish = undefined
      this.#publish()
    })
  }

  #publish(): void {
    const { version } = this.#publisher
    if (!isNewer(version, this.#published)) return
    this.#publishedAt = this.#deps.scheduler.monotonic()
    const ready = [...this.#peers.ready()].filter((id) => this.quarantineOf(id) === undefined)
    const messages = ready.length === 0 ? [] : this.#publisher.since(this.#published)
    this.#published = version
    for (const message of messages) for (const hostId of ready) this.#deps.send(hostId, message)
  }
}
