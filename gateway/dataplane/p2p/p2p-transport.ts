/** The gateway's view of the UDP paths: which peers may have one, what each does, and what changed. */

import type { UdpTier } from '../../../core/api.ts'
import type { Millis } from '../../../core/clock.ts'
import { Listeners } from '../../base/listeners.ts'
import { jittered } from '../../base/scheduler.ts'
import type { ControlMessage } from '../../links/types.ts'
import type { EscalationFacts, ResetCause } from '../../paths/escalation/types.ts'
import type { EscalationView } from '../../paths/escalation/view.ts'
import type { Candidate, Transport } from '../../paths/transport.ts'
import { Obstacles } from './obstacles.ts'
import { OfferInbox } from './offer-inbox.ts'
import type { Offered } from './offers.ts'
import type { P2pTransportDeps } from './p2p-deps.ts'
import { PeerSession } from './peer-session.ts'
import type { ProcessHello } from './process-client.ts'
import { ProcessStatus } from './process-status.ts'
import type { FromProcess, SessionView } from './protocol.ts'
import { usable } from './udp-tiers.ts'

const TICK_MS: Millis = 1_000
/** A tick this late means that the machine slept or stood still, so what is known about paths is old. */
const SLEPT_MS: Millis = 10_000
/** A mapping that is asked for so long before a try is known when the try begins. */
const SOON_MS: Millis = 30_000

export class P2pTransport implements Transport {
  readonly kind = 'p2p'
  readonly #deps: P2pTransportDeps
  readonly #peers = new Map<number, PeerSession>()
  readonly #inbox: OfferInbox
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
    const { rttMs, lossRate } = peer.session ?? {}
    const { raced, tier } = peer
    const hasChannel = state === 'P2P_ACTIVE'
    return [{ id: { kind: 'p2p' }, tier, raced, rttMs, lossRate, hasChannel, escalation: { state, reason } }]
  }

  /** Nothing to do: both hosts agreed and the process has set the route before this became the path. */
  use(): void {}

  onChange(listener: (hostId: number) => void): () => void {
    return this.#listeners.add(listener)
  }

  view(hostId: number): EscalationView | undefined {
    return this.#peers.get(hostId)?.view
  }

  tier(hostId: number): UdpTier {
    return this.#peers.get(hostId)?.tier ?? 'ipv4'
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

  /** The router let UDP in by another address: peers without a direct path are offered it now. */
  addressesChanged(): void {
    this.#offerMore(() => true)
    this.resetAll('new endpoint')
  }

  receive(hostId: number, given: ControlMessage): void {
    const { message, attempt, obstacle, ...offered } = this.#inbox.read(hostId, given) ?? {}
    const isFree = this.#obstacles.heard(hostId, obstacle)
    this.#give(hostId, (peer) => {
      if (message !== undefined) peer.receive(message, offered)
      else if (isFree) peer.give({ type: 'reset', cause: 'peer asks' })
      else if (attempt !== undefined) peer.moreCandidates(attempt, offered)
    })
  }

  /** Adopts the sessions of a process that was running before, or starts over with a new one. */
  processConnected(hello: ProcessHello): void {
    this.status.connected(hello)
    this.#deps.addresses.connected(hello.features.addresses === true)
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
        this.status.unaskedStun = message.unaskedStun ?? 0
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
        if (this.#deps.addresses.observed(message.hostId, message.address)) this.#offerMore(() => true)
        return
      case 'ownAddresses':
        this.#offerNew(this.#deps.addresses.said(message))
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
        this.#deps.addresses.networkChanged()
        this.resetAll('network changed')
        return
      case 'log':
        this.#deps.log[message.level](message.fields, message.msg)
        return
      case 'hello':
      case 'refused':
      case 'turn':
        // process-client.ts and turn-servers.ts handle these.
        return
    }
  }

  /** No member vouches for what a STUN server says: it is no reason for a new try. A TURN server took this host in. */
  #offerNew(what: 'relayed' | 'other' | undefined): void {
    if (what !== undefined)
      this.#offerMore(({ view }) => what === 'relayed' || view.state === 'P2P_ATTEMPTING')
  }

  /** Sends new addresses of this host to peers that have no direct path; later tries offer them anyway. */
  #offerMore(isFor: (peer: PeerSession) => boolean): void {
    for (const peer of this.#peers.values())
      if (peer.view.state !== 'P2P_ACTIVE' && isFor(peer)) peer.offerMore()
  }

  #offerTo(hostId: number): Offered {
    const { addresses, links, tiers } = this.#deps
    const all = addresses.candidates(this.status.port, links.addresses(hostId)?.local)
    const { isSymmetric, portMapped, relayed } = addresses
    const candidates = usable(tiers, links.kind(hostId), all, portMapped)
    return { candidates, portMapped, relayed, isSymmetric, udp: this.#peers.get(hostId)?.udp }
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
      this.#deps.addresses.tick(this.#peers.values().some((peer) => peer.triesBefore(now + SOON_MS)))
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
      this.#deps.addresses.forget(hostId)
      this.#obstacles.linkDown(hostId)
      this.#shown.delete(hostId)
      this.#deps.process.send({ type: 'end', hostId, reason: 'no member' })
    }
  }

  #open(hostId: number): PeerSession {
    const { validUntil, process, count, hostId: ownHostId, scheduler } = this.#deps
    return new PeerSession({
      ...this.#deps,
      ownHostId,
      hostId,
      facts: () => this.#factsOf(hostId),
      toProcess: (message) => process.send(message),
      offer: () => this.#offerTo(hostId),
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
