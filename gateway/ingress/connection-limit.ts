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

/** Monotonic; undefined: a request is under way. On the socket itself, as each request writes it twice. */
const WAITS_SINCE = Symbol('waits since')

type Marked = Socket & { [WAITS_SINCE]?: Millis | undefined }

interface Admitted {
  readonly socket: Socket
  /** Where bytes and requests are counted: above TLS, as Node does not count what TLS writes to the socket below. */
  counted: Marked
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
  /** Those that waited when it was made, the shortest first. Others that wait came later. */
  #longest: { readonly one: Admitted; readonly since: Millis }[] = []
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
    const admitted = this.#admitted.get(socket)
    if (admitted !== undefined) admitted.counted = tls
  }

  /** It has no request under way from now on. */
  wait(socket: Marked): void {
    socket[WAITS_SINCE] = this.#deps.scheduler.monotonic()
  }

  /** A request of it is under way. */
  busy(socket: Marked): void {
    socket[WAITS_SINCE] = undefined
  }

  #enter(client: string, admitted: Admitted): void {
    const own = this.#open.get(client) ?? new Set()
    this.#open.set(client, own.add(admitted))
    this.#admitted.set(admitted.socket, admitted)
    this.#total++
    admitted.socket.on('close', () => this.#leave(client, admitted))
  }

  /** Of one that was closed to make room, the place is free before its 'close' comes. */
  #leave(client: string, admitted: Admitted): void {
    this.busy(admitted.counted)
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
    const longest = this.#nextLongest() ?? this.#sortWaiting()
    if (longest === undefined || this.#deps.scheduler.monotonic() - longest.since < atLeastMs)
      return undefined
    this.busy(longest.one.counted)
    return longest.one.socket
  }

  #nextLongest(): { readonly one: Admitted; readonly since: Millis } | undefined {
    while (this.#longest.length > 0) {
      const last = this.#longest.at(-1)
      if (last !== undefined && last.one.counted[WAITS_SINCE] === last.since) return last
      this.#longest.pop()
    }
    return undefined
  }

  #sortWaiting(): { readonly one: Admitted; readonly since: Millis } | undefined {
    const waiting = [...this.#open.values()].flatMap((own) =>
      [...own].flatMap((one) => {
        const since = one.counted[WAITS_SINCE]
        return since === undefined ? [] : [{ one, since }]
      }),
    )
    this.#longest = waiting.sort((a, b) => b.since - a.since)
    return this.#longest.at(-1)
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
