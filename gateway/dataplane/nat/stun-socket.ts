/** Asks STUN servers over a UDP socket of its own: sends again, waits no longer than it is told, measures. */

import { randomBytes } from 'node:crypto'
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { Millis } from '../../../core/clock.ts'
import { endpointOf } from '../p2p/endpoints.ts'
import { decodeStun, encodeStun, type StunMessage } from './stun.ts'

/** Sent again after 0.2 s and 0.6 s: less than RFC 8489's 0.5 s, since a person waits for the answer. */
const SEND_AT_MS: readonly Millis[] = [0, 200, 600]
const WAIT_MS: Millis = 1_200

export interface StunAnswer {
  readonly message: StunMessage
  readonly rttMs: Millis
  /** Where the answer came from. */
  readonly from: string
}

interface Question {
  readonly sentAt: Millis
  heard(answer: StunAnswer): void
}

export interface Asking {
  readonly change?: StunMessage['change']
  readonly waitMs?: Millis
  readonly signal?: AbortSignal
}

/** What `natBehaviour` needs of a socket; tests give it one of their own. */
export interface StunAsker {
  /** `192.0.2.1:7443`, or with `0.0.0.0` where the socket is bound to all addresses. */
  readonly local: string
  /** @returns undefined: no answer in time, or the server cannot be reached */
  ask(server: string, asking?: Asking): Promise<StunAnswer | undefined>
}

export class StunSocket implements StunAsker, Disposable {
  readonly #socket: Socket
  readonly #questions = new Map<string, Question>()

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('message', (bytes, from) => this.#received(bytes, from))
    // Of a datagram, e.g. no route: its question gets no answer, which is said there.
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

  async ask(
    server: string,
    { change, waitMs = WAIT_MS, signal }: Asking = {},
  ): Promise<StunAnswer | undefined> {
    const transaction = randomBytes(12).toString('hex')
    const bytes = encodeStun({ kind: 'request', transaction, change })
    const { promise, resolve } = Promise.withResolvers<StunAnswer | undefined>()
    const timers = SEND_AT_MS.map((ms) => setTimeout(() => this.#send(bytes, server), ms))
    timers.push(setTimeout(() => resolve(undefined), waitMs))
    const aborted = (): void => resolve(undefined)
    signal?.addEventListener('abort', aborted)
    if (signal?.aborted === true) aborted()
    this.#questions.set(transaction, { sentAt: performance.now(), heard: resolve })
    try {
      return await promise
    } finally {
      for (const timer of timers) clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
      this.#questions.delete(transaction)
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close()
  }

  #send(bytes: Uint8Array, server: string): void {
    const [, v6, v4, port] = /^(?:\[(.+)\]|(.+)):(\d+)$/.exec(server) ?? []
    // A datagram that cannot be sent is one without an answer.
    this.#socket.send(bytes, Number(port), v6 ?? v4, () => {})
  }

  /** The first sending's clock counts for all: which of them an answer belongs to is not known. */
  #received(bytes: Uint8Array, { address, port }: RemoteInfo): void {
    const message = decodeStun(bytes)
    const question = message && this.#questions.get(message.transaction)
    const from = endpointOf(address, port)
    // Its own request that comes back is an answer as well: that is how a hairpin shows.
    if (message === undefined || question === undefined || from === undefined || message.kind === 'error')
      return
    question.heard({ message, rttMs: performance.now() - question.sentAt, from })
  }
}
