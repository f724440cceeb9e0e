/**
 * Bounds connections of one client and of all, on all listeners of ingress together.
 *
 * When there are too many in all, the one that has sent no whole head for longest makes room. Where each has a request
 * under way, or has just come, the client with most connections loses the one that has moved no byte for longest:
 * neither half-sent requests nor slow bodies nor idle WebSockets keep another client out. A newcomer of the client with
 * most connections takes the place of one of its own first.
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
/** So many newcomers at most have no place yet: a flood of them may not take all file descriptors in one turn. */
const MAX_HELD = 256

/** Monotonic; undefined: a request is under way. On the socket itself, as each request writes it twice. */
const WAITS_SINCE = Symbol('waits since')

type Marked = Socket & { [WAITS_SINCE]?: Millis | undefined }

interface Newcomer {
  readonly socket: Socket
  readonly client: string
}

interface Admitted extends Newcomer {
  /** Where bytes and requests are counted: above TLS, as Node does not count what TLS writes to the socket below. */
  counted: Marked
  /** Both directions together, at the last look. */
  bytes: number
  /** Monotonic; of the first look that found these bytes. */
  stillSince: Millis
}

const NONE: ReadonlySet<Admitted> = new Set()

export class ConnectionLimit {
  readonly #deps: Pick<IngressDeps, 'conf' | 'metrics' | 'scheduler'>
  /** By client; each client's in order of age. */
  readonly #open = new Map<string, Set<Admitted>>()
  readonly #admitted = new WeakMap<Socket, Admitted>()
  #total = 0
  /** They came when all places were taken, in this turn of the loop. */
  readonly #held: Newcomer[] = []
  /** Those that waited when it was made, the shortest first. Others that wait came later. */
  #longest: { readonly one: Admitted; readonly since: Millis }[] = []
  #lookedAt: Millis = -LOOK_MS

  constructor(deps: Pick<IngressDeps, 'conf' | 'metrics' | 'scheduler'>) {
    this.#deps = deps
  }

  /** @returns false: one too many, it is closed. Where all places are taken, that is decided later. */
  admit(socket: Socket): boolean {
    const newcomer = { socket, client: clientOf(socket.remoteAddress) }
    const { maxConnections } = this.#deps.conf.ingress
    if (this.#total < maxConnections || this.#hasItsShare(newcomer.client)) return this.#decide(newcomer)
    this.#hold(newcomer)
    return true
  }

  #hasItsShare(client: string): boolean {
    const { maxConnectionsPerClient } = this.#deps.conf.ingress
    return maxConnectionsPerClient > 0 && (this.#open.get(client)?.size ?? 0) >= maxConnectionsPerClient
  }

  /**
   * A kept connection may have its next request in the kernel's buffer: by the end of the loop's turn it has been read,
   * and the connection makes no room any more.
   */
  #hold(newcomer: Newcomer): void {
    if (this.#held.push(newcomer) === 1) setImmediate(() => this.#decideHeld())
    if (this.#held.length >= MAX_HELD) this.#decideHeld()
  }

  #decideHeld(): void {
    for (const newcomer of this.#held.splice(0)) if (!newcomer.socket.destroyed) this.#decide(newcomer)
  }

  /** @returns false: one too many, it is closed */
  #decide({ socket, client }: Newcomer): boolean {
    const { maxConnections } = this.#deps.conf.ingress
    if (this.#hasItsShare(client)) return this.#refuse(socket, 'client')
    if (this.#total >= maxConnections * WATCHED_FROM) this.#look()
    if (this.#total >= maxConnections && !this.#makeRoom(client)) return this.#refuse(socket, 'total')
    this.#enter({ socket, client, counted: socket, bytes: 0, stillSince: this.#deps.scheduler.monotonic() })
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

  #enter(admitted: Admitted): void {
    const { client, socket } = admitted
    const own = this.#open.get(client) ?? new Set()
    this.#open.set(client, own.add(admitted))
    this.#admitted.set(socket, admitted)
    this.#total++
    socket.on('close', () => this.#leave(admitted))
  }

  /** Of one that is closed to make room, the place is free before its 'close' comes. */
  #leave(admitted: Admitted): void {
    this.busy(admitted.counted)
    const own = this.#open.get(admitted.client)
    if (own?.delete(admitted) !== true) return
    this.#total--
    if (own.size === 0) this.#open.delete(admitted.client)
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

  /** @param client the newcomer's */
  #makeRoom(client: string): boolean {
    const one = this.#leastMissed(client)
    if (one === undefined) return false
    this.#deps.metrics.count('flatnet_ingress_connections_evicted_total', EVICTED)
    this.#leave(one)
    one.socket.destroy()
    return true
  }

  #leastMissed(client: string): Admitted | undefined {
    const own = this.#open.get(client) ?? NONE
    const largest = this.#largest()
    const isLargest = own.size > 0 && own.size >= largest.size
    if (isLargest) return longestWaitingOf(own) ?? this.#longestWaiting(JUST_COME_MS)
    // A client with as many as the newcomer's keeps its own: else two of them would cut each other's requests.
    const loser = largest.size > own.size + 1 ? largest : NONE
    return this.#longestWaiting(JUST_COME_MS) ?? stillestOf(loser) ?? this.#longestWaiting(0)
  }

  #largest(): ReadonlySet<Admitted> {
    let largest = NONE
    for (const own of this.#open.values()) if (own.size > largest.size) largest = own
    return largest
  }

  #longestWaiting(atLeastMs: Millis): Admitted | undefined {
    const longest = this.#nextLongest() ?? this.#sortWaiting()
    if (longest === undefined || this.#deps.scheduler.monotonic() - longest.since < atLeastMs)
      return undefined
    return longest.one
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

  #refuse(socket: Socket, by: 'client' | 'total'): false {
    this.#deps.metrics.count('flatnet_ingress_connections_refused_total', REFUSED, { by })
    socket.destroy()
    return false
  }
}

function longestWaitingOf(own: ReadonlySet<Admitted>): Admitted | undefined {
  let longest: Admitted | undefined
  let longestSince: Millis = Infinity
  for (const one of own) {
    const since = one.counted[WAITS_SINCE]
    if (since === undefined || since >= longestSince) continue
    longest = one
    longestSince = since
  }
  return longest
}

function stillestOf(own: ReadonlySet<Admitted>): Admitted | undefined {
  let stillest: Admitted | undefined
  for (const one of own) if (stillest === undefined || one.stillSince < stillest.stillSince) stillest = one
  return stillest
}
