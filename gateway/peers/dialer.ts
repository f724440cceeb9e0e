/** Keeps trying to reach one peer for one purpose, one endpoint after the other, until there is a connection. */

import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../core/clock.ts'
import { backoffMs } from './backoff.ts'
import { type Alpn, dialPeer, type PeerId } from './tls.ts'
import type { Identity } from './types.ts'

/** TCP and TLS handshake together. Also the bound that a listener gives a dialler. */
export const HANDSHAKE_MS: Millis = 5_000

export interface DialerParts {
  readonly identity: () => Identity
  readonly hostId: number
  readonly alpn: Alpn
  readonly endpoints: () => readonly string[]
  /** Why whoever answers is not let in, though its certificate names the host; undefined: it is. */
  refusal(id: PeerId, endpoint: string): string | undefined
  /** Before the first try: the side with the lower hostId goes first, so that the two seldom meet. */
  readonly headStartMs: Millis
  /** The handshake is done and the certificate is the right host's. */
  connected(socket: TLSSocket): void
  /** One try failed; shown as the reason while there is no connection. */
  failed(reason: string): void
}

export class Dialer {
  readonly #parts: DialerParts
  #timer: NodeJS.Timeout | undefined
  #socket: TLSSocket | undefined
  /** In a row, until `settled`: a peer that takes connections and drops them is not asked in a tight loop. */
  #failures = 0
  #next = 0

  constructor(parts: DialerParts) {
    this.#parts = parts
  }

  /** Tries, then again with growing waits. Does nothing while it is at it. */
  start(): void {
    if (this.#timer !== undefined || this.#socket !== undefined) return
    const backoff = this.#failures === 0 ? 0 : backoffMs(this.#failures, Math.random())
    this.#tryIn(this.#parts.headStartMs + backoff)
  }

  /** Forgets earlier failures: the network changed, the machine woke up, the peer was heard of. */
  hurry(): void {
    this.#failures = 0
    if (this.#timer === undefined) return
    clearTimeout(this.#timer)
    this.#tryIn(0)
  }

  /** The connection has proven itself. */
  settled(): void {
    this.#failures = 0
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const socket = this.#socket
    this.#socket = undefined
    socket?.destroy()
  }

  #tryIn(waitMs: Millis): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#try()
    }, waitMs)
  }

  #try(): void {
    const endpoints = this.#parts.endpoints()
    const endpoint = endpoints[this.#next++ % Math.max(1, endpoints.length)]
    if (endpoint === undefined) {
      this.#later('no address of this host is known; it has to connect to us')
      return
    }
    const { identity, hostId, alpn, refusal } = this.#parts
    const socket = dialPeer(identity(), hostId, endpoint, alpn, refusal)
    this.#socket = socket
    socket.setTimeout(HANDSHAKE_MS, () => socket.destroy(new Error(`${endpoint} did not answer in time`)))
    socket.once('secureConnect', () => this.#done(socket))
    socket.on('error', (err) => this.#lost(socket, err.message))
    socket.once('close', () => this.#lost(socket, `${endpoint} closed the connection`))
  }

  #done(socket: TLSSocket): void {
    if (this.#socket !== socket) {
      socket.destroy()
      return
    }
    this.#socket = undefined
    this.#failures++
    socket.setTimeout(0)
    this.#parts.connected(socket)
  }

  #lost(socket: TLSSocket, reason: string): void {
    if (this.#socket !== socket) return
    this.#socket = undefined
    socket.destroy()
    this.#later(reason)
  }

  #later(reason: string): void {
    this.#parts.failed(reason)
    this.#tryIn(backoffMs(this.#failures++, Math.random()))
  }
}
