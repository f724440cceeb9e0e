/** This host's part in its cluster while the gateway runs: links to the peers, the list of members, joining and renewal. */

import type { DaemonConf } from '../../conf/daemon.ts'
import type { Clock, Millis } from '../../core/clock.ts'
import { FlatnetError, hasCode } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { Events } from '../base/events.ts'
import type { Metrics } from '../base/metrics.ts'
import { Links } from '../links/links.ts'
import type { LinkEvents } from '../links/types.ts'
import type { ClusterFiles } from './identity/files.ts'
import { judgeConf } from './identity/fit.ts'
import { type CertificateStatus, certificateStatus } from './identity/life.ts'
import { LinkRenewal } from './identity/link-renewal.ts'
import { Renewal } from './identity/renewal.ts'
import { Admission } from './joining/admission.ts'
import { fingerprintOfCa } from './joining/joining.ts'
import { encodeToken, type Grant, TokenBook } from './joining/tokens.ts'
import { changedKeys, changesOf } from './members/changes.ts'
import { type MemberRecord, type MembersDocument, memberOf } from './members/document.ts'
import { ownEndpoints, signEndpoints } from './members/endpoints.ts'
import { Gossip } from './members/gossip.ts'
import { ClusterState } from './members/state.ts'
import { clusterGauges, countRefused } from './metrics.ts'

export interface ClusterDeps {
  readonly conf: DaemonConf
  readonly clock: Clock
  readonly log: Log
  readonly events: Events
  readonly metrics: Metrics
  readonly version: string
}

/** How often this host's addresses are looked at. */
const LOOK_AT_ADDRESSES_MS: Millis = 10_000
/** A host that leaves waits so long for the list that says so. */
const LEAVE_MS: Millis = 5_000

export class Cluster {
  readonly state: ClusterState
  readonly links: Links
  readonly #deps: ClusterDeps
  readonly #tokens: TokenBook
  readonly #admission: Admission
  readonly #gossip: Gossip
  readonly #renewal: Renewal
  readonly #linkRenewal: LinkRenewal
  readonly #listeners = new Set<Partial<LinkEvents>>()
  #isSuspicious: (hostId: number) => boolean = () => false
  #looking: NodeJS.Timeout | undefined

