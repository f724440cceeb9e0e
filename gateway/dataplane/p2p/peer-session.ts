/** Carries out one peer's escalation: turns its actions into lines to the P2P process and messages to the peer. */

import type { TiersConf } from '../../../conf/tiers.ts'
import type { Prefix4 } from '../../../core/addr.ts'
import type { UdpTier } from '../../../core/api.ts'
import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import { adopt, escalate } from '../../paths/escalation/escalation.ts'
import { initial } from '../../paths/escalation/transitions.ts'
import type {
  Action,
  Escalation,
  EscalationFacts,
  GatewayPathFacts,
  Input,
  PeerMessage,
  UdpOutside,
} from '../../paths/escalation/types.ts'
import { type EscalationView, viewOf } from '../../paths/escalation/view.ts'
import { peerCandidates } from './candidates.ts'
import { KnownCauses } from './known-causes.ts'
import { OFFER_VERSION, type Offered } from './offers.ts'
import type { OwnAddresses } from './own-addresses.ts'
import type { P2pLinks } from './p2p-links.ts'
import type { SessionView, ToProcess } from './protocol.ts'
import { isNews, sessionSecret } from './session-lines.ts'
import { familiesOf, type SignalKind, tierOf, tiersText, timeoutOf, unused } from './udp-tiers.ts'

export interface PeerSessionDeps {
  readonly ownHostId: number
  readonly hostId: number
  readonly overlay: Prefix4
  readonly tiers: TiersConf
  readonly links: P2pLinks
  readonly log: Log
  /** All facts but the session, which this part knows. */
  facts(): Omit<EscalationFacts, 'session'>
  toProcess(message: ToProcess): boolean
  /** This host's addresses, for the peer. */
  offer(): Offered
  /** `portMapped`: where this host's router lets all in. */
  readonly addresses: Pick<OwnAddresses, 'isSymmetric' | 'portMapped' | 'udp'>
  /** The earlier end of both certificates, ms since the epoch; 0: the link does not say. */
  validUntil(): Millis
  /** For the counters. */
  acted(what: 'offered' | 'promoted' | 'demoted', reason?: string): void
}

export class PeerSession {
  readonly hostId: number
  readonly #deps: PeerSessionDeps
  #state: Escalation
  #view: SessionView | undefined
  #offered: readonly string[] = []
  /** One of them: where the peer's router lets all in. */
  #opened: string | undefined
  /** How offer and answer of the present try went; undefined: an earlier gateway's process has the session. */
  #kind: SignalKind | undefined
  /** Of the offered addresses, the ones on TURN servers of the peer. */
  #relayed: readonly string[] = []
  readonly #causes: KnownCauses
  #toldGateway: GatewayPathFacts | undefined
  /** The end of validity that the process knows. */
  #validUntil: Millis = 0

  constructor(deps: PeerSessionDeps) {
    this.#deps = deps
    this.hostId = deps.hostId
    this.#causes = new KnownCauses(deps.addresses)
    this.#state = initial(deps.facts().now)
  }

  get session(): SessionView | undefined {
    return this.#view
  }

  get udp(): UdpOutside | undefined {
    return this.#causes.udp
  }

