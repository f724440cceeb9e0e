/** The listener of ingress: Node's HTTP server, with the fast path in front of it. */

import { type IncomingMessage, Server, type ServerOptions, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Millis } from '../../../core/clock.ts'
import { destroyOnReset } from '../client-reset.ts'
import type { ConnectionLimit } from '../connection-limit.ts'
import type { IngressDeps } from '../deps.ts'
import { hasBody } from '../headers.ts'
import { isSecure } from '../trust.ts'
import { FastConnection, type FastConnectionHost } from './connection.ts'
import { type Before, endsWithinHead, headStart, mended, methodStart, withKnownMethod } from './for-node.ts'
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
  /** What it was reading, and how far it came. */
  readonly rawPacket?: Buffer
  readonly bytesParsed?: number
}

/** 'end' is told in a later turn than that of the packet which brought it. */
function beforeOf(last: IncomingMessage | undefined): Before {
  if (last === undefined || last.readableEnded) return 'gone'
  return hasBody(last.rawHeaders) ? 'body' : 'head'
}

/** Refusals that `mended` may have an answer to. */
const MENDABLE: ReadonlySet<string | undefined> = new Set([
  'HPE_INVALID_URL',
  'HPE_INVALID_VERSION',
  'HPE_CR_EXPECTED',
  'HPE_UNEXPECTED_CONTENT_LENGTH',
])

/** @returns the refused head and what follows it; undefined: mending changes nothing, or its start is not certain */
function refusedForForm(err: ParserError, before: Before): Buffer | undefined {
  const { code, rawPacket, bytesParsed } = err
  if (!MENDABLE.has(code) || rawPacket === undefined || bytesParsed === undefined) return undefined
  const start = headStart(rawPacket, bytesParsed, before)
  if (start === undefined) return undefined
  const bytes = rawPacket.subarray(start)
  return endsWithinHead(bytes) || mended(bytes) !== bytes ? bytes : undefined
}

/** @returns the refused request and what follows it; undefined: its method is no token, or its start is not certain */
function refusedForMethod(err: ParserError, before: Before): Buffer | undefined {
  const { code, rawPacket, bytesParsed } = err
  if (code !== 'HPE_INVALID_METHOD' || rawPacket === undefined || bytesParsed === undefined) return undefined
  const start = methodStart(rawPacket, bytesParsed, before)
  if (start === undefined) return undefined
  const bytes = rawPacket.subarray(start)
  return withKnownMethod(bytes).method === undefined ? undefined : bytes
}

export class IngressServer extends Server implements FastConnectionHost {
  readonly deps: IngressDeps
  readonly limit: ConnectionLimit
  readonly #open = new Set<FastConnection>()
  readonly #node: NodeConnections
  /** Of first requests, by connection, where Node's parser got a stand-in. */
  readonly #methods = new WeakMap<Socket, string>()
  /** Stopped, while requests of theirs are answered: Node's server has lost sight of them. */
  readonly #stopped = new Set<Socket>()
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
    this.#open.add(new FastConnection(this, socket, this.#needsNode(socket)))
    destroyOnReset(socket)
  }

  /** The fast path adds no header to answers and has no pages of its own. */
  #needsNode(socket: Socket): boolean {
    if (isSecure(socket)) return (this.deps.conf.ingress.tls?.hsts ?? 0) > 0
    return this.redirectPort() !== undefined
  }

  leave(connection: FastConnection, socket: Socket, read: Buffer): void {
    this.#open.delete(connection)
    const { method, bytes } = withKnownMethod(read)
    if (method !== undefined) this.#methods.set(socket, method)
    this.#node.give(socket, bytes)
  }

  /**
   * A request with a method that Node's parser has no name for, or in a form that can be mended, on a connection that
   * Node's server reads by now: once the requests before it are answered the fast path takes it.
   * @param last the request before it on this connection
   * @param underWay answers that are not sent yet; they leave the set with their 'close'
   * @returns false: the parser had another reason to refuse it
   */
  takeBack(
    err: ParserError,
    socket: Socket,
    last: IncomingMessage | undefined,
    underWay: ReadonlySet<ServerResponse>,
  ): boolean {
    if (this.isDraining || socket.destroyed || !this.#node.hasBegunNow(socket)) return false
    const before = beforeOf(last)
    // The fast path has had the first one, and would give it back for ever.
    const read =
      refusedForMethod(err, before) ?? (this.#node.isFirst(socket) ? undefined : refusedForForm(err, before))
    if (read === undefined) return false
    this.#node.stop(socket)
    this.#stopped.add(socket)
    socket.once('close', () => this.#stopped.delete(socket))
    const goOn = (): void => {
      if (underWay.size > 0 || !socket.writable) return
      this.#stopped.delete(socket)
      this.#node.takeBack(socket)
      socket.unshift(read)
      this.#open.add(new FastConnection(this, socket, this.#needsNode(socket)))
      socket.resume()
    }
    for (const res of underWay) res.once('close', goOn)
    goOn()
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
    for (const socket of this.#stopped) socket.destroy()
  }

  #sweep(): void {
    const now = performance.now()
    for (const connection of this.#open) connection.checkTime(now)
    this.deps.pool.sweep()
  }
}
