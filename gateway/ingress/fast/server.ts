/** Ingress' listener: Node's HTTP server, with the short way in front of it for what is plain. */

import { Server, type ServerOptions } from 'node:http'
import type { Socket } from 'node:net'
import type { Millis } from '../../../core/clock.ts'
import type { IngressParts } from '../deps.ts'
import { Lane, type LaneHost } from './connection.ts'

/** Times are looked at this often; at least four times within each, and not more than 50 times a second. */
const tickOf = ({ ingress }: IngressParts['conf']): Millis => {
  const shortest = Math.min(ingress.headersTimeoutMs, ingress.keepAliveMs, ingress.responseHeaderTimeoutMs)
  return Math.min(1000, Math.max(20, shortest / 4))
}

type Listener = (this: Server, socket: Socket) => void

export class IngressServer extends Server implements LaneHost {
  readonly parts: IngressParts
  readonly ownNames: ReadonlySet<string>
  readonly #open = new Set<Lane>()
  readonly #byNode: readonly Listener[]
  readonly #countAnswer: (status: number) => void
  #timer: NodeJS.Timeout | undefined
  isDraining = false

  constructor(
    options: ServerOptions,
    parts: IngressParts,
    ownNames: ReadonlySet<string>,
    countAnswer: (status: number) => void,
  ) {
    super(options)
    this.parts = parts
    this.ownNames = ownNames
    this.#countAnswer = countAnswer
    // What Node has the server do with a connection is done when the connection leaves its lane.
    this.#byNode = this.listeners('connection') as Listener[]
    this.removeAllListeners('connection')
    this.on('listening', () => {
      this.#timer = setInterval(() => this.#sweep(), tickOf(parts.conf)).unref()
    })
    this.on('close', () => clearInterval(this.#timer))
  }

  /** For a new connection, when nobody has closed it for other reasons. */
  enter(socket: Socket): void {
    if (!socket.destroyed) this.#open.add(new Lane(this, socket))
  }

  leave(lane: Lane, socket: Socket, bytes: Buffer): void {
    this.#open.delete(lane)
    socket.pause()
    socket.unshift(bytes)
    for (const listener of this.#byNode) listener.call(this, socket)
    socket.resume()
  }

  closed(lane: Lane): void {
    this.#open.delete(lane)
  }

  answered(status: number): void {
    this.#countAnswer(status)
  }

  override close(callback?: (err?: Error) => void): this {
    this.isDraining = true
    return super.close(callback)
  }

  override closeIdleConnections(): void {
    super.closeIdleConnections()
    for (const lane of this.#open) if (lane.isIdle) lane.destroy()
  }

  override closeAllConnections(): void {
    super.closeAllConnections()
    for (const lane of this.#open) lane.destroy()
  }

  #sweep(): void {
    const { headersTimeoutMs, keepAliveMs, responseHeaderTimeoutMs } = this.parts.conf.ingress
    const now = performance.now()
    for (const lane of this.#open) {
      const idle = lane.checkTime(now, responseHeaderTimeoutMs)
      if (idle !== undefined && now - idle.since >= (idle.hasServed ? keepAliveMs : headersTimeoutMs))
        lane.destroy()
    }
    this.parts.pool.sweep()
  }
}
