/** The gateway's view of the UDP paths: which peers may have one, what each does, and what changed. */

import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import { Listeners } from '../../base/listeners.ts'
import { jittered, type Scheduler } from '../../base/scheduler.ts'
import type { ControlMessage } from '../../links/types.ts'
import type { EscalationFacts, GatewayPathFacts, ResetCause } from '../../paths/escalation/types.ts'
import type { EscalationView } from '../../paths/escalation/view.ts'
import type { Candidate, Transport } from '../../paths/transport.ts'
import { ObservedAddresses, ownCandidates, tierOf } from './candidates.ts'
import { Obstacles } from './obstacles.ts'
import { OfferInbox } from './offer-inbox.ts'
import { type P2pLinks, PeerSession } from './peer-session.ts'
import type { ProcessHello } from './process-client.ts'
import { ProcessStatus } from './process-status.ts'
import type { FromProcess, SessionView, ToProcess } from './protocol.ts'

export interface P2pTransportDeps {
  readonly hostId: number
  readonly conf: { readonly enabled: boolean; readonly off: ReadonlySet<number> }
  readonly scheduler: Scheduler
  readonly random: () => number
  /** 16 hex digits. */
  readonly newAttempt: () => string
  readonly log: Log
  readonly links: P2pLinks
  /** The P2P process; `problem`: why it is not connected. */
  readonly process: { readonly problem: string | undefined; send(message: ToProcess): boolean }
  /** Other hosts that are members. */
  members(): readonly number[]
  /** Why a member gets no packets, e.g. quarantine; undefined: it does. */
  refusalOf(hostId: number): string | undefined
  gatewayPath(hostId: number): GatewayPathFacts
  validUntil(hostId: number): Millis
  /** `host:port`, as announced to members. */
  ownEndpoints(): readonly string[]
  count(name: 'offered' | 'promoted' | 'demoted' | 'refused', hostId: number, reason?: string): void
}

const TICK_MS: Millis = 1_000
/** A tick this late means that the machine slept or stood still, so what is known about paths is old. */
const SLEPT_MS: Millis = 10_000

export class P2pTransport implements Transport {
  readonly kind = 'p2p'
  readonly #deps: P2pTransportDeps
  readonly #peers = new Map<number, PeerSession>()
  readonly #inbox: OfferInbox
  readonly #observed = new ObservedAddresses()
  readonly #obstacles: Obstacles
  readonly #listeners = new Listeners<[hostId: number]>()
  /** What listeners last learned about each host. */
  readonly #shown = new Map<number, string>()
  readonly status = new ProcessStatus()
  #tickedAt: Millis
  #lastOfferAt: Millis | undefined
  #cancel: (() => void) | undefined

  constructor(deps: P2pTransportDeps) {
    this.#deps = deps
    this.#tickedAt = deps.scheduler.monotonic()
    this.#inbox = new OfferInbox(deps)
    this.#obstacles = new Obstacles(deps, this.status)
  }

  start(): void {
    this.#tickedAt = this.#deps.scheduler.monotonic()
    this.#membersChanged()
    this.#again()
  }

  /** The process keeps routes and keys, and the next gateway adopts it. */
  stop(): void {
    this.#cancel?.()
  }

  /** One for each peer. Its escalation says what happens while the path carries no packets. */
  candidates(hostId: number): readonly Candidate[] {
    const peer = this.#peers.get(hostId)
    if (peer === undefined) return []
    const { state, reason } = peer.view
    const { rttMs, lossRate, address } = peer.session ?? {}
    const tier = tierOf(address ?? '')
    const hasChannel = state === 'P2P_ACTIVE'
    return [{ id: { kind: 'p2p' }, tier, rttMs, lossRate, hasChannel, escalation: { state, reason } }]
  }

  /** Nothing to do: both hosts agreed and the process has set the route before this became the path. */
  use(): void {}

  onChange(listener: (hostId: number) => void): () => void {
    return this.#listeners.add(listener)
  }

  view(hostId: number): EscalationView | undefined {
    return this.#peers.get(hostId)?.view
  }

  session(hostId: number): SessionView | undefined {
    return this.#peers.get(hostId)?.session
  }

  /** For the metric that shows that tries go on; undefined: no try yet. */
  get lastOfferAt(): Millis | undefined {
    return this.#lastOfferAt
  }