  /** @throws {FlatnetError} ERR_FLATNET_STORE; ERR_FLATNET_CONFIG: flatnet.yaml is for another host or network */
  constructor(deps: ClusterDeps, files: ClusterFiles) {
    const { conf, clock, log } = deps
    this.#deps = deps
    this.state = new ClusterState(files)
    judgeConf(conf, this.state)
    this.#tokens = new TokenBook(files)
    this.#admission = new Admission({
      state: this.state,
      tokens: this.#tokens,
      clock,
      log,
      version: deps.version,
      count: (outcome) =>
        deps.metrics.count('flatnet_cluster_admissions_total', 'Newcomers and renewals', { outcome }),
    })
    this.links = new Links({
      identity: () => this.state.identity,
      membership: this.state,
      listen: conf.peers.listen,
      events: this.#peerEvents(),
      metrics: deps.metrics,
      clock,
      log,
      join: (socket) => this.#admission.answer(socket),
    })
    this.#gossip = new Gossip({
      state: this.state,
      clock,
      log,
      send: (hostId, message) => this.links.send(hostId, message),
      broadcast: (message) => void this.links.broadcast(message),
      endpointsChanged: () => this.links.retryNow(),
    })
    this.#linkRenewal = new LinkRenewal({
      send: (hostId, message) => this.links.send(hostId, message),
      renew: (hostId, requestPem) =>
        this.#admission.renew(memberOf(this.state.document, hostId)?.keyId ?? '', requestPem),
    })
    this.#renewal = new Renewal({
      state: this.state,
      clock,
      log,
      renewHere: async (requestPem) =>
        String((await this.#admission.renew(this.state.keyId, requestPem))['certPem']),
      renewByLink: (hostId, requestPem) => this.#linkRenewal.ask(hostId, requestPem),
      adopt: (sealed) => void this.state.adopt(sealed),
      renewed: () => this.links.renewed(),
    })
    this.#handleMessages()
    this.state.onChange((before, now) => this.#membersChanged(before, now))
    clusterGauges({ ...deps, state: this.state, links: this.links })
  }

  /** Told of every link besides the cluster's own deps; a handler that was never given is not called. */
  listen(listener: Partial<LinkEvents>): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** @param suspicious whether two machines use the identity of a host: neither may then speak for it */
  setSuspicious(isSuspicious: (hostId: number) => boolean): void {
    this.#isSuspicious = isSuspicious
  }

  /** @throws {FlatnetError} ERR_FLATNET_IO: the port is taken */
  async start(): Promise<void> {
    const { conf, log } = this.#deps
    const { host, port } = conf.peers.listen
    try {
      await this.links.start()
    } catch (cause) {
      const way = hasCode(cause, 'EADDRINUSE')
        ? 'something else listens there: stop it, or set peers.listen to another port'
        : 'set peers.listen to an address of this host'
      throw new FlatnetError('ERR_FLATNET_IO', `cannot listen on ${host}:${port} for peers: ${way}`, {
        cause,
      })
    }
    if (this.state.becomeAdmin()) log.warn({}, 'this host admits others from now on')
    const { removedWhy } = this.state
    if (removedWhy !== undefined) log.error({ reason: removedWhy }, 'this host is no member any more')
    this.#announce()
    this.#looking = setInterval(() => {
      this.#announce()
      this.state.keep()
    }, LOOK_AT_ADDRESSES_MS)
    this.#renewal.start()
  }

  async stop(): Promise<void> {
    clearInterval(this.#looking)
    this.#renewal.stop()
    await this.links.stop()
  }

  certificateStatus(): CertificateStatus {
    return certificateStatus(this.state.identity.certPem, this.#deps.clock.now())
  }

  /** @throws {FlatnetError} this host cannot admit, or not what is asked for */
  makeToken(ttlMs: Millis, grant: Grant): { token: string; expiresAt: Millis } {
    const { state } = this
    state.demandCaKey()
    const refusal = this.#admission.refusalOfGrant(grant)
    if (refusal !== undefined) throw new FlatnetError('ERR_FLATNET_CONFIG', refusal)
    const own = memberOf(state.document, state.identity.hostId)
    const { conf, clock } = this.#deps
    const { secret, expiresAt } = this.#tokens.make(clock.now(), ttlMs, grant)
    const token = encodeToken({
      caFingerprint: fingerprintOfCa(state.identity.caPem),
      secret,
      hostId: state.identity.hostId,
      supernet: conf.supernet,
      hostPrefix: conf.hostPrefix,
      expiresAt,
      addresses: own === undefined ? [] : state.endpointsOf(own),
    })
    return { token, expiresAt }
  }

  /** @throws {FlatnetError} no such member, or this host cannot */
  revoke(hostId: number): MemberRecord {
    const { state } = this
    state.demandCaKey()
    const member = memberOf(state.document, hostId)
    if (member === undefined)
      throw new FlatnetError(
        'ERR_FLATNET_CONFIG',
        `there is no host ${hostId} in this cluster: flatnet hosts lists them`,
      )
    if (hostId === state.identity.hostId) {
      throw new FlatnetError(
        'ERR_FLATNET_CONFIG',
        `host ${hostId} is this one, which admits others: it cannot revoke itself`,
      )
    }
    return this.#mark(member, 'revoked')
  }

  /**
   * Asks the admitting host to list this one as gone; resolves when the list says so.
   * @throws {FlatnetError} nobody who could was reached in time
   */
  async leave(): Promise<void> {
    const { state, links } = this
    const own = memberOf(state.document, state.identity.hostId)
    if (own === undefined || own.state !== 'active') return
    if (own.admits) {
      throw new FlatnetError(
        'ERR_FLATNET_CONFIG',
        'this host admits the others; without it none can join or be revoked. If that is meant: flatnet leave --force',
      )
    }
    const asked = state.document.members.filter(
      (m) => m.admits && m.state === 'active' && links.send(m.hostId, { type: 'cluster.leave' }),
    )
    const admitting = state.document.members.filter((m) => m.admits).map((m) => m.hostId)
    if (asked.length === 0) throw unheard(admitting)
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(unheard(admitting)), LEAVE_MS)
      state.onChange(() => {
        if (state.removedWhy === undefined) return
        clearTimeout(timer)
        resolve()
      })
    })
  }

  #mark(member: MemberRecord, to: 'left' | 'revoked'): MemberRecord {
    const { clock, log } = this.#deps
    if (member.state === to || member.state === 'revoked') return member
    const record = { ...member, state: to, changedAt: new Date(clock.now()).toISOString() }
    this.state.change(record)
    log.warn({ peer: member.hostId, reason: to }, 'host is no member any more')
    return record
  }

  #peerEvents(): LinkEvents {
    const each = (call: (l: Partial<LinkEvents>) => void): void => {
      for (const listener of this.#listeners) call(listener)
    }
    return {
      up: (hostId) => {
        this.#gossip.greet(hostId)
        each((l) => l.up?.(hostId))
      },
      down: (hostId, reason) => each((l) => l.down?.(hostId, reason)),
      dataUp: (hostId, socket) => each((l) => l.dataUp?.(hostId, socket)),
      dataDown: (hostId) => each((l) => l.dataDown?.(hostId)),
      rival: (hostId, message) => each((l) => l.rival?.(hostId, message)),
      refused: (refused) => {
        countRefused(this.#deps.metrics, refused)
        each((l) => l.refused?.(refused))
      },
    }
  }

  #handleMessages(): void {
    const { links } = this
    links.handle('cluster.digest', (hostId, message) => this.#gossip.onDigest(hostId, message))
    links.handle('cluster.members', (hostId, message) => this.#gossip.onMembers(hostId, message))
    links.handle('cluster.endpoints', (hostId, message) => this.#gossip.onEndpoints(hostId, message))
    links.handle('cluster.renew', (hostId, message) => void this.#linkRenewal.onRequest(hostId, message))
    links.handle('cluster.renewed', (hostId, message) => this.#linkRenewal.onAnswer(hostId, message))
    links.handle('cluster.leave', (hostId) => this.#left(hostId))
  }

  #left(hostId: number): void {
    const member = memberOf(this.state.document, hostId)
    if (member === undefined || this.state.caKeyPem === undefined) return
    if (this.#isSuspicious(hostId)) {
      this.#deps.log.warn({ peer: hostId }, 'leave of a host that is kept out was ignored')
    } else this.#mark(member, 'left')
  }

  /** Everybody is told before those that are out are cut off: they should know why. */
  #membersChanged(before: MembersDocument, now: MembersDocument): void {
    const { events, log } = this.#deps
    if (!this.state.keep())
      log.error({ reason: 'the disk takes no more' }, 'list of members could not be kept')
    if (this.state.caKeyPem !== undefined) this.#gossip.spread()
    const changed = changedKeys(before, now)
    if (changed.length > 0) this.state.withoutHosts(changed, () => this.links.refresh())
    this.links.refresh()
    for (const event of changesOf(before, now)) events.emit(event)
    const { removedWhy } = this.state
    if (removedWhy !== undefined)
      this.#deps.log.error({ reason: removedWhy }, 'this host is no member any more')
  }

  /** Says where this host is, when that is news. */
  #announce(): void {
    const { conf, clock, log } = this.#deps
    const { state, links } = this
    const { host } = conf.peers.listen
    const listen = { host, port: links.port }
    const endpoints = ownEndpoints({ listen, advertise: conf.peers.advertise, supernet: conf.supernet })
    const before = state.endpoints.get(state.identity.hostId)
    if (JSON.stringify(before?.endpoints) === JSON.stringify(endpoints)) return
    const seq = Math.max((before?.seq ?? 0) + 1, Math.floor(clock.now() / 1000))
    const record = signEndpoints(state.identity, seq, endpoints)
    if (!state.putEndpoints(record)) return
    state.endpoints.save(log)
    links.broadcast({ type: 'cluster.endpoints', records: [record] })
  }
}

const unheard = (admitting: readonly number[]): FlatnetError =>
  new FlatnetError(
    'ERR_FLATNET_IO',
    `host ${admitting.join(' or ')}, which keeps the list of members, was not reached: try again later, or leave with --force and revoke this host there`,
  )
