/**
 * Bounds connections of one client address and of all, on all listeners of ingress together.
 *
 * When there are too many in all, the one that has sent no whole head for longest makes room: half-sent requests and
 * idle connections keep no client out.
 */

import type { Socket } from 'node:net'
import type { IngressDeps } from './deps.ts'

export const REFUSED = 'Connections closed at once because there were too many'
const EVICTED = 'Connections without a request under way that were closed to make room'

export class ConnectionLimit {
  readonly #deps: Pick<IngressDeps, 'conf' | 'metrics'>
  readonly #open = new Map<string, number>()
  #total = 0
  /** Connections without a request under way, the longest first. */
  readonly #waiting = new Set<Socket>()

  constructor(deps: Pick<IngressDeps, 'conf' | 'metrics'>) {
    this.#deps = deps
  }

  /** @returns false: one too many, it is closed */
  admit(socket: Socket): boolean {
    const { maxConnections, maxConnectionsPerClient } = this.#deps.conf.ingress
    const client = socket.remoteAddress ?? ''
    const count = (this.#open.get(client) ?? 0) + 1
    if (maxConnectionsPerClient > 0 && count > maxConnectionsPerClient) return this.#refuse(socket, 'client')
    if (this.#total >= maxConnections && !this.#makeRoom()) return this.#refuse(socket, 'total')
    this.#open.set(client, count)
    this.#total++
    socket.on('close', () => {
      this.#total--
      this.#waiting.delete(socket)
      const left = (this.#open.get(client) ?? 1) - 1
      if (left === 0) this.#open.delete(client)
      else this.#open.set(client, left)
    })
    return true
  }

  /**
   * It has no request under way from now on. One that was not admitted here, as TLS is a socket above, leaves with
   * `busy`.
   */
  wait(socket: Socket): void {
    if (!socket.destroyed) this.#waiting.add(socket)
  }

  /** A request of it is under way. */
  busy(socket: Socket): void {
    this.#waiting.delete(socket)
  }

  #makeRoom(): boolean {
    for (const socket of this.#waiting) {
      this.#waiting.delete(socket)
      this.#deps.metrics.count('flatnet_ingress_connections_evicted_total', EVICTED)
      socket.destroy()
      return true
    }
    return false
  }

  #refuse(socket: Socket, by: 'client' | 'total'): false {
    this.#deps.metrics.count('flatnet_ingress_connections_refused_total', REFUSED, { by })
    socket.destroy()
    return false
  }
}
