/** Knows which addresses of one peer lead through a TURN server, and what that means for datagrams and people. */
import type { SessionView } from '../protocol.ts'
import { CHANNEL_HEADER } from '../udp/relayed-port.ts'
import { headersOf, withoutZone } from './endpoint.ts'
import type { RelayedBy } from './turn-relays.ts'

/** An address that the peer's gateway offered. */
export interface Offered {
  readonly address: string
  /** On a TURN server of the peer. */
  readonly isRelayed?: boolean | undefined
}

export class RelayedAddresses {
  readonly #by: (address: string) => RelayedBy | undefined
  #ofPeer: ReadonlySet<string> = new Set()

  /** @param by what an address that leads through a server of this host stands for */
  constructor(by: (address: string) => RelayedBy | undefined) {
    this.#by = by
  }

  offer(offered: readonly Offered[]): void {
    this.#ofPeer = new Set(offered.flatMap(({ address, isRelayed }) => (isRelayed === true ? address : [])))
  }

  /** On servers of the peer. */
  get ofPeer(): readonly string[] {
    return [...this.#ofPeer]
  }

  has(address: string): boolean {
    return isThrough(address) || this.#ofPeer.has(withoutZone(address))
  }

  /** Whether a server of this host is in between, which still has a channel for the peer. */
  isOwn(address: string): boolean {
    return this.#by(address) !== undefined
  }

  /** The peer as it is seen at the other end of the server, if there is one. */
  peerAt(address: string): string {
    return this.#by(address)?.peer ?? address
  }

  /** Bytes of an IP packet before a datagram's payload, on the longest stretch, in both directions. */
  overhead(address: string): number {
    const headers = headersOf(this.#by(address)?.serverAddress ?? address)
    return headers + (this.has(address) ? CHANNEL_HEADER : 0)
  }

  /** @param address undefined: none is in use */
  where(address: string | undefined): Pick<SessionView, 'address' | 'turn'> {
    if (address === undefined) return {}
    const by = this.#by(address)
    if (by !== undefined) return { address: by.peer, turn: by.server }
    if (isThrough(address)) return {}
    const shown = withoutZone(address)
    // What the peer calls its server is not known here.
    return { address: shown, ...(this.has(address) && { turn: shown.replace(/:\d+$/, '') }) }
  }
}

/** By its form alone: the channel may be gone. */
const isThrough = (address: string): boolean => address.startsWith('0.')
