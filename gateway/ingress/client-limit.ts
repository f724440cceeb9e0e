/** Bounds connections of one client address, on all listeners of ingress together. */

import type { Socket } from 'node:net'
import type { IngressDeps } from './deps.ts'

export const REFUSED = 'Connections closed at once because there were too many'

export class ClientLimit {
  readonly #deps: IngressDeps
  readonly #open = new Map<string, number>()

  constructor(deps: IngressDeps) {
    this.#deps = deps
  }

  /** @returns false: one too many, it is closed */
  admit(socket: Socket): boolean {
    const max = this.#deps.conf.ingress.maxConnectionsPerClient
    if (max === 0) return true
    const client = socket.remoteAddress ?? ''
    const count = (this.#open.get(client) ?? 0) + 1
    if (count > max) {
      this.#deps.metrics.count('flatnet_ingress_connections_refused_total', REFUSED, { by: 'client' })
      socket.destroy()
      return false
    }
    this.#open.set(client, count)
    socket.on('close', () => {
      const left = (this.#open.get(client) ?? 1) - 1
      if (left === 0) this.#open.delete(client)
      else this.#open.set(client, left)
    })
    return true
  }
}