  hostIds(): number[] {
    return [...this.#peers.keys()]
  }

  linkUp(hostId: number): void {
    this.#membersChanged()
    this.#obstacles.linkUp(hostId)
    this.#give(hostId, (peer) => peer.give({ type: 'linkUp' }))
  }

  linkDown(hostId: number): void {
    this.#obstacles.linkDown(hostId)
    this.#give(hostId, (peer) => peer.give({ type: 'tick' }))
  }

  /** The gateway path, a quarantine or the membership changed. */
  refresh(): void {
    this.#membersChanged()
    for (const hostId of this.#peers.keys()) this.#give(hostId, (peer) => peer.give({ type: 'tick' }))
  }

  reset(hostId: number, cause: ResetCause): void {
    this.#give(hostId, (peer) => peer.give({ type: 'reset', cause }))
  }

  resetAll(cause: ResetCause): void {
    for (const hostId of this.#peers.keys()) this.reset(hostId, cause)
  }

  receive(hostId: number, given: ControlMessage): void {
    const { message, attempt, candidates, obstacle } = this.#inbox.read(hostId, given) ?? {}
    const isFree = this.#obstacles.heard(hostId, obstacle)
    this.#give(hostId, (peer) => {
      if (message !== undefined) peer.receive(message, candidates)
      else if (isFree) peer.give({ type: 'reset', cause: 'peer asks' })
      else if (attempt !== undefined && candidates !== undefined) peer.moreCandidates(attempt, candidates)
    })
  }

  /** Adopts the sessions of a process that was running before, or starts over with a new one. */
  processConnected(hello: ProcessHello): void {
    this.status.connected(hello)
    this.#membersChanged()
    const bySession = new Map(hello.sessions.map((s) => [s.hostId, s]))
    for (const hostId of bySession.keys())
      if (!this.#peers.has(hostId)) this.#deps.process.send({ type: 'end', hostId, reason: 'no member' })
    for (const hostId of this.#peers.keys()) {
      const session = bySession.get(hostId)
      this.#give(hostId, (peer) => (session === undefined ? peer.forgotten() : peer.adopt(session)))
    }
    this.resetAll('process started')
  }

  processDisconnected(): void {
    this.status.disconnected(this.#deps.scheduler.monotonic())
  }

  processSaid(message: FromProcess): void {
    switch (message.type) {
      case 'state':
        this.status.strays = message.strays ?? 0
        this.#give(message.session.hostId, (peer) => peer.see(message.session))
        return
      case 'promoted':
        this.#give(message.hostId, (peer) => peer.give({ ...message, type: 'installed' }))
        return
      case 'notPromoted':
        this.#give(message.hostId, (peer) => peer.give({ ...message, type: 'notInstalled' }))
        return
      case 'demoted':
        this.#give(message.hostId, (peer) => peer.give({ ...message, type: 'removed' }))
        return
      case 'ended':
        this.#give(message.hostId, (peer) => peer.give({ ...message, type: 'ended' }))
        return
      case 'observed':
        this.#observedAs(message.hostId, message.address)
        return
      case 'device':
        this.status.device(message.problem, this.#deps.scheduler.monotonic())
        this.refresh()
        return
      case 'udp':
        this.status.udp(message)
        this.refresh()
        return
      case 'networkChanged':
        this.#deps.log.info({ reason: message.what }, 'network changed')
        this.#observed.clear()
        this.resetAll('network changed')
        return
      case 'log':
        this.#deps.log[message.level](message.fields, message.msg)
        return
      case 'hello':
      case 'refused':
        // process-client.ts handles these.
        return
    }
  }

  /** Sends a new mapping to the peers whose tries are under way; later tries offer it anyway. */
  #observedAs(hostId: number, address: string): void {
    if (!this.#observed.put(hostId, address)) return
    for (const peer of this.#peers.values()) {
      const { attempt, hostId: id, view } = peer
      if (attempt === undefined || view.state === 'P2P_ACTIVE') continue
      this.#deps.links.send(id, { type: 'p2p.candidates', attempt, candidates: this.#candidatesFor(id) })
    }
  }

  #candidatesFor(hostId: number): string[] {
    return ownCandidates({
      port: this.status.port,
      linkedFrom: this.#deps.links.addresses(hostId)?.local,
      announced: this.#deps.ownEndpoints(),
      observed: this.#observed.all(),
    })
  }

  #give(hostId: number, task: (peer: PeerSession) => void): void {
    const peer = this.#peers.get(hostId)
    if (peer === undefined) return
    task(peer)
    this.#obstacles.tell(hostId)
    const { state, reason, generation } = peer.view
    const shown = `${state} ${generation} ${reason}`
    if (this.#shown.get(hostId) === shown) return
    this.#shown.set(hostId, shown)
    this.#listeners.call(hostId)
  }

  #again(): void {
    const { scheduler, random } = this.#deps
    this.#cancel = scheduler.after(jittered(TICK_MS, random()), () => {
      const now = scheduler.monotonic()
      const hasSlept = now - this.#tickedAt > SLEPT_MS
      this.#tickedAt = now
      if (hasSlept) this.resetAll('resumed')
      this.refresh()
      this.#again()
    })
  }

  /** Ends the sessions of hosts that left, at once. */
  #membersChanged(): void {
    const members = new Set(this.#deps.members())
    for (const hostId of members) if (!this.#peers.has(hostId)) this.#peers.set(hostId, this.#open(hostId))
    for (const hostId of this.#peers.keys()) {
      if (members.has(hostId)) continue
      this.#peers.delete(hostId)
      this.#inbox.forget(hostId)
      this.#observed.forget(hostId)
      this.#obstacles.linkDown(hostId)
      this.#shown.delete(hostId)
      this.#deps.process.send({ type: 'end', hostId, reason: 'no member' })
    }
  }

  #open(hostId: number): PeerSession {
    const { links, log, validUntil, process, count, hostId: ownHostId, scheduler } = this.#deps
    return new PeerSession({
      ownHostId,
      hostId,
      links,
      log,
      facts: () => this.#factsOf(hostId),
      toProcess: (message) => process.send(message),
      ownCandidates: () => this.#candidatesFor(hostId),
      validUntil: () => validUntil(hostId),
      acted: (what, reason) => {
        if (what === 'offered') this.#lastOfferAt = scheduler.monotonic()
        count(what, hostId, reason)
      },
    })
  }

  #factsOf(hostId: number): Omit<EscalationFacts, 'session'> {
    const { scheduler, random, newAttempt, hostId: own, links, gatewayPath } = this.#deps
    return {
      now: scheduler.monotonic(),
      random: random(),
      newAttempt: newAttempt(),
      isLeader: own < hostId,
      obstacle: this.#obstacles.here(hostId),
      peerObstacle: this.#obstacles.there(hostId),
      canSignal: links.isUp(hostId),
      gateway: gatewayPath(hostId),
    }
  }
}
