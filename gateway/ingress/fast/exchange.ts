/** One request on the fast path and its answer: the rules of `Exchange`, on bytes. */

import type { Assignment } from '../../../core/api.ts'
import type { Millis } from '../../../core/clock.ts'
import { failed, logFailure, reasonOfLoss } from '../failure.ts'
import { headerLines, requestHeaders } from '../headers.ts'
import type { Reason } from '../pages/problem.ts'
import { problemMessage } from '../pages/reply.ts'
import { afterFailure, isEarlyClose, isRepeatable, mayReuse, RETRIES_HELP } from '../retry.ts'
import { rewriteOf } from '../rewrite.ts'
import type { Target } from '../route.ts'
import { isTrusted } from '../trust.ts'
import type { ConnectionUser, UpstreamConnection } from '../upstream/connection.ts'
import { DialError } from '../upstream/dial.ts'
import { type AnswerClient, AnswerWriter } from './answer.ts'
import { AnswerReader } from './answer-reader.ts'
import { rawHeadersOf } from './fields.ts'
import type { RequestHead } from './request-head.ts'
import type { ResponseHead } from './response-head.ts'

/** The keys under which the pool keeps connections to a target. */
export interface Place {
  readonly assignment: Assignment
  readonly key: string
  /** `10.100.1.10:80` */
  readonly endpoint: string
}

/** The client's side of an exchange. */
export interface ExchangeClient extends AnswerClient {
  readonly clientAddress: string
  readonly localPort: number
  readonly isSecure: boolean
  placeOf(target: Target): Place
  /** Host, X-Forwarded-For and the like, for a request that has none of them but Host. */
  forwardedLines(target: Pick<Target, 'host' | 'prefix'>): string
  /** A whole answer was written. */
  answered(status: number): void
}

/** Bytes of a body that is joined to its head: up to about here one string is cheaper than two writes. */
const MAX_JOINED = 4096
/** Bytes that fit into the receive window of any connection: the kernel acknowledges them at once. */
const MAX_SMALL = 16_384

export class FastExchange implements ConnectionUser {
  readonly #client: ExchangeClient
  readonly #head: RequestHead
  readonly #target: Target
  readonly #place: Place
  readonly #message: string | Buffer
  readonly #isRepeatable: boolean
  readonly startedAt: Millis = performance.now()
  /** Since when the container has the whole request; 0: it has not. */
  #sentAt: Millis = 0
  readonly #writer: AnswerWriter
  readonly #reader: AnswerReader
  #connection: UpstreamConnection | undefined
  #tries = 0
  /** The connection served before. */
  #isReused = false
  #hadBytes = false
  #isOver = false

  /** @param body the whole body */
  constructor(client: ExchangeClient, head: RequestHead, target: Target, body: Buffer | undefined) {
    this.#client = client
    this.#head = head
    this.#target = target
    this.#place = client.placeOf(target)
    this.#isRepeatable = isRepeatable({ method: head.method, hasBody: body !== undefined, isUpgrade: false })
    const text = this.#requestText()
    this.#message =
      body === undefined
        ? text
        : body.length <= MAX_JOINED
          ? text + body.toString('latin1')
          : Buffer.concat([Buffer.from(text, 'latin1'), body])
    const { maxHeaderBytes } = client.deps.conf.ingress
    const isHead = head.method === 'HEAD'
    const rewrite =
      target.prefix === '' ? undefined : rewriteOf(target, rawHeadersOf(head), this.#isFromProxy)
    this.#writer = new AnswerWriter(client, rewrite, isHead)
    this.#reader = new AnswerReader(this.#writer, isHead, maxHeaderBytes * 2)
  }

  get #isFromProxy(): boolean {
    const { deps, clientAddress } = this.#client
    return isTrusted(deps.conf.ingress.trustedProxies, clientAddress)
  }

