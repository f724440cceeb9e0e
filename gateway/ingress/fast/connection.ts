/**
 * The fast path of a client's connection: it answers whole, plain requests to containers on bytes.
 *
 * At the first other request the connection moves to Node's server and stays there. That request goes first, its head
 * whole and in the form that Node's parser takes.
 */

import type { Socket } from 'node:net'
import { attachmentKey } from '../../../core/attachment.ts'
import type { Millis } from '../../../core/clock.ts'
import type { ConnectionLimit } from '../connection-limit.ts'
import type { IngressDeps } from '../deps.ts'
import { headerLines, requestHeaders } from '../headers.ts'
import { answerBare } from '../pages/refused.ts'
import { route, type Target } from '../route.ts'
import { isSecure } from '../trust.ts'
import { type ExchangeClient, FastExchange, type Place } from './exchange.ts'
import { mended } from './for-node.ts'
import { HeadGatherer } from './head-gatherer.ts'
import { type RequestHead, readRequest } from './request-head.ts'

/** A client that has just connected sends its request within this time; a reload must not reset it meanwhile. */
const FIRST_REQUEST_MS: Millis = 500

export interface FastConnectionHost {
  readonly deps: IngressDeps
  readonly limit: ConnectionLimit
  /** No more requests after the ones under way. */
  readonly isDraining: boolean
  /** Takes the socket over; `bytes` were read from it and go first. */
  leave(connection: FastConnection, socket: Socket, bytes: Buffer): void
  closed(connection: FastConnection): void
}

export class FastConnection implements ExchangeClient {
  readonly #host: FastConnectionHost
  readonly socket: Socket
  readonly clientAddress: string
  readonly localPort: number
  readonly isSecure: boolean
  readonly #isForNode: boolean
  readonly #gatherer: HeadGatherer
  #exchange: FastExchange | undefined
  #isClosing = false
  /** Read while an answer was under way. */
  #pending: Buffer | undefined
  /** Of the head that is half there. */
  #begunAt: Millis = 0
  #idleSince: Millis = performance.now()
  #hasServed = false
  #place: (Place & Pick<Target, 'ip' | 'port'>) | undefined
  #forwarded: { readonly host: string; readonly prefix: string; readonly lines: string } | undefined

