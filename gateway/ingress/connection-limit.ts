/**
 * Bounds connections of one client and of all, on all listeners of ingress together.
 *
 * When there are too many in all, the one that has sent no whole head for longest makes room. Where each has a request
 * under way, or has just come, the client with most connections loses the one that has moved no byte for longest:
 * neither half-sent requests nor slow bodies nor idle WebSockets keep another client out.
 */

import type { Socket } from 'node:net'
import type { Millis } from '../../core/clock.ts'
import { clientOf } from '../base/client-of.ts'
import type { IngressDeps } from './deps.ts'
import { sentPastNode } from './write-now.ts'

export const REFUSED = 'Connections closed at once because there were too many'
const EVICTED = 'Connections that were closed to make room for those of others'

/** From this part of the bound on, what moves is looked at: 4,096 connections cost 2 ms a time. */
const WATCHED_FROM = 0.75
const LOOK_MS: Millis = 1000
/** A client that has just connected sends its request within this time; the next newcomer must not cut it off. */
const JUST_COME_MS: Millis = 1000

interface Admitted {
  readonly socket: Socket
  /** Where its bytes are counted: above TLS, because Node does not count what TLS writes to the socket below. */
  counted: Socket
  /** Both directions together, at the last look. */
  bytes: number
  /** Monotonic; of the first look that found these bytes. */
  stillSince: Millis
}

export class ConnectionLimit {
  readonly #deps: Pick<IngressDeps, 'conf' | 'metrics' | 'scheduler'>
  /** By client; each client's in order of age. */
  readonly #open = new Map<string, Set<Admitted>>()
  readonly #admitted = new WeakMap<Socket, Admitted>()
  #total = 0
  /** Connections without a request under way, the longest first, with the monotonic time since when. */
  readonly #waiting = new Map<Socket, Millis>()
  #lookedAt: Millis = -LOOK_MS

  constructor(deps: Pick<IngressDeps, 'conf' | 'metrics' | 'scheduler'>) {
    this.#deps = deps
  }

  /** @returns false: one too many, it is closed */
  admit(socket: Socket): boolean {
    const { maxConnections, maxConnectionsPerClient } = this.#deps.conf.ingress
    const client = clientOf(socket.remoteAddress)
    const count = (this.#open.get(client)?.size ?? 0) + 1
    if (maxConnectionsPerClient > 0 && count > maxConnectionsPerClient) return this.#refuse(socket, 'client')
    if (this.#total >= maxConnections * WATCHED_FROM) this.#look()
    if (this.#total >= maxConnections && !this.#makeRoom(count)) return this.#refuse(socket, 'total')
    this.#enter(client, {
      socket,
      counted: socket,
      bytes: 0,
      stillSince: this.#deps.scheduler.monotonic(),
    })
    return true
  }

  /** @param socket was admitted, and waited for a handshake, which is done */
  secured(socket: Socket, tls: Socket): void {
    this.busy(socket)
    const admitted = this.#admitted.get(socket)
    if (admitted !== undefined) admitted.counted = tls
    tls.on('close', () => this.busy(tls))
  }

  /** It has no request under way from now on. */
  wait(socket: Socket): void {
    if (!socket.destroyed) this.#waiting.set(socket, this.#deps.scheduler.monotonic())
  }

  /** A request of it is under way. */
  busy(socket: Socket): void {
    this.#waiting.delete(socket)
  }

  #enter(client: string, admitted: Admitted): void {
    const own = this.#open.get(client) ?? new Set()
    this.#open.set(client, own.add(admitted))
    this.#admitted.set(admitted.socket, admitted)
    this.#total++
    admitted.socket.on('close', () => {
      this.#waiting.delete(admitted.socket)
      this.#leave(client, admitted)
    })
  }

  /** Of one that was closed to make room, the place is free before its 'close' comes. */
  #leave(client: string, admitted: Admitted): void {
    const own = this.#open.get(client)
    if (own?.delete(admitted) !== true) return
    this.#total--
    if (own.size === 0) this.#open.delete(client)
  }

  #look(): void {
    const now = this.#deps.scheduler.monotonic()
    if (now - this.#lookedAt < LOOK_MS) return
    this.#lookedAt = now
    for (const own of this.#open.values()) {
      for (const one of own) {
        const bytes = one.counted.bytesRead + one.counted.bytesWritten + sentPastNode(one.counted)
        if (bytes === one.bytes) continue
        one.bytes = bytes
        one.stillSince = now
      }
    }
  }

  /** @param count connections that the newcomer's client would have */
  #makeRoom(count: number): boolean {
    const socket =
      this.#longestWaiting(JUST_COME_MS) ?? this.#stillestOfLargest(count) ?? this.#longestWaiting(0)
    if (socket === undefined) return false
    this.#deps.metrics.count('flatnet_ingress_connections_evicted_total', EVICTED)
    socket.destroy()
    return true
  }

  #longestWaiting(atLeastMs: Millis): Socket | undefined {
    const [longest] = this.#waiting
    if (longest === undefined) return undefined
    const [socket, since] = longest
    if (this.#deps.scheduler.monotonic() - since < atLeastMs) return undefined
    this.#waiting.delete(socket)
    return socket
  }

  /** A client with as many as the newcomer's keeps its own: else two of them would cut each other's requests. */
  #stillestOfLargest(count: number): Socket | undefined {
    let client = ''
    let size = count
    for (const [name, own] of this.#open) {
      if (own.size <= size) continue
      client = name
      size = own.size
    }
    let stillest: Admitted | undefined
    for (const one of this.#open.get(client) ?? [])
      if (stillest === undefined || one.stillSince < stillest.stillSince) stillest = one
    if (stillest !== undefined) this.#leave(client, stillest)
    return stillest?.socket
  }

  #refuse(socket: Socket, by: 'client' | 'total'): false {
    this.#deps.metrics.count('flatnet_ingress_connections_refused_total', REFUSED, { by })
    socket.destroy()
    return false
  }
}