  get #isSmall(): boolean {
    return this.#message.length <= MAX_SMALL
  }

  start(): void {
    const { pool } = this.#client.deps
    const { key, endpoint } = this.#place
    const isRepeatable = this.#isRepeatable
    const next = { tries: this.#tries++, isRepeatable, isProbed: true }
    const connection =
      this.#isSmall && mayReuse(next) ? pool.idleConnection(key, endpoint, isRepeatable) : undefined
    this.#isReused = connection !== undefined
    if (connection === undefined) void this.#dial()
    else this.#send(connection)
  }

  /** Called on each sweep of the server. */
  checkTime(now: Millis, responseHeaderTimeoutMs: Millis): void {
    if (this.#sentAt > 0 && this.#answer === undefined && now - this.#sentAt >= responseHeaderTimeoutMs)
      this.#fail('response-timeout')
  }

  /** The client has gone: cancels the request to the container. */
  abandon(): void {
    this.#isOver = true
    this.#connection?.destroy()
  }

  /** The client has read what was written. */
  resume(): void {
    this.#connection?.resume()
  }

  get #facts() {
    return { deps: this.#client.deps, target: this.#target, startedAt: this.startedAt }
  }

  get #answer(): ResponseHead | undefined {
    return this.#writer.answer
  }

  #requestText(): string {
    const { method, passed, length } = this.#head
    const { path } = this.#target
    if (passed === undefined) return `${method} ${path} HTTP/1.1\r\n${this.#allLines()}\r\n`
    const lines = this.#client.forwardedLines(this.#target)
    const framing =
      length !== undefined || method === 'POST' || method === 'PUT' || method === 'PATCH'
        ? `Content-Length: ${length ?? 0}\r\n`
        : ''
    return `${method} ${path} HTTP/1.1\r\n${lines}${passed}${framing}\r\n`
  }

  /** For requests with lists to extend or names to drop. */
  #allLines(): string {
    const { deps, clientAddress, isSecure, localPort } = this.#client
    const { method } = this.#head
    const { host, prefix } = this.#target
    const { hostId } = deps.conf
    const from = { clientAddress, isSecure, localPort }
    const facts = { ...from, method, host, isTrusted: this.#isFromProxy, hostId, prefix, endpoint: '' }
    return headerLines(requestHeaders({ ...facts, rawHeaders: rawHeadersOf(this.#head) }))
  }

  async #dial(): Promise<void> {
    const { ip, port } = this.#target
    const kind = this.#isSmall ? 'reuse' : 'fresh'
    const to = { ip, port, isWanted: () => !this.#isOver }
    try {
      const connection = await this.#client.deps.pool.dialConnection(this.#place.key, kind, to)
      if (this.#isOver) connection.destroy()
      else this.#send(connection)
    } catch (err) {
      this.#fail(err instanceof DialError ? err.reason : 'internal', err)
    }
  }

  #send(connection: UpstreamConnection): void {
    this.#connection = connection
    this.#hadBytes = false
    this.#sentAt = performance.now()
    connection.send(this.#message, this, this.#isSmall)
  }

  bytes(bytes: Buffer): void {
    this.#hadBytes = true
    try {
      this.#handle(bytes)
    } catch (err) {
      this.#giveUp(err)
    }
  }

  lost(err: Error | undefined): void {
    try {
      this.#lose(err)
    } catch (bug) {
      this.#giveUp(bug)
    }
  }

  #handle(bytes: Buffer): void {
    let used: number
    try {
      used = this.#reader.read(bytes)
    } catch (err) {
      this.#failTry('bad-response', err)
      return
    }
    const { isDone } = this.#reader
    const mayGoOn = this.#writer.flush()
    if (!isDone && !mayGoOn) this.#connection?.pause()
    if (isDone)
      this.#finish(
        used === bytes.length && this.#answer?.keepsAlive === true && this.#connection?.isSent === true,
      )
  }

  #lose(err: Error | undefined): void {
    if (err === undefined && this.#reader.finish()) {
      this.#writer.flush()
      this.#finish(false)
      return
    }
    if (isEarlyClose({ isReused: this.#isReused, hadBytes: this.#hadBytes }))
      this.#client.deps.pool.lostConnection(this.#place.key, this.#connection!)
    this.#failTry(reasonOfLoss(err), err ?? new Error('connection ended'))
  }

  #failTry(reason: Reason, err: unknown): void {
    const { conf } = this.#client.deps
    const outcome = afterFailure({
      isRepeatable: this.#isRepeatable,
      tries: this.#tries,
      hadBytes: this.#hadBytes,
      isAnswered: this.#writer.hasWritten,
      elapsedMs: performance.now() - this.#sentAt,
      limitMs: conf.ingress.responseHeaderTimeoutMs,
    })
    if (outcome === 'again') this.#again()
    else if (outcome === 'fail') this.#fail(reason, err)
    else this.#breakOff(err)
  }

  #again(): void {
    const { registry, metrics } = this.#client.deps
    if (!registry.holds(this.#target.assignment, this.#target.ip)) {
      this.#fail('gone')
      return
    }
    metrics.count('flatnet_ingress_retries_total', RETRIES_HELP, { phase: 'sent' })
    this.#sentAt = 0
    this.start()
  }

  #finish(mayServeAgain: boolean): void {
    const connection = this.#connection!
    this.#isOver = true
    if (mayServeAgain)
      this.#client.deps.pool.keepConnection(this.#place.key, connection, this.#answer!.keepAliveS)
    else connection.destroy()
    if (this.#answer!.isEvents) this.#client.deps.endless.delete(this.#client)
    this.#client.answered(this.#answer!.status)
  }

  /** The client sees a broken connection, never a short answer that looks whole. */
  #breakOff(err: unknown): void {
    this.#isOver = true
    logFailure(this.#facts, 'container broke off its answer', err)
    this.#connection?.destroy()
    this.#client.deps.endless.delete(this.#client)
    this.#client.destroy()
  }

  /** A bug costs one connection, not the gateway. */
  #giveUp(err: unknown): void {
    this.abandon()
    this.#client.deps.log.error({ err }, 'request could not be handled')
    this.#client.destroy()
  }

  #fail(reason: Reason, err?: unknown): void {
    if (this.#isOver) return
    try {
      this.#sendFailure(reason, err)
    } catch (bug) {
      this.#giveUp(bug)
    }
  }

  #sendFailure(reason: Reason, err: unknown): void {
    this.#isOver = true
    this.#connection?.destroy()
    const { socket, isLast, deps } = this.#client
    deps.endless.delete(this.#client)
    const page = { accept: this.#head.accept, isHead: this.#head.method === 'HEAD', close: isLast }
    const { status, message } = problemMessage(page, failed(this.#facts, reason, err))
    socket.write(message)
    this.#client.answered(status)
  }
}
