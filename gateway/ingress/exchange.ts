/** One request to a container and its answer, streamed both ways; sent again as retry.ts allows. */

import { type ClientRequest, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Millis } from '../../core/clock.ts'
import type { IngressDeps } from './deps.ts'
import { type FailedRequest, failed, logFailure, reasonOfLoss } from './failure.ts'
import { filterAnswer } from './fast/answer-filter.ts'
import { ChunkError } from './fast/chunks.ts'
import { AnswerError } from './fast/response-head.ts'
import { hasBody, requestHeaders } from './headers.ts'
import type { Reason } from './pages/problem.ts'
import { sendProblem } from './pages/reply.ts'
import { passEarly, passResponse } from './response.ts'
import { afterFailure, isRepeatable, mayReuse, RETRIES_HELP } from './retry.ts'
import { type Rewrite, rewriteOf } from './rewrite.ts'
import type { Target } from './route.ts'
import { trailers } from './trailers.ts'
import { isSecure, isTrusted } from './trust.ts'
import { DialError } from './upstream/dial.ts'
import { readPastLostWrites } from './upstream/lost-writes.ts'
import type { ConnectionKind, DialOptions } from './upstream/pool.ts'

export interface ExchangeOptions {
  /** The client waits for 100 before it sends the body. */
  readonly expectsContinue: boolean
  /** For upgrades only: the value of the Upgrade field, and what joins both sides after a 101. */
  readonly upgrade?: {
    readonly value: string
    join(response: IncomingMessage, container: Socket, head: Buffer, rewrite: Rewrite | undefined): void
  }
}

/** A container that is silent for so long may not know 100-continue: the client gets its 100 (RFC 9110 10.1.1). */
const CONTINUE_MS = 1000

export class Exchange {
  readonly #deps: IngressDeps
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #target: Target
  readonly #options: ExchangeOptions
  readonly #isRepeatable: boolean
  readonly #isTrusted: boolean
  readonly #rewrite: Rewrite | undefined
  readonly #ip: string
  readonly #startedAt = performance.now()
  #upstream: ClientRequest | undefined
  #timer: NodeJS.Timeout | undefined
  #tries = 0
  #isAnswered = false

