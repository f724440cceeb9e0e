/** This host's part in its cluster: wires links, members, joining and renewal, and follows changes. */

import type { DaemonConf } from '../../conf/daemon.ts'
import type { Millis } from '../../core/clock.ts'
import { formatEndpoint } from '../../core/endpoint.ts'
import { FlatnetError, hasCode } from '../../core/errors.ts'
import type { Log } from '../../core/log.ts'
import type { Events } from '../base/events.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Part } from '../base/part.ts'
import type { Scheduler } from '../base/scheduler.ts'
import { Links } from '../links/links.ts'
import type { ControlMessage, LinkEvents } from '../links/types.ts'
import { Announcer } from './announce.ts'
import { BrowserCertificates } from './identity/browser-certificates.ts'
import type { ClusterFiles } from './identity/files.ts'
import { judgeConf } from './identity/fit.ts'
import { type CertificateStatus, certificateStatus } from './identity/life.ts'
import { LinkQuestion } from './identity/link-question.ts'
import { Renewal } from './identity/renewal.ts'
import { Admission } from './joining/admission.ts'
import { TokenBook } from './joining/tokens.ts'
import { changedKeys, changesOf } from './members/changes.ts'
import { type MembersDocument, memberOf } from './members/document.ts'
import { Gossip } from './members/gossip.ts'
import { ClusterState } from './members/state.ts'
import { clusterGauges, countRefused } from './metrics.ts'
import { ClusterOperations } from './operations.ts'

export interface ClusterDeps {
  readonly conf: DaemonConf
  readonly scheduler: Scheduler
  readonly log: Log
  readonly events: Events
  readonly metrics: Metrics
  readonly version: string
  /** Whether two machines use the identity of a host: neither may then speak for it. */
  isQuarantined(hostId: number): boolean
}

/** How often this host's addresses are looked at. */
const LOOK_AT_ADDRESSES_MS: Millis = 10_000

export class Cluster implements Part {
  readonly state: ClusterState
  readonly links: Links
  readonly operations: ClusterOperations
  /** For HTTPS. */
  readonly browserCertificates: BrowserCertificates
  readonly #deps: ClusterDeps
  readonly #admission: Admission
  readonly #announcer: Announcer
  readonly #gossip: Gossip
  readonly #renewal: Renewal
  readonly #linkRenewal: LinkQuestion
  readonly #listeners = new Set<Partial<LinkEvents>>()
  #stopLooking: (() => void) | undefined

  /** @throws {FlatnetError} ERR_FLATNET_STORE; ERR_FLATNET_CONFIG: flatnet.yaml is for another host or network */
  constructor(deps: ClusterDeps, files: ClusterFiles) {
    const { conf, log, metrics, scheduler: clock, version } = deps
    this.#deps = deps
    const state = new ClusterState(files)
    this.state = state
    judgeConf(conf, state)
    const tokens = new TokenBook(files)
    const count = (outcome: string): void =>
      metrics.count('flatnet_cluster_admissions_total', 'Newcomers and renewals', { outcome })
    const admission = new Admission({ state, tokens, clock, log, version, count })
    this.#admission = admission
    this.links = this.#makeLinks()
    const common = { ...deps, clock, state, links: this.links }
    this.operations = new ClusterOperations({ ...common, tokens, admission })
    this.#announcer = new Announcer(common)
    this.#gossip = new Gossip({
      state,
      clock,
      log,
      send: (hostId, message) => this.links.send(hostId, message),
      broadcast: (message) => void this.links.broadcast(message),
      endpointsChanged: () => this.links.retryNow(),
    })
    const send = (hostId: number, message: ControlMessage): boolean => this.links.send(hostId, message)
    this.#linkRenewal = new LinkQuestion({
      question: 'cluster.renew',
      answer: 'cluster.renewed',
      send,
      answerTo: (hostId, { requestPem }) =>
        admission.renew(memberOf(state.document, hostId)?.keyId ?? '', requestPem),
    })
    const { domains } = conf.ingress
    this.browserCertificates = new BrowserCertificates({ state, domains, clock, send })
    this.#renewal = this.#makeRenewal()
    this.#handleMessages()
    state.onChange((before, now) => this.#membersChanged(before, now))
    clusterGauges(common)
  }

  /** Events of every link, for parts besides the cluster's own; a handler that was not given is not called. */
  listen(listener: Partial<LinkEvents>): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
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
      throw new FlatnetError(
        'ERR_FLATNET_IO',
        `cannot listen on ${formatEndpoint(host, port)} for peers: ${way}`,
        {
          cause,
        },
      )
    }
    if (this.state.becomeAdmin()) log.warn({}, 'this host admits others from now on')
    const { removedWhy } = this.state
    if (removedWhy !== undefined) log.error({ reason: removedWhy }, 'this host is no member any more')
    this.#announcer.announce()
    this.#stopLooking = this.#deps.scheduler.every(LOOK_AT_ADDRESSES_MS, () => {
      this.#announcer.announce()
      this.state.keep()
    })
    this.#renewal.start()
  }

  async stop(): Promise<void> {
    this.#stopLooking?.()
    this.#renewal.stop()
    await this.links.stop()
  }

  certificateStatus(): CertificateStatus {
    return certificateStatus(this.state.identity.certPem, this.#deps.scheduler.now())
  }

  #makeLinks(): Links {
    const { conf, log, metrics, scheduler } = this.#deps
    return new Links({
      identity: () => this.state.identity,
      membership: this.state,
      listen: conf.peers.listen,
      events: this.#peerEvents(),
      metrics,
      scheduler,
      log,
      join: (socket, asked) => this.#admission.answer(socket, asked),
    })
  }

  #makeRenewal(): Renewal {
    const { log, scheduler } = this.#deps
    const { state } = this
    return new Renewal({
      state,
      clock: scheduler,
      log,
      renewHere: async (requestPem) =>
        String((await this.#admission.renew(state.keyId, requestPem))['certPem']),
      renewByLink: async (hostId, requestPem) => {
        const { certPem, members } = await this.#linkRenewal.ask(hostId, { requestPem })
        return { certPem: String(certPem), sealed: members }
      },
      adopt: (sealed) => void state.adopt(sealed),
      renewed: () => this.links.renewed(),
    })
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
      overspent: (hostId, reason) => each((l) => l.overspent?.(hostId, reason)),
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
    links.handle('cluster.renew', (hostId, message) => void this.#linkRenewal.onQuestion(hostId, message))
    links.handle('cluster.renewed', (hostId, message) => this.#linkRenewal.onAnswer(hostId, message))
    links.handle('cluster.certify', this.browserCertificates.onQuestion)
    links.handle('cluster.certified', this.browserCertificates.onAnswer)
    links.handle('cluster.leave', (hostId) => this.operations.onLeave(hostId))
  }

  /** All hosts get the new list before those that are out are cut off: they should know why. */
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
}
