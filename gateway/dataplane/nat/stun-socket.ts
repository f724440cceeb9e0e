/** Sends STUN requests over a UDP socket of its own: retransmits, waits a bounded time, measures the round trip. */

import { randomBytes } from 'node:crypto'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Millis } from '../../../core/clock.ts'
import { endpointOf } from '../p2p/endpoints.ts'
import { decodeStun, encodeStun, type StunMessage } from './stun.ts'

/** Sent again after 0.2 s and 0.6 s: less than RFC 8489's 0.5 s, since a person waits for the answer. */
const SEND_AT_MS: readonly Millis[] = [0, 200, 600]
const WAIT_MS: Millis = 1_200

export interface StunResponse {
  readonly message: StunMessage
  readonly rttMs: Millis
  /** Where the response came from. */
  readonly from: string
}

interface Transaction {
  readonly sentAt: Millis
  done(response: StunResponse): void
}

export interface StunRequestOptions {
  readonly change?: StunMessage['change']
  readonly waitMs?: Millis
  readonly signal?: AbortSignal
}

/** What `natBehaviour` needs of a socket; tests give it one of their own. */
export interface StunRequester {
  /** `192.0.2.1:7443`, or with `0.0.0.0` where the socket is bound to all addresses. */
  readonly local: string
  /** @returns undefined: no response in time, or the server cannot be reached */
  request(server: string, options?: StunRequestOptions): Promise<StunResponse | undefined>
}

export class StunSocket implements StunRequester, Disposable {
  readonly #socket: Socket
  readonly #transactions = new Map<string, Transaction>()

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('message', (bytes, from) => this.#received(bytes, from))
    // Of a datagram, e.g. no route: its request gets no response, which `request` says.
    socket.on('error', () => {})
  }

  /** @param port 0: the kernel chooses one */
  static async open(family: 'udp4' | 'udp6', port = 0): Promise<StunSocket> {
    const socket = createSocket({ type: family, ipv6Only: family === 'udp6' })
    socket.bind(port)
    try {
      await once(socket, 'listening')
    } catch (err) {
      socket.close()
      throw err
    }
    return new StunSocket(socket)
  }

  get local(): string {
    const { address, port } = this.#socket.address()
    return endpointOf(address, port) ?? `${address}:${port}`
  }

  async request(
    server: string,
    { change, waitMs = WAIT_MS, signal }: StunRequestOptions = {},
  ): Promise<StunResponse | undefined> {
    const transaction = randomBytes(12).toString('hex')
    const bytes = encodeStun({ kind: 'request', transaction, change })
    const { promise, resolve } = Promise.withResolvers<StunResponse | undefined>()
    const timers = SEND_AT_MS.map((ms) => setTimeout(() => this.#send(bytes, server), ms))
    timers.push(setTimeout(() => resolve(undefined), waitMs))
    const aborted = (): void => resolve(undefined)
    signal?.addEventListener('abort', aborted)
    if (signal?.aborted === true) aborted()
    this.#transactions.set(transaction, { sentAt: performance.now(), done: resolve })
    try {
      return await promise
    } finally {
      for (const timer of timers) clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
      this.#transactions.delete(transaction)
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close()
  }

  #send(bytes: Uint8Array, server: string): void {
    const [, v6, v4, port] = /^(?:\[(.+)\]|(.+)):(\d+)$/.exec(server) ?? []
    // A datagram that cannot be sent is a request without a response.
    this.#socket.send(bytes, Number(port), v6 ?? v4, () => {})
  }

  /** Measured from the first transmission: which of them a response belongs to is not known. */
  #received(bytes: Uint8Array, { address, port }: RemoteInfo): void {
    const message = decodeStun(bytes)
    const open = message && this.#transactions.get(message.transaction)
    const from = endpointOf(address, port)
    // A request of this socket that comes back counts too: that is how a hairpin shows.
    if (message === undefined || open === undefined || from === undefined || message.kind === 'error') return
    open.done({ message, rttMs: performance.now() - open.sentAt, from })
  }
}
