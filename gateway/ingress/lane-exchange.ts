/** One request of the short way and its answer: the same rules as in `Exchange`, on bytes instead of streams. */

import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { attachmentKey } from '../../core/attachment.ts'
import type { Millis } from '../../core/clock.ts'
import { AnswerReader, type AnswerSink } from './answer-reader.ts'
import { DialError } from './dial.ts'
import { REPEATABLE, RETRIES_HELP } from './exchange.ts'
import { failed, logFailure, reasonOfLoss } from './failure.ts'
import { headerLines, requestHeaders, responseHeaders, trailers, valuesOf } from './headers.ts'
import type { RequestHead, ResponseHead } from './heads.ts'
import type { IngressParts } from './parts.ts'
import type { Reason } from './problem.ts'
import { problemMessage } from './reply.ts'
import { rewriteHeader } from './rewrite.ts'
import type { Target } from './route.ts'
import type { Wire, WireUser } from './wire.ts'

/** The client's side of it. */
export interface ExchangeClient {
  readonly parts: IngressParts
  readonly socket: Socket
  readonly clientAddress: string
  readonly localPort: number
  /** The connection ends after this answer. */
  readonly isLast: boolean
  /** The answer is out, for what it was worth. @param status undefined: it broke off */
  answered(status: number | undefined): void
  destroy(): void
}

/** Two strings joined and written as one cost less than two parts up to about here; above, the copy does. */
const MAX_JOINED = 16_384

export class LaneExchange implements AnswerSink, WireUser {
  readonly #client: ExchangeClient
  readonly #head: RequestHead
  readonly #target: Target
  readonly #key: string
  readonly #message: string | Buffer
  readonly #isRepeatable: boolean
  readonly startedAt: Millis = performance.now()
  /** Since when the container has the whole request; 0: it has not. */
  #sentAt: Millis = 0
  #reader: AnswerReader
  #wire: Wire | undefined
  #tries = 0
  #hadBytes = false
  #isOver = false
  #answer: ResponseHead | undefined
  /** What is written together when the bytes at hand are read. */
  #out: (Buffer | string)[] = []

  /** @param body all of it */
  constructor(client: ExchangeClient, head: RequestHead, target: Target, body: Buffer | undefined) {
    this.#client = client
    this.#head = head
    this.#target = target
    this.#key = attachmentKey(target.assignment)
    this.#isRepeatable = body === undefined && REPEATABLE.has(head.method)
    const text = this.#requestText()
    this.#message =
      body === undefined
        ? text
        : body.length <= MAX_JOINED
          ? text + body.toString('latin1')
          : Buffer.concat([Buffer.from(text, 'latin1'), body])
    this.#reader = this.#newReader()
  }

  start(): void {
    const { pool } = this.#client.parts
    this.#tries++
    const wire =
      this.#isRepeatable && this.#tries === 1 ? pool.idleWire(this.#key, this.#endpoint) : undefined
    if (wire === undefined) void this.#dial()
    else this.#send(wire)
  }

  /** Called every now and then. */
  checkTime(now: Millis, responseHeaderTimeoutMs: Millis): void {
    if (this.#sentAt > 0 && this.#answer === undefined && now - this.#sentAt >= responseHeaderTimeoutMs)
      this.#fail('response-timeout')
  }

  /** The client has gone, and the request to the container goes with it. */
  abandon(): void {
    this.#isOver = true
    this.#wire?.destroy()
  }

  /** The client has taken what it was given. */
  resume(): void {
    this.#wire?.socket.resume()
  }

  get #endpoint(): string {
    return `${this.#target.ip}:${this.#target.port}`
  }

  get #facts() {
    return { parts: this.#client.parts, target: this.#target, startedAt: this.startedAt }
  }

  #newReader(): AnswerReader {
    const { maxHeaderBytes } = this.#client.parts.conf.ingress
    return new AnswerReader(this, this.#head.method === 'HEAD', maxHeaderBytes * 2)
  }