  /** @param isForNode every request goes to Node's server, once its head is whole */
  constructor(host: FastConnectionHost, socket: Socket, isForNode: boolean) {
    this.#host = host
    this.socket = socket
    this.#isForNode = isForNode
    this.#gatherer = new HeadGatherer(host.deps.conf.ingress.maxHeaderBytes)
    this.clientAddress = socket.remoteAddress ?? 'unknown'
    this.localPort = socket.localPort ?? 0
    this.isSecure = isSecure(socket)
    socket.on('data', this.#onData)
    socket.on('drain', this.#onDrain)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onClose)
    socket.on('error', onError)
  }

  get deps(): IngressDeps {
    return this.#host.deps
  }

  /** What the gateway adds to a request without such fields. Cached: a client repeats host and prefix. */
  forwardedLines({ host, prefix }: Pick<Target, 'host' | 'prefix'>): string {
    const known = this.#forwarded
    if (known !== undefined && known.host === host && known.prefix === prefix) return known.lines
    const { clientAddress, isSecure, localPort } = this
    const { hostId } = this.deps.conf
    const facts = { method: 'GET', host, clientAddress, isSecure, localPort, hostId, prefix, endpoint: '' }
    const lines = headerLines(requestHeaders({ ...facts, rawHeaders: [] }))
    this.#forwarded = { host, prefix, lines }
    return lines
  }

  /** Cached: a map finds a string that it has seen faster than an equal new one. */
  placeOf({ assignment, ip, port }: Target): Place {
    let place = this.#place
    if (place === undefined || place.assignment !== assignment || place.ip !== ip || place.port !== port) {
      place = { assignment, ip, port, key: attachmentKey(assignment), endpoint: `${ip}:${port}` }
      this.#place = place
    }
    return place
  }

  /** Without a request or a part of one, and not about to send its first. */
  get isIdle(): boolean {
    if (this.#exchange !== undefined || this.#gatherer.hasBegun || this.socket.writableLength > 0)
      return false
    return this.#hasServed || performance.now() - this.#idleSince >= FIRST_REQUEST_MS
  }

  get isLast(): boolean {
    return this.#isClosing || this.#host.isDraining
  }

  destroy(): void {
    this.socket.destroy()
  }

  /** Called on each sweep of the server. */
  checkTime(now: Millis): void {
    const { headersTimeoutMs, keepAliveMs, responseHeaderTimeoutMs } = this.deps.conf.ingress
    if (this.#exchange !== undefined) this.#exchange.checkTime(now, responseHeaderTimeoutMs)
    else if (this.socket.writableLength > 0) this.#idleSince = now
    else if (this.#gatherer.hasBegun) {
      if (now - this.#begunAt >= headersTimeoutMs) this.#giveUp('client-stalled')
    } else if (now - this.#idleSince >= (this.#hasServed ? keepAliveMs : headersTimeoutMs)) this.destroy()
  }

  answered(status: number): void {
    this.#exchange = undefined
    this.#hasServed = true
    this.#idleSince = performance.now()
    this.deps.countAnswer(status)
    if (this.isLast) {
      this.#isClosing = true
      this.socket.end(() => this.socket.destroy())
      return
    }
    this.#host.limit.wait(this.socket)
    // A client that sends requests and reads no answers would fill the memory.
    if (this.socket.writableNeedDrain) this.socket.pause()
    else this.#goOn()
  }

  #goOn(): void {
    const bytes = this.#pending
    this.#pending = undefined
    if (this.socket.isPaused()) this.socket.resume()
    if (bytes !== undefined) this.#read(bytes)
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#exchange === undefined && this.#pending === undefined) {
      if (!this.#isClosing) this.#read(bytes)
      return
    }
    this.#pending = this.#pending === undefined ? bytes : Buffer.concat([this.#pending, bytes])
    this.socket.pause()
  }

  readonly #onDrain = (): void => {
    if (this.#exchange === undefined) this.#goOn()
    else this.#exchange.resume()
  }

  /**
   * A FIN ends the client's requests and not the client (`nc -N`, BusyBox wget): it still reads the answer. See
   * client-reset.ts for one that has gone altogether. An answer without an end of its own ends here: a browser leaves
   * an event stream like this.
   */
  readonly #onEnd = (): void => {
    this.#isClosing = true
    if (this.#gatherer.hasBegun) this.#giveUp('bad-request', 'The client ended its side within the request.')
    else if (this.#exchange === undefined || this.deps.endless.has(this)) this.socket.destroy()
  }

  readonly #onClose = (): void => {
    this.#exchange?.abandon()
    this.#exchange = undefined
    this.#host.deps.endless.delete(this)
    this.#host.closed(this)
  }

  #read(bytes: Buffer): void {
    try {
      this.#begin(bytes)
    } catch (err) {
      this.deps.log.error({ err }, 'request could not be handled')
      this.destroy()
    }
  }

  #begin(read: Buffer): void {
    const head = this.#gatherer.hasBegun || this.#isForNode ? undefined : readRequest(read)
    if (head !== undefined) {
      this.#route(read, head)
      return
    }
    const wasBegun = this.#gatherer.hasBegun
    const whole = this.#gatherer.take(read)
    if (whole === undefined) {
      if (!wasBegun) this.#begunAt = performance.now()
      return
    }
    const bytes = mended(whole)
    this.#route(bytes, bytes === read || this.#isForNode ? undefined : readRequest(bytes))
  }

  #route(bytes: Buffer, head: RequestHead | undefined): void {
    // More or fewer bytes than one request: pipelining and uploads.
    if (head === undefined || bytes.length !== head.end + (head.length ?? 0)) {
      this.#leave(bytes)
      return
    }
    const { target, host } = head
    const { names, lookup } = this.deps
    const decision = route({ url: target, host, isSecure: this.isSecure, names, lookup })
    if (decision.kind !== 'container') {
      this.#leave(bytes)
      return
    }
    if (head.close) this.#isClosing = true
    this.#host.limit.busy(this.socket)
    const body = bytes.length === head.end ? undefined : bytes.subarray(head.end)
    this.#exchange = new FastExchange(this, head, decision, body)
    this.#exchange.start()
  }

  /** The rest of a head does not come. */
  #giveUp(reason: 'client-stalled' | 'bad-request', detail?: string): void {
    this.#isClosing = true
    this.#idleSince = performance.now()
    this.#gatherer.drop()
    answerBare(this.socket, reason, this.deps.conf.hostId, detail)
  }

  #leave(bytes: Buffer): void {
    const { socket } = this
    socket.off('data', this.#onData)
    socket.off('drain', this.#onDrain)
    socket.off('end', this.#onEnd)
    socket.off('close', this.#onClose)
    socket.off('error', onError)
    this.#host.leave(this, socket, bytes)
  }
}

/** 'close' follows and does the rest. */
const onError = (): void => {}
