/** The listener of ingress: Node's HTTP server, with the fast path in front of it. */

import { type IncomingMessage, Server, type ServerOptions, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Millis } from '../../../core/clock.ts'
import type { IngressDeps } from '../deps.ts'
import { isSecure } from '../trust.ts'
import { FastConnection, type FastConnectionHost } from './connection.ts'
import { withKnownMethod } from './for-node.ts'

/** How often timeouts are checked: at least four times within the shortest, at most 50 times a second. */
const tickOf = ({ ingress }: IngressDeps['conf']): Millis => {
  const shortest = Math.min(ingress.headersTimeoutMs, ingress.keepAliveMs, ingress.responseHeaderTimeoutMs)
  return Math.min(1000, Math.max(20, shortest / 4))
}

type Listener = (this: Server, socket: Socket) => void

/**
 * Takes Node's own handling of new connections off the server; a connection gets it when it leaves the fast path.
 * Node's constructor registers `connectionListener` for it, which makes the parser and the listeners of a socket
 * whenever it is called (lib/_http_server.js of Node 26, `function Server` and `connectionListenerInternal`).
 * test/loopback/gateway/ingress/fast/node-listeners.test.ts fails when a version of Node does it in another way.
 */
export function takeNodeListeners(server: Server): readonly Listener[] {
  const nodeListeners = server.listeners('connection') as Listener[]
  server.removeAllListeners('connection')
  return nodeListeners
}

export class IngressServer extends Server implements FastConnectionHost {
  readonly deps: IngressDeps
  readonly #open = new Set<FastConnection>()
  readonly #nodeListeners: readonly Listener[]
  /** Of first requests, by connection, where Node's parser got a stand-in. */
  readonly #methods = new WeakMap<Socket, string>()
  #timer: NodeJS.Timeout | undefined
  isDraining = false
  /** Where plain requests are sent; undefined: they are served. */
  redirectPort: () => number | undefined = () => undefined

  constructor(options: ServerOptions, deps: IngressDeps) {
    super(options)
    this.deps = deps
    this.#nodeListeners = takeNodeListeners(this)
    this.on('listening', () => {
      this.#timer = setInterval(() => this.#sweep(), tickOf(deps.conf)).unref()
    })
    this.on('close', () => clearInterval(this.#timer))
  }

  /** Starts a new connection on the fast path, unless a limit has closed it already. */
  enter(socket: Socket): void {
    if (socket.destroyed) return
    if (this.#needsNode(socket)) for (const listener of this.#nodeListeners) listener.call(this, socket)
    else this.#open.add(new FastConnection(this, socket))
  }

  /** The fast path adds no header to answers and has no pages of its own. */
  #needsNode(socket: Socket): boolean {
    if (isSecure(socket)) return (this.deps.conf.ingress.tls?.hsts ?? 0) > 0
    return this.redirectPort() !== undefined
  }

  leave(connection: FastConnection, socket: Socket, bytes: Buffer): void {
    this.#open.delete(connection)
    const known = withKnownMethod(bytes)
    if (known.method !== undefined) this.#methods.set(socket, known.method)
    socket.pause()
    socket.unshift(known.bytes)
    for (const listener of this.#nodeListeners) listener.call(this, socket)
    socket.resume()
  }

  /**
   * Puts the method back that Node's parser has no name for. The connection ends with its answer: the next request
   * could have such a method too, and Node would read it.
   */
  restoreMethod(req: IncomingMessage, res: ServerResponse): void {
    const method = this.#methods.get(req.socket)
    if (method === undefined) return
    this.#methods.delete(req.socket)
    req.method = method
    res.shouldKeepAlive = false
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
