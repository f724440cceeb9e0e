/** The listener of ingress: Node's HTTP server, with the fast path in front of it. */

import { type IncomingMessage, Server, type ServerOptions } from 'node:http'
import type { Socket } from 'node:net'
import type { Millis } from '../../../core/clock.ts'
import type { ConnectionLimit } from '../connection-limit.ts'
import type { IngressDeps } from '../deps.ts'
import { destroyWhenGone } from '../gone-clients.ts'
import { isSecure } from '../trust.ts'
import { FastConnection, type FastConnectionHost } from './connection.ts'
import { withKnownMethod } from './for-node.ts'
import { NodeConnections } from './node-connection.ts'

/** How often timeouts are checked: at least four times within the shortest, at most 50 times a second. */
const tickOf = ({ ingress }: IngressDeps['conf']): Millis => {
  const shortest = Math.min(ingress.headersTimeoutMs, ingress.keepAliveMs, ingress.responseHeaderTimeoutMs)
  return Math.min(1000, Math.max(20, shortest / 4))
}

/** What Node's server says of a request that its parser refused. */
export interface ParserError extends Error {
  readonly code?: string
  /** The parser's own words. */
  readonly reason?: string
  /** What it was reading. */
  readonly rawPacket?: Buffer
}

export class IngressServer extends Server implements FastConnectionHost {
  readonly deps: IngressDeps
  readonly limit: ConnectionLimit
  readonly #open = new Set<FastConnection>()
  readonly #node: NodeConnections
  /** Of first requests, by connection, where Node's parser got a stand-in. */
  readonly #methods = new WeakMap<Socket, string>()
  #timer: NodeJS.Timeout | undefined
  isDraining = false
  /** Where plain requests are sent; undefined: they are served. */
  redirectPort: () => number | undefined = () => undefined

  constructor(options: ServerOptions, deps: IngressDeps, limit: ConnectionLimit) {
    super(options)
    this.deps = deps
    this.limit = limit
    this.#node = new NodeConnections(this)
    this.on('listening', () => {
      this.#timer = setInterval(() => this.#sweep(), tickOf(deps.conf)).unref()
    })
    this.on('close', () => clearInterval(this.#timer))
  }

  /** Starts a new connection on the fast path, unless a limit has closed it already. */
  enter(socket: Socket): void {
    if (socket.destroyed) return
    this.limit.wait(socket)
    if (this.#needsNode(socket)) this.#node.give(socket)
    else this.#open.add(new FastConnection(this, socket))
    destroyWhenGone(socket)
  }

  /** The fast path adds no header to answers and has no pages of its own. */
  #needsNode(socket: Socket): boolean {
    if (isSecure(socket)) return (this.deps.conf.ingress.tls?.hsts ?? 0) > 0
    return this.redirectPort() !== undefined
  }

  leave(connection: FastConnection, socket: Socket, bytes: Buffer): void {
    this.#open.delete(connection)
    this.#give(socket, bytes)
  }

  #give(socket: Socket, read: Buffer): void {
    const { method, bytes } = withKnownMethod(read)
    if (method !== undefined) this.#methods.set(socket, method)
    this.#node.give(socket, bytes)
  }

  /**
   * A request with a method that Node's parser has no name for, on a connection that Node's server reads by now: with
   * nothing else under way the fast path takes it, or Node's server once more, behind a stand-in.
   * @returns false: the parser had another reason to refuse it
   */
  takeBack({ code, rawPacket }: ParserError, socket: Socket): boolean {
    const isOurs = code === 'HPE_INVALID_METHOD' && rawPacket !== undefined && !this.isDraining
    if (!isOurs || socket.destroyed || withKnownMethod(rawPacket).method === undefined) return false
    this.#node.takeBack(socket)
    if (this.#needsNode(socket)) this.#give(socket, rawPacket)
    else {
      socket.unshift(rawPacket)
      this.#open.add(new FastConnection(this, socket))
      socket.resume()
    }
    return true
  }

  /** Puts the method back that Node's parser has no name for. */
  restoreMethod(req: IncomingMessage): void {
    const method = this.#methods.get(req.socket)
    if (method === undefined) return
    this.#methods.delete(req.socket)
    req.method = method
  }

  closed(connection: FastConnection): void {
    this.#open.delete(connection)
  }

  override close(callback?: (err?: Error) => void): this {
    this.isDraining = true
    return super.close(callback)
  }

  override closeIdleConnections(): void {
    super.closeIdleConnections()
    for (const connection of this.#open) if (connection.isIdle) connection.destroy()
  }

  override closeAllConnections(): void {
    super.closeAllConnections()
    for (const connection of this.#open) connection.destroy()
  }

  #sweep(): void {
    const { headersTimeoutMs, keepAliveMs, responseHeaderTimeoutMs } = this.deps.conf.ingress
    const now = performance.now()
    for (const connection of this.#open) {
      const idle = connection.checkTime(now, responseHeaderTimeoutMs)
      if (idle !== undefined && now - idle.since >= (idle.hasServed ? keepAliveMs : headersTimeoutMs))
        connection.destroy()
    }
    this.deps.pool.sweep()
  }
}
