/**
 * By which connection this host and each peer agree on UDP: the link, else one through a relay, else letters by
 * members.
 */

import type { Millis } from '../../../core/clock.ts'
import type { ControlMessage } from '../../links/types.ts'
import type { RelaySignals, SignalWay } from '../relay/signals.ts'
import type { MemberSignalling } from './letters/member-signalling.ts'
import type { P2pLinks } from './p2p-links.ts'
import type { SignalKind } from './udp-tiers.ts'

const PREFIX = 'p2p.'

/** The links proper. */
interface DirectLinks extends Omit<P2pLinks, 'kind' | 'startInMs'> {
  /** The end of the peer's certificate, ms since the epoch. */
  peerValidTo(hostId: number): Millis | undefined
}

interface SignallingEvents {
  /** There is a way to agree, and there was none. */
  up(hostId: number): void
  /** There is none any more. */
  down(hostId: number): void
  message(hostId: number, message: ControlMessage): void
}

interface SignallingDeps {
  readonly links: DirectLinks
  readonly relayed: RelaySignals
  readonly memberSignalling: Pick<
    MemberSignalling,
    'exportKey' | 'has' | 'listen' | 'peerValidTo' | 'rttMs' | 'send'
  >
  readonly events: SignallingEvents
}

/** A message of a peer over a relay that is about something else than UDP paths is not for here, and is ignored. */
export class Signalling implements P2pLinks {
  readonly #deps: SignallingDeps
  /**
   * Of each host, the connection of the last message either way. Both hosts make the keys of a try from the connection
   * that its offer and its answer went by, and during a change each end may prefer another one.
   */
  readonly #last = new Map<number, SignalWay | 'link' | 'members'>()
  readonly #stops: readonly (() => void)[]

  constructor(deps: SignallingDeps) {
    this.#deps = deps
    this.#stops = [this.#listenToRelays(), this.#listenToMembers()]
  }

  #listenToRelays(): () => void {
    const { events, links, relayed } = this.#deps
    return relayed.listen({
      up: ({ hostId }) => {
        if (!links.isUp(hostId)) events.up(hostId)
      },
      down: ({ hostId }) => {
        if (!this.isUp(hostId)) events.down(hostId)
      },
      message: (way, message) => {
        if (!message.type.startsWith(PREFIX)) return
        this.#last.set(way.hostId, way)
        events.message(way.hostId, message)
      },
    })
  }

  #listenToMembers(): () => void {
    const { memberSignalling, events, links, relayed } = this.#deps
    const isOnly = (hostId: number): boolean => !links.isUp(hostId) && relayed.to(hostId) === undefined
    return memberSignalling.listen({
      up: (hostId) => {
        if (isOnly(hostId)) events.up(hostId)
      },
      down: (hostId) => {
        if (this.#last.get(hostId) === 'members') this.#last.delete(hostId)
        if (isOnly(hostId)) events.down(hostId)
      },
      message: (hostId, message) => {
        if (!message.type.startsWith(PREFIX)) return
        this.#last.set(hostId, 'members')
        events.message(hostId, message)
      },
    })
  }

  linkUp(hostId: number): void {
    this.#last.set(hostId, 'link')
    this.#deps.events.up(hostId)
  }

  /** A connection through a relay may stand, and then takes over. */
  linkDown(hostId: number): void {
    const { events } = this.#deps
    events.down(hostId)
    if (this.isUp(hostId)) events.up(hostId)
  }

  /** A message came by the link. */
  receive(hostId: number, message: ControlMessage): void {
    this.#last.set(hostId, 'link')
    this.#deps.events.message(hostId, message)
  }

  isUp(hostId: number): boolean {
    return this.#way(hostId) !== undefined
  }

  kind(hostId: number): SignalKind | undefined {
    const way = this.#way(hostId)
    return way === undefined || way === 'link' || way === 'members' ? way : 'hub'
  }

  send(hostId: number, message: ControlMessage): boolean {
    const way = this.#way(hostId)
    if (way === undefined) return false
    this.#last.set(hostId, way)
    const { memberSignalling, links, relayed } = this.#deps
    if (way === 'members') return memberSignalling.send(hostId, message)
    return way === 'link' ? links.send(hostId, message) : relayed.send(way, message)
  }

  exportKey(hostId: number, bytes: number, label: string, context: Buffer): Buffer | undefined {
    const way = this.#way(hostId)
    if (way === 'link') return this.#deps.links.exportKey(hostId, bytes, label, context)
    if (way === 'members') return this.#deps.memberSignalling.exportKey(hostId, bytes, label, context)
    return way?.socket.exportKeyingMaterial(bytes, label, context)
  }

  /**
   * The end that answers an offer starts half a round trip later, when its answer is there: both NATs open at once, and
   * neither sees a datagram of the other side before its own host has sent one.
   */
  startInMs(hostId: number): Millis {
    const { memberSignalling } = this.#deps
    return this.#way(hostId) === 'members' ? (memberSignalling.rttMs(hostId) ?? 0) / 2 : 0
  }

  /** Undefined for a connection through a relay too: its addresses are the relay's. */
  addresses(hostId: number): ReturnType<P2pLinks['addresses']> {
    return this.#deps.links.isUp(hostId) ? this.#deps.links.addresses(hostId) : undefined
  }

  peerValidTo(hostId: number): Millis | undefined {
    const way = this.#way(hostId)
    if (way === 'link') return this.#deps.links.peerValidTo(hostId)
    if (way === 'members') return this.#deps.memberSignalling.peerValidTo(hostId)
    return way?.socket.getPeerX509Certificate()?.validToDate.getTime()
  }

  stop(): void {
    for (const stop of this.#stops) stop()
  }

  #way(hostId: number): SignalWay | 'link' | 'members' | undefined {
    const { memberSignalling, links, relayed } = this.#deps
    const last = this.#last.get(hostId)
    const isLinked = links.isUp(hostId)
    if (
      last === 'members'
        ? memberSignalling.has(hostId)
        : last !== 'link' && last !== undefined && relayed.has(last)
    )
      return last
    if (isLinked) return 'link'
    return relayed.to(hostId) ?? (memberSignalling.has(hostId) ? 'members' : undefined)
  }
}