  /** Of the address in use. */
  get tier(): UdpTier {
    if (this.#view?.turn !== undefined) return 'ice'
    const address = this.#view?.address ?? ''
    // With a mapping of its own this host is reached without a hub, whatever the peer's address is.
    const isByOwn = this.#deps.addresses.portMapped !== undefined
    return tierOf(this.#kind, address, isByOwn ? address : this.#opened)
  }

  /** Of the addresses that the present try goes to. */
  get raced(): UdpTier[] {
    if (this.#state.attempt === undefined) return []
    const { addresses, tiers } = this.#deps
    const names = new Set(this.#offered.map((address) => this.#tierOf(address)))
    const own = addresses.portMapped
    if (own !== undefined) names.add(tierOf(this.#kind, own, own))
    return [...names].filter((name) => tiers[name].enabled)
  }

  get view(): EscalationView {
    const facts = this.#facts()
    const view = viewOf(this.#state, facts)
    const isPossible = view.state !== 'P2P_ACTIVE' && facts.obstacle === undefined
    const off = unused(this.#deps.tiers, this.#kind, this.#offered, this.#opened)
    if (!isPossible || off.length === 0) return view
    return { ...view, reason: `${view.reason}; switched off on this host: ${tiersText(off)}` }
  }

  /** The try whose keys both hosts have; undefined: no keys yet. */
  get attempt(): string | undefined {
    return this.#state.attempt
  }

  /** Whether a try is under way, or begins by then: a NAT's mapping for this host's socket has to last. */
  triesBefore(at: Millis): boolean {
    const { state, nextAttemptAt } = this.view
    return nextAttemptAt === undefined ? state === 'P2P_ATTEMPTING' : nextAttemptAt < at
  }

  give(input: Input): void {
    const before = this.#state
    const { state, actions } = escalate(before, input, this.#facts())
    this.#state = state
    for (const action of actions) this.#do(action)
    const { acted } = this.#deps
    if (before.phase !== 'active' && state.phase === 'active') acted('promoted')
    if (before.phase === 'active' && state.phase !== 'active') acted('demoted', state.reason.code)
    this.#sendGatewayPath()
    this.#prolong()
  }

  /** @param offered in the message, for the session that it may begin */
  receive(message: PeerMessage, offered: Offered): void {
    this.#hear(offered)
    this.give({ type: 'message', message })
  }

  /** Adds addresses of this host to the try that is under way. */
  offerMore(): void {
    const { links, offer } = this.#deps
    const { attempt } = this.#state
    if (attempt !== undefined) links.send(this.hostId, { type: 'p2p.candidates', attempt, ...offer() })
  }

  /** Adds addresses of the peer to the try that is under way. */
  moreCandidates(attempt: string, offered: Offered): void {
    if (attempt !== this.#state.attempt) return
    this.#hear(offered)
    this.#deps.toProcess({ type: 'candidates', hostId: this.hostId, attempt, candidates: this.#addresses() })
    this.give({ type: 'reset', cause: 'new endpoint' })
  }

  see(view: SessionView): void {
    this.#view = view
    this.give({ type: 'tick' })
  }

  /** Takes over the session that an earlier gateway's process has with the peer. */
  adopt(view: SessionView): void {
    this.#view = view
    this.#toldGateway = undefined
    // The end of its keys is unknown until the link says it; then the process gets it again.
    this.#validUntil = 1
    if (this.#offered.length === 0 && view.address !== undefined) {
      this.#offered = [view.address]
      if (view.turn !== undefined) this.#relayed = [view.address]
    }
    const isNew = this.#state.attempt === undefined
    if (isNew) this.#state = adopt(view, this.#facts())
    // A link that was up before has told the peer that this host does not send by UDP.
    this.give({ type: isNew ? 'linkUp' : 'tick' })
  }

  /** The process restarted and has no session with the peer. */
  forgotten(): void {
    this.#view = undefined
    this.#toldGateway = undefined
    this.give({ type: 'tick' })
  }

  #hear(offered: Offered): void {
    const { candidates, portMapped, relayed = [] } = offered
    if (candidates === undefined) return
    this.#causes.hear(offered)
    this.#offered = candidates
    this.#opened = portMapped
    this.#relayed = relayed
  }

  #facts(): EscalationFacts {
    const { facts, tiers } = this.#deps
    const given = facts()
    // A process keeps its paths while the gateway is started anew with another configuration.
    const isOff = this.#view?.address !== undefined && !tiers[this.tier].enabled
    const obstacle =
      given.obstacle ?? (isOff ? { code: 'tier off', detail: tiersText([this.tier]) } : undefined)
    const proveMs = timeoutOf(tiers, this.raced)
    return { ...given, ...this.#causes.facts, obstacle, proveMs, session: this.#view }
  }

  #do(action: Action): void {
    const { toProcess } = this.#deps
    const { hostId } = this
    switch (action.type) {
      case 'send':
        this.#send(action.message)
        return
      case 'startSession':
        this.#start(action.attempt)
        return
      case 'install':
        toProcess({ type: 'promote', hostId, attempt: action.attempt, generation: action.generation })
        return
      case 'remove':
        toProcess({ type: 'demote', hostId, generation: action.generation, reason: action.code })
        return
      case 'endSession':
        this.#view = undefined
        toProcess({ type: 'end', hostId, reason: action.code })
        return
      case 'probeNow':
        toProcess({ type: 'probeNow', hostId })
    }
  }

  #send(message: PeerMessage): void {
    const { links, offer, acted } = this.#deps
    if (message.type === 'p2p.offer') acted('offered')
    const isOffer = message.type === 'p2p.offer' || message.type === 'p2p.answer'
    links.send(this.hostId, {
      ...message,
      ...(isOffer && offer()),
      ...(message.type === 'p2p.offer' && { version: OFFER_VERSION }),
    })
  }

  #start(attempt: string): void {
    this.#view = undefined
    this.#kind = this.#deps.links.kind(this.hostId)
    this.#toldGateway = undefined
    this.#sendSession(attempt)
  }

  /** After a renewal of certificates: lets the session live on. The process keeps the keys of a try that it knows. */
  #prolong(): void {
    const { attempt } = this.#state
    if (attempt === undefined || this.#view?.attempt !== attempt || this.#validUntil === 0) return
    if (this.#deps.validUntil() > this.#validUntil) this.#sendSession(attempt)
  }

  /** Both hosts derive the same key from the connection over which offer and answer went. */
  #sendSession(attempt: string): void {
    const { ownHostId, links, toProcess, validUntil, log } = this.#deps
    const { hostId } = this
    const secret = sessionSecret(links, [ownHostId, hostId], attempt)
    if (secret === undefined) {
      log.debug({ peer: hostId }, 'keys could not be made, the link is gone')
      return
    }
    this.#validUntil = validUntil()
    const candidates = this.#addresses()
    const families = familiesOf(this.#deps.tiers, this.#kind)
    const startInMs = ownHostId > hostId ? (links.startInMs?.(hostId) ?? 0) : 0
    toProcess({
      type: 'session',
      hostId,
      attempt,
      secret,
      candidates,
      validUntil: this.#validUntil,
      ...(families !== undefined && { families }),
      ...(startInMs > 0 && { startInMs }),
    })
  }

  #tierOf(address: string): UdpTier {
    return this.#relayed.includes(address) ? 'ice' : tierOf(this.#kind, address, this.#opened)
  }

  #addresses(): { readonly address: string; readonly isRelayed?: boolean }[] {
    const { links, overlay, tiers } = this.#deps
    const remote = links.addresses(this.hostId)?.remote
    const known = peerCandidates(this.#offered, remote, overlay)
    return known
      .filter((address) => tiers[this.#tierOf(address)].enabled)
      .map((address) => (this.#relayed.includes(address) ? { address, isRelayed: true } : { address }))
  }

  /** The process demotes by itself only to a gateway path that is up. */
  #sendGatewayPath(): void {
    if (this.#view === undefined && this.#state.attempt === undefined) return
    const { gateway } = this.#deps.facts()
    if (!isNews(gateway, this.#toldGateway)) return
    const { isUp, rttMs } = gateway
    const message = { type: 'gatewayPath', hostId: this.hostId, isUp } as const
    const isSent = this.#deps.toProcess({ ...message, ...(rttMs !== undefined && { rttMs }) })
    if (isSent) this.#toldGateway = gateway
  }
}
