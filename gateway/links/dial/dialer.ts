/** Keeps trying to reach one peer for one purpose, at all endpoints, until there is a connection. */

import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../../core/clock.ts'
import type { Alpn, PeerId } from '../tls.ts'
import type { Identity } from '../types.ts'
import { backoffMs } from './backoff.ts'
import { dialAt } from './dial.ts'
import { firstOf } from './race.ts'

/**
 * For the next endpoint beside the one that has not answered. Longer than for a stream, for which a request waits:
 * when 254 hosts start at once handshakes take longer, and a second one for each would not help.
 */
const STAGGER_MS: Millis = 1_000

export interface DialerDeps {
  readonly identity: () => Identity
  readonly hostId: number
  readonly alpn: Alpn
  /** The best first. */
  readonly endpoints: () => readonly string[]
  /** Why the host that answers is refused, though its certificate names the right hostId; undefined: it is not. */
  refusal(id: PeerId, endpoint: string): string | undefined
  /** Before the first try: the side with the lower hostId goes first, so that the two seldom meet. */
  readonly headStartMs: Millis
  /** The handshake is done and the certificate is the right host's. */
  connected(socket: TLSSocket, endpoint: string): void
  /** One try failed; shown as the reason while there is no connection. */
  failed(reason: string): void
}

export class Dialer {
  readonly #deps: DialerDeps
  #timer: NodeJS.Timeout | undefined
  #current: AbortController | undefined
  /** In a row, until `settled`: a peer that takes connections and drops them is not asked in a tight loop. */
  #failures = 0

  constructor(deps: DialerDeps) {
    this.#deps = deps
  }

  /** Tries, then again with growing waits. Does nothing while it is at it. */
  start(): void {
    if (this.#timer !== undefined || this.#current !== undefined) return
    const backoff = this.#failures === 0 ? 0 : backoffMs(this.#failures, Math.random())
    this.#tryIn(this.#deps.headStartMs + backoff)
  }

  /** Forgets earlier failures: the network changed, the machine woke up, or the peer announced an address. */
  retryNow(): void {
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
    this.#current?.abort(new Error('not needed any more'))
    this.#current = undefined
  }

  #tryIn(waitMs: Millis): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#try()
    }, waitMs)
  }

  #try(): void {
    const { endpoints, identity } = this.#deps
    const all = [...new Set(endpoints())]
    if (all.length === 0) {
      this.#later('no address of this host is known; it has to connect to us')
      return
    }
    const current = new AbortController()
    this.#current = current
    const dialled = { ...this.#deps, identity: identity() }
    let worked = ''
    const ways = all.map((endpoint) => async (signal: AbortSignal) => {
      const socket = await dialAt(endpoint, dialled)(signal)
      if (!signal.aborted) worked = endpoint
      return socket
    })
    firstOf(ways, STAGGER_MS, current.signal).then(
      (socket) => this.#done(current, socket, worked),
      (err: unknown) => this.#lost(current, err instanceof Error ? err.message : String(err)),
    )
  }

  #done(current: AbortController, socket: TLSSocket, endpoint: string): void {
    if (this.#current !== current) {
      socket.destroy()
      return
    }
    this.#current = undefined
    this.#failures++
    this.#deps.connected(socket, endpoint)
  }

  #lost(current: AbortController, reason: string): void {
    if (this.#current !== current) return
    this.#current = undefined
    this.#later(reason)
  }

  #later(reason: string): void {
    this.#deps.failed(reason)
    this.#tryIn(backoffMs(this.#failures++, Math.random()))
  }
}
