/** Handles each message of a peer about tables: may it say so, what does it follow on, what is the answer. */

import { parseIpv4 } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'
import type { Millis } from '../../core/clock.ts'
import { ipsOf, isNewer, type Version } from '../registry/table.ts'
import type { DropReason, ReplicationDeps } from './deps.ts'
import type { Digests } from './digests.ts'
import { follow, type Judgement, judge } from './fence.ts'
import type { Guard } from './guard.ts'
import { hashOf } from './hash.ts'
import {
  claimIn,
  type Delta,
  type Digest,
  type Hello,
  PROTOCOL,
  type RegistryMessage,
  type Signed,
  type Stale,
  type TablePage,
  versionIn,
  type Want,
} from './messages.ts'
import { pagesOf } from './pages.ts'
import type { ReplicationPeers } from './peers.ts'
import type { Publisher } from './publisher.ts'
import type { RecordDecoder } from './record.ts'
import type { ReplicaStore } from './replica-store.ts'
import type { Replica, Replicas } from './replicas.ts'
import { keyIdOfKey } from './sign.ts'

export interface InboxDeps extends ReplicationDeps {
  readonly peers: ReplicationPeers
  readonly guard: Guard
  readonly replicas: Replicas
  readonly publisher: Publisher
  readonly replicaStore: ReplicaStore
  readonly decoder: RecordDecoder
  readonly digests: Digests
  /** The own epoch was raised. */
  republish(): void
}

/**
 * After a start, or when a partition heals, most links come up within it: a table comes from its owner, without
 * checks.
 */
const GREETED_MS: Millis = 2_000
const NOTHING: Version = { epoch: 0, seq: 0 }

export class Inbox {
  readonly #deps: InboxDeps

  constructor(deps: InboxDeps) {
    this.#deps = deps
  }

  handle(from: number, message: RegistryMessage): void {
    const reason = this.#handle(from, message)
    if (reason !== undefined) this.#deps.guard.drop(from, reason)
  }