  #requestText(): string {
    const { parts, clientAddress, localPort } = this.#client
    const { method, rawHeaders } = this.#head
    const { host, path, prefix } = this.#target
    const { hostId } = parts.conf
    const facts = { rawHeaders, method, host, clientAddress, localPort, hostId, prefix, endpoint: '' }
    // What is sent once is sent on a connection of its own.
    const connection = this.#isRepeatable ? '' : 'Connection: close\r\n'
    return `${method} ${path} HTTP/1.1\r\n${headerLines(requestHeaders(facts))}${connection}\r\n`
  }

  async #dial(): Promise<void> {
    const { ip, port } = this.#target
    const kind = this.#isRepeatable ? 'reuse' : 'fresh'
    const to = { ip, port, isWanted: () => !this.#isOver }
    try {
      const wire = await this.#client.parts.pool.dialWire(this.#key, kind, to)
      if (this.#isOver) wire.destroy()
      else this.#send(wire)
    } catch (err) {
      this.#fail(err instanceof DialError ? err.reason : 'internal', err)
    }
  }

  #send(wire: Wire): void {
    this.#wire = wire
    this.#hadBytes = false
    this.#sentAt = performance.now()
    wire.send(this.#message, this)
  }

  bytes(bytes: Buffer): void {
    this.#hadBytes = true
    let used: number
    try {
      used = this.#reader.read(bytes)
    } catch (err) {
      this.#broken('bad-response', err)
      return
    }
    const isDone = this.#reader.isDone
    const mayGoOn = this.#flush()
    if (isDone) this.#finish(used === bytes.length && this.#answer?.keepsAlive === true && this.#isRepeatable)
    else if (!mayGoOn) this.#wire?.socket.pause()
  }

  lost(err: Error | undefined): void {
    if (err === undefined && this.#reader.finish()) {
      this.#flush()
      this.#finish(false)
      return
    }
    if (this.#isRepeatable && this.#tries === 1 && !this.#hadBytes) this.#again()
    else this.#broken(reasonOfLoss(err), err ?? new Error('connection ended'))
  }

  #again(): void {
    const { registry, metrics } = this.#client.parts
    if (!registry.holds(this.#target.assignment, this.#target.ip)) {
      this.#fail('gone')
      return
    }
    metrics.count('flatnet_ingress_retries_total', RETRIES_HELP, { phase: 'sent' })
    this.#sentAt = 0
    this.start()
  }

  early({ status, rawHeaders }: ResponseHead): void {
    if (status === 102) this.#out.push('HTTP/1.1 102 Processing\r\n\r\n')
    const link = status === 103 ? valuesOf(rawHeaders, 'link') : []
    if (link.length > 0) this.#out.push(`HTTP/1.1 103 Early Hints\r\nLink: ${link.join(', ')}\r\n\r\n`)
  }

  head(answer: ResponseHead): void {
    const { parts, isLast } = this.#client
    this.#answer = answer
    const { status, rawHeaders, framing } = answer
    const { prefix, host } = this.#target
    const hasBody = this.#head.method !== 'HEAD' && status !== 204 && status !== 304
    const endpoint = this.#endpoint
    const headers = responseHeaders({
      rawHeaders,
      hostId: parts.conf.hostId,
      trailersFit: hasBody && framing === 'chunked',
      rewrite:
        prefix === '' ? undefined : (name, value) => rewriteHeader({ prefix, host, endpoint }, name, value),
    })
    if (hasBody && framing !== 'length') headers.push('Transfer-Encoding', 'chunked')
    if (!answer.hasDate) headers.push('Date', new Date().toUTCString())
    if (isLast) headers.push('Connection', 'close')
    // A reason phrase may hold bytes that mean nothing to anybody.
    const message = /^[\t\x20-\x7e]*$/.test(answer.message) ? answer.message : (STATUS_CODES[status] ?? '')
    this.#out.push(`HTTP/1.1 ${status} ${message}\r\n${headerLines(headers)}\r\n`)
    if (answer.isEvents) parts.endless.add(this.#client)
  }

  body(part: Buffer | string): void {
    this.#out.push(part)
  }

  trailers(raw: string[]): string {
    return headerLines(trailers(raw).flat())
  }

  /** @returns false: the client has more than it takes at the moment */
  #flush(): boolean {
    const { socket } = this.#client
    const out = this.#out
    if (out.length === 0) return true
    this.#out = []
    const [first, second] = out
    if (out.length === 1) return write(socket, first!)
    if (out.length === 2 && typeof first === 'string' && second!.length < MAX_JOINED)
      return socket.write(
        first + (typeof second === 'string' ? second : second!.toString('latin1')),
        'latin1',
      )
    socket.cork()
    for (const part of out) write(socket, part)
    socket.uncork()
    return !socket.writableNeedDrain
  }

  #finish(mayServeAgain: boolean): void {
    const wire = this.#wire!
    this.#isOver = true
    if (mayServeAgain) this.#client.parts.pool.keepWire(this.#key, wire)
    else wire.destroy()
    if (this.#answer!.isEvents) this.#client.parts.endless.delete(this.#client)
    this.#client.answered(this.#answer!.status)
  }

  /** When the client has a part of the answer, it gets a broken connection and no end that looks like one. */
  #broken(reason: Reason, err: unknown): void {
    if (this.#answer === undefined) {
      this.#fail(reason, err)
      return
    }
    this.#isOver = true
    logFailure(this.#facts, 'container broke off its answer', err)
    this.#wire?.destroy()
    this.#client.parts.endless.delete(this.#client)
    this.#client.destroy()
  }

  #fail(reason: Reason, err?: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#wire?.destroy()
    const { socket, isLast } = this.#client
    const page = { accept: this.#head.accept, isHead: this.#head.method === 'HEAD', close: isLast }
    const { status, message } = problemMessage(page, failed(this.#facts, reason, err))
    socket.write(message)
    this.#client.answered(status)
  }
}

const write = (socket: Socket, part: Buffer | string): boolean =>
  typeof part === 'string' ? socket.write(part, 'latin1') : socket.write(part)