  constructor(
    deps: IngressDeps,
    req: IncomingMessage,
    res: ServerResponse,
    target: Target,
    options: ExchangeOptions,
  ) {
    this.#deps = deps
    this.#req = req
    this.#res = res
    this.#target = target
    this.#options = options
    this.#isRepeatable = isRepeatable({
      method: req.method ?? '',
      hasBody: hasBody(req.rawHeaders),
      isUpgrade: options.upgrade !== undefined,
    })
    this.#isTrusted = isTrusted(deps.conf.ingress.trustedProxies, req.socket.remoteAddress ?? '')
    this.#rewrite = rewriteOf(target, req.rawHeaders, this.#isTrusted)
    this.#ip = target.ip
  }

  start(): void {
    // When the client goes, the request to the container is cancelled.
    this.#res.on('close', () => {
      clearTimeout(this.#timer)
      if (!this.#res.writableFinished) this.#upstream?.destroy()
    })
    this.#attempt()
  }

  get #facts(): FailedRequest {
    return { deps: this.#deps, target: this.#target, startedAt: this.#startedAt }
  }

  get #endpoint(): string {
    return `${this.#ip}:${this.#target.port}`
  }

  #attempt(): void {
    const { pool, registry } = this.#deps
    const { assignment } = this.#target
    if (!registry.holds(assignment, this.#ip)) {
      this.#fail('gone')
      return
    }
    const kind = this.#connectionKind()
    this.#tries++
    const dialOptions: DialOptions = { isWanted: () => !this.#res.destroyed }
    try {
      const upstream = request({
        ...dialOptions,
        agent: pool.agent(assignment, kind),
        host: this.#ip,
        port: this.#target.port,
        method: this.#req.method ?? 'GET',
        path: this.#target.path,
        headers: this.#headers(),
        setHost: false,
        insecureHTTPParser: false,
        maxHeaderSize: this.#deps.conf.ingress.maxHeaderBytes * 2,
      })
      this.#upstream = upstream
      this.#follow(upstream)
    } catch (err) {
      // Node's client refuses bytes in paths and headers that Node's parser accepts.
      this.#fail('bad-request', err)
    }
  }

  #connectionKind(): ConnectionKind {
    if (this.#options.upgrade !== undefined) return 'upgrade'
    const next = { tries: this.#tries, isRepeatable: this.#isRepeatable, isProbed: false }
    return mayReuse(next) ? 'reuse' : 'fresh'
  }

  #headers(): string[] {
    const req = this.#req
    const headers = requestHeaders({
      rawHeaders: req.rawHeaders,
      method: req.method ?? 'GET',
      host: this.#target.host === '' ? undefined : this.#target.host,
      clientAddress: req.socket.remoteAddress ?? 'unknown',
      isTrusted: this.#isTrusted,
      isSecure: isSecure(req.socket),
      localPort: req.socket.localPort ?? 0,
      hostId: this.#deps.conf.hostId,
      prefix: this.#target.prefix,
      endpoint: this.#endpoint,
      upgrade: this.#options.upgrade?.value,
    })
    if (!this.#options.expectsContinue)
      return headers.filter((_, i, all) => all[i - (i % 2)]!.toLowerCase() !== 'expect')
    return headers
  }

  #follow(upstream: ClientRequest): void {
    let socket: Socket | undefined
    let bytesBefore = 0
    let sentAt = 0
    upstream.on('socket', (s) => {
      socket = s
      filterAnswer(s, {
        isHead: this.#req.method === 'HEAD',
        isUpgrade: this.#options.upgrade !== undefined,
        maxHeadBytes: this.#deps.conf.ingress.maxHeaderBytes * 2,
      })
      if (hasBody(this.#req.rawHeaders)) readPastLostWrites(s)
      bytesBefore = s.bytesRead
      sentAt = performance.now()
      this.#armTimer()
      this.#sendBody(upstream)
    })
    upstream.on('information', (info) => passEarly(this.#req, this.#res, info, this.#rewrite))
    upstream.on('response', (response) => this.#answer(response))
    upstream.on('upgrade', (response, container, head) => this.#switch(response, container, head))
    upstream.on('error', (err) => {
      if (this.#isAnswered || this.#res.destroyed || upstream !== this.#upstream) return
      const hadBytes = socket !== undefined && socket.bytesRead > bytesBefore
      this.#lost(err, hadBytes, socket === undefined ? 0 : performance.now() - sentAt)
    })
  }

  /** Before the answer began. */
  #lost(err: Error, hadBytes: boolean, elapsedMs: Millis): void {
    if (err instanceof DialError) {
      this.#fail(err.reason, err)
      return
    }
    const outcome = afterFailure({
      isRepeatable: this.#isRepeatable,
      tries: this.#tries,
      hadBytes,
      isAnswered: false,
      elapsedMs,
      limitMs: this.#deps.conf.ingress.responseHeaderTimeoutMs,
    })
    if (outcome === 'again') {
      this.#deps.metrics.count('flatnet_ingress_retries_total', RETRIES_HELP, { phase: 'sent' })
      this.#attempt()
    } else this.#fail(isBadAnswer(err) ? 'bad-response' : reasonOfLoss(err), err)
  }

  /** Without this listener, Node would drop an unrequested 101, and the request with it, in silence. */
  #switch(response: IncomingMessage, container: Socket, head: Buffer): void {
    const { upgrade } = this.#options
    if (upgrade === undefined) {
      container.destroy()
      this.#fail('bad-response')
      return
    }
    this.#isAnswered = true
    clearTimeout(this.#timer)
    this.#deps.pool.adopt(this.#target.assignment, container)
    upgrade.join(response, container, head, this.#rewrite)
  }

  /** From now on the container, or with a body the client, has to make progress. */
  #armTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      if (this.#isAnswered) return
      const isClient = !this.#req.complete && hasBody(this.#req.rawHeaders)
      this.#fail(isClient ? 'client-stalled' : 'response-timeout')
      this.#upstream?.destroy()
    }, this.#deps.conf.ingress.responseHeaderTimeoutMs)
  }

  #sendBody(upstream: ClientRequest): void {
    const req = this.#req
    if (!hasBody(req.rawHeaders)) {
      upstream.end()
      return
    }
    upstream.flushHeaders()
    if (this.#options.expectsContinue) this.#awaitContinue(upstream)
    else this.#pipeBody(upstream)
  }

  /** The client gets its 100 when the container sends one, or after CONTINUE_MS. */
  #awaitContinue(upstream: ClientRequest): void {
    const go = (): void => {
      clearTimeout(timer)
      upstream.off('continue', go)
      if (this.#isAnswered || this.#res.destroyed) return
      this.#res.writeContinue()
      this.#pipeBody(upstream)
    }
    const timer = setTimeout(go, CONTINUE_MS)
    upstream.on('continue', go)
    upstream.on('close', () => clearTimeout(timer))
  }

  #pipeBody(upstream: ClientRequest): void {
    const req = this.#req
    req.on('data', () => this.#timer?.refresh())
    req.on('end', () => {
      if (upstream.destroyed || upstream.writableEnded) return
      passRequestTrailers(req, upstream)
      upstream.end()
    })
    req.pipe(upstream, { end: false })
  }

  #answer(response: IncomingMessage): void {
    this.#isAnswered = true
    clearTimeout(this.#timer)
    passResponse({
      deps: this.#deps,
      req: this.#req,
      res: this.#res,
      response,
      rewrite: this.#rewrite,
      onBroken: (err) => logFailure(this.#facts, 'container broke off its answer', err),
      onUnusable: (err) => this.#fail('bad-response', err),
    })
  }

  #fail(reason: Reason, err?: unknown): void {
    if (this.#res.destroyed) return
    this.#isAnswered = true
    clearTimeout(this.#timer)
    sendProblem(this.#req, this.#res, failed(this.#facts, reason, err))
    this.#upstream?.destroy()
  }
}

const isBadAnswer = (err: Error): boolean =>
  err instanceof AnswerError ||
  err instanceof ChunkError ||
  ('code' in err && typeof err.code === 'string' && err.code.startsWith('HPE_'))

function passRequestTrailers(req: IncomingMessage, upstream: ClientRequest): void {
  if (req.rawTrailers.length > 0) upstream.addTrailers(trailers(req.rawTrailers))
}