  /** Each handler answers why it did not follow the message; undefined when it did. */
  #handle(from: number, message: RegistryMessage): DropReason | undefined {
    switch (message.type) {
      case 'registry.hello':
        return this.#hello(from, message)
      case 'registry.delta':
        return this.#delta(from, message)
      case 'registry.table':
        return this.#page(from, message)
      case 'registry.digest':
        return this.#digest(from, message)
      case 'registry.want':
        return this.#request(from, message)
      case 'registry.stale':
        return this.#stale(from, message)
      case 'registry.clone':
        return void this.#deps.replicaStore.ownClone(from)
    }
  }

  /**
   * Compares one unchecked table with what its owner signed. A difference is a fault of this gateway, and is mended.
   */
  audit(random: number): void {
    const { replicas, peers, registry } = this.#deps
    const unchecked = [...replicas.all()].filter((r) => r.signed !== undefined && !r.isChecked)
    const one = unchecked[Math.floor(random * unchecked.length)]
    if (one === undefined || this.#isGenuine(one) || !peers.isUp(one.hostId)) return
    this.#deps.log.error({ peer: one.hostId }, 'registry table differed from its hash')
    if (registry.version(one.hostId) !== undefined) this.#ask(one.hostId, one.hostId, NOTHING)
  }

  #hello(from: number, m: Hello): DropReason | undefined {
    const { guard, peers, publisher, scheduler } = this.#deps
    if (m.v !== PROTOCOL) return 'malformed'
    if (!guard.affords(from)) return 'flood'
    const reason = this.#admit(from, m, true)
    if (reason !== undefined && reason !== 'stale-epoch') return reason
    // A second one on the same link: the other side started over, and waits for this host's.
    if (peers.isGreeted(from)) this.#deps.digests.sendHello(from)
    peers.greet(from)
    const [, epoch = 0, seq = 0] = m.know.find(([hostId]) => hostId === publisher.hostId) ?? []
    const notSent = this.#push(from, { epoch, seq })
    // Versions of third hosts are compared when those have had the time to send their tables themselves.
    scheduler.after(GREETED_MS, () => {
      if (peers.isGreeted(from)) this.#deps.digests.sendFull(from)
    })
    return reason ?? notSent
  }

  #delta(from: number, m: Delta): DropReason | undefined {
    const { decoder, registry, replicas, slices } = this.#deps
    const reason = this.#admit(from, m, false)
    if (reason !== undefined) return reason
    const have = registry.version(from)
    if (!isNewer(m, have)) return 'old'
    if (have === undefined || have.epoch !== m.epoch || have.seq < m.from) {
      replicas.noteBehind(from, versionIn(m))
      this.#ask(from, from, have ?? NOTHING)
      return 'gap'
    }
    const put: Assignment[] = []
    for (const record of m.put) {
      const assignment = decoder.decode(record, from)
      if (typeof assignment === 'string') return assignment
      put.push(assignment)
    }
    const ips = put.flatMap(ipsOf)
    if (new Set(ips).size !== ips.length) return 'malformed'
    const del = m.del.map((ip) => parseIpv4(ip))
    if (del.some((ip) => ip === undefined || !slices.owns(from, ip))) return 'out-of-slice'
    registry.patch(from, versionIn(m), { put, del: del.filter((ip) => ip !== undefined) })
    this.#deps.replicaStore.tookOver(from, claimIn(m), false, 0)
    if (registry.sizeOf(from) !== m.size) this.#ask(from, from, NOTHING)
    return undefined
  }

  #page(from: number, m: TablePage): DropReason | undefined {
    const { peers, registry, publisher, slices } = this.#deps
    const isDirect = m.hostId === from
    if (m.hostId === publisher.hostId) return 'not-owner'
    const reason = isDirect ? this.#admit(from, m, false) : this.#doubt(m)
    if (reason !== undefined) return reason
    if (!isNewer(m, registry.version(m.hostId)) && !(isDirect && this.#isRepair(m))) return 'old'
    const arrival = peers.arrivals(from)?.add(m)
    if (arrival === undefined || arrival.kind === 'more') return undefined
    if (arrival.kind === 'bad') return arrival.reason
    if (!isDirect && hashOf(slices.sliceOf(m.hostId), arrival.assignments) !== m.hash) return 'forged'
    peers.arrived(m.hostId)
    registry.replace(m.hostId, versionIn(m), arrival.assignments)
    this.#deps.replicaStore.tookOver(m.hostId, claimIn(m), !isDirect, m.ageMs)
    return undefined
  }

  /**
   * The table of the version that this host has: requested because it differs from what its owner signed, or was
   * dropped.
   */
  #isRepair(m: TablePage): boolean {
    const version = this.#deps.registry.version(m.hostId)
    const replica = this.#deps.replicas.get(m.hostId)
    const isSame = version?.epoch === m.epoch && version.seq === m.seq
    return isSame && replica !== undefined && !this.#isGenuine(replica)
  }

  #digest(from: number, m: Digest): DropReason | undefined {
    const { guard, publisher, registry, replicas, send } = this.#deps
    if (m.scope === 'all' && !guard.affords(from)) return 'flood'
    let reason: DropReason | undefined
    for (const [hostId, epoch, seq] of m.know) {
      if (hostId === publisher.hostId) reason = this.#push(from, { epoch, seq })
      else this.#learnOf(from, hostId, { epoch, seq })
    }
    if (m.scope !== 'all') return reason
    const theirs = new Map(m.know.map(([hostId, epoch, seq]) => [hostId, { epoch, seq }]))
    const know = replicas
      .know(publisher.version)
      .filter(([hostId]) => hostId !== from && isNewer(registry.version(hostId)!, theirs.get(hostId)))
    if (know.length > 0) send(from, { type: 'registry.digest', scope: 'answer', know })
    return reason
  }

  #request(from: number, m: Want): DropReason | undefined {
    const { guard, peers, publisher, registry, replicas, scheduler, send } = this.#deps
    if (m.hostId === publisher.hostId) return this.#push(from, versionIn(m))
    if (!guard.affords(from)) return 'flood'
    const replica = replicas.get(m.hostId)
    const isNews = replica?.signed !== undefined && isNewer(replica.signed, m)
    if (!isNews || replica.quarantine !== undefined || !this.#isGenuine(replica)) return undefined
    if (!guard.affordsTable(from, m.hostId)) return 'flood'
    const ageMs = peers.isUp(m.hostId) ? 0 : Math.max(0, Math.round(scheduler.monotonic() - replica.heardAt))
    for (const page of pagesOf(replica.signed!, registry.all(m.hostId), ageMs)) send(from, page)
    return undefined
  }

  #stale(from: number, m: Stale): DropReason | undefined {
    const { log, publisher, verifier } = this.#deps
    const keyId = keyIdOfKey(publisher.signed().key)
    if (m.hostId !== publisher.hostId || !verifier.verify(m, m, keyId)) return 'forged'
    if (!publisher.raise(m)) return 'old'
    log.warn({ peer: from }, 'own epoch was behind and raised')
    this.#deps.republish()
    return undefined
  }

  /** Why a message in which a peer speaks for itself is not followed. @param isFirst its first on this link */
  #admit(from: number, m: Signed, isFirst: boolean): DropReason | undefined {
    const { replicaStore, replicas, keyIdOf } = this.#deps
    if (m.hostId !== from) return 'not-owner'
    const replica = replicas.get(from)
    if (replica?.quarantine !== undefined && replica.known.nonce !== m.nonce) return 'quarantined'
    const judgement = this.#judge(replica, m)
    if (judgement === 'clone') {
      replicaStore.clone(replica!, m)
      return 'quarantined'
    }
    const have = this.#deps.registry.version(from)
    // Of the known run, but before what it has sent already: its memory is an old one, unless the message is.
    const isOld = isFirst && judgement === 'same' && have?.epoch === m.epoch && m.seq < have.seq
    if ((judgement === 'stale' || isOld) && replica?.proof !== undefined) {
      this.#deps.send(from, { type: 'registry.stale', ...replica.proof })
    }
    if (judgement === 'stale') return 'stale-epoch'
    const known = follow(replica?.known, m)
    const target = replica ?? replicas.ensure(from, keyIdOf(from)!, known)
    target.known = known
    if (isNewer(m, target.proof)) target.proof = claimIn(m)
    return undefined
  }

  /** One run cannot have two tables of one version: then its memory was copied. */
  #judge(replica: Replica | undefined, m: Signed): Judgement {
    const judgement = judge(replica?.known, m)
    const { signed } = replica ?? {}
    const isOther = signed?.epoch === m.epoch && signed.seq === m.seq && signed.hash !== m.hash
    return judgement === 'same' && isOther ? 'clone' : judgement
  }

  /** Why a table that a peer passes on is not followed. Called for each page; the signature is looked at once. */
  #doubt(m: TablePage): DropReason | undefined {
    const { keyIdOf, peers, registry, replicas, send, verifier } = this.#deps
    const keyId = keyIdOf(m.hostId)
    const replica = replicas.get(m.hostId)
    if (keyId === undefined) return 'stranger'
    if (!isNewer(m, registry.version(m.hostId))) return 'old'
    if (m.page === 0 && !verifier.verify(m, m, keyId)) return 'forged'
    if (replica?.quarantine !== undefined && replica.known.nonce !== m.nonce) return 'quarantined'
    if (!peers.isGreeted(m.hostId) || replica?.known.nonce === m.nonce) return undefined
    // Another run of it is there and lags behind: it is shown what it does not know of.
    if (m.page === 0) send(m.hostId, { type: 'registry.stale', ...claimIn(m) })
    return 'old'
  }

  /** Requests a table of which the peer has a newer version, unless its owner will send it. */
  #learnOf(from: number, hostId: number, version: Version): void {
    const { keyIdOf, peers, publisher, registry, replicas } = this.#deps
    if (hostId === publisher.hostId || keyIdOf(hostId) === undefined) return
    const have = registry.version(hostId)
    if (!isNewer(version, have)) return
    replicas.noteBehind(hostId, version)
    if (hostId === from || !peers.isUp(hostId)) this.#ask(from, hostId, have ?? NOTHING)
  }

  #ask(peer: number, hostId: number, { epoch, seq }: Version): void {
    if (this.#deps.peers.mayWant(hostId)) this.#deps.send(peer, { type: 'registry.want', hostId, epoch, seq })
  }

  /** Sends what the peer lacks of the own table. @returns why not */
  #push(to: number, have: Version): DropReason | undefined {
    const { guard, publisher, send } = this.#deps
    if (!isNewer(publisher.version, have)) return undefined
    if (!guard.affords(to)) return 'flood'
    const messages = publisher.since(have)
    if (messages[0]?.type === 'registry.table' && !guard.affordsTable(to, publisher.hostId)) return 'flood'
    for (const message of messages) send(to, message)
    return undefined
  }

  /** Whether our copy is what its owner signed; only then it is passed on. */
  #isGenuine(replica: Replica): boolean {
    const { registry, slices, verifier } = this.#deps
    const { signed, hostId, keyId } = replica
    if (signed === undefined) return false
    replica.isChecked ||=
      verifier.verify(signed, signed, keyId) &&
      hashOf(slices.sliceOf(hostId), registry.all(hostId)) === signed.hash
    return replica.isChecked
  }
}
