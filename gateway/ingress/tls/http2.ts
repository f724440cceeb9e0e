/** HTTP/2 to browsers (RFC 9113): sessions, their bounds, and the end of idle ones. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Http2Server, type ServerHttp2Session } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../../core/clock.ts'
import type { ConnectionLimit } from '../connection-limit.ts'
import type { IngressDeps } from '../deps.ts'
import { Http2Request, Http2Response } from './http2-messages.ts'

/** What browsers are content with, and RFC 9113 6.5.2 recommends at least. */
const MAX_STREAMS = 100
/**
 * Rapid reset (CVE-2023-44487): a page that is left resets all of its streams at once; no browser does it all the time.
 */
const RESET_BURST = 300
const RESETS_PER_S = 30
const MAX_INVALID_FRAMES = 100
const MAX_REJECTED_STREAMS = 100
const SWEEP_MS: Millis = 1000

export interface Http2Handlers {
  request(req: IncomingMessage, res: ServerResponse): void
  checkContinue(req: IncomingMessage, res: ServerResponse): void
}

interface Session {
  readonly session: ServerHttp2Session
  streams: number
  /** Monotonic; of the last stream's end. */
  idleSince: Millis
  hasServed: boolean
  isClosing: boolean
}

export class Http2Sessions {
  readonly #deps: IngressDeps
  readonly #open = new Set<Session>()
  readonly #server: Http2Server
  #stopSweeping: (() => void) | undefined

  constructor(deps: IngressDeps, handlers: Http2Handlers) {
    this.#deps = deps
    this.#server = createServer({
      Http2ServerRequest: Http2Request,
      Http2ServerResponse: Http2Response,
      settings: { maxConcurrentStreams: MAX_STREAMS, maxHeaderListSize: deps.conf.ingress.maxHeaderBytes },
      maxSessionInvalidFrames: MAX_INVALID_FRAMES,
      maxSessionRejectedStreams: MAX_REJECTED_STREAMS,
      streamResetBurst: RESET_BURST,
      streamResetRate: RESETS_PER_S,
      // Answers of containers are passed on as they are.
      strictSingleValueFields: false,
    })
    const of = (req: unknown, res: unknown) => [req as IncomingMessage, res as ServerResponse] as const
    this.#server.on('request', (req, res) => handlers.request(...of(req, res)))
    this.#server.on('checkContinue', (req, res) => handlers.checkContinue(...of(req, res)))
  }

  start(): void {
    this.#stopSweeping = this.#deps.scheduler.every(SWEEP_MS, () => this.#sweep())
  }

  /** Takes a connection whose handshake chose h2. */
  enter(socket: TLSSocket, limit: Pick<ConnectionLimit, 'busy' | 'wait'>): void {
    limit.wait(socket)
    const follow = (session: ServerHttp2Session): void => this.#follow(session, socket, limit)
    // Comes in the same turn.
    this.#server.once('session', follow)
    this.#server.emit('connection', socket)
    this.#server.off('session', follow)
  }

  /** GOAWAY: streams under way end, no more begin. */
  close(): void {
    this.#stopSweeping?.()
    for (const one of this.#open) one.session.close()
  }

  #follow(
    session: ServerHttp2Session,
    socket: TLSSocket,
    limit: Pick<ConnectionLimit, 'busy' | 'wait'>,
  ): void {
    const one: Session = {
      session,
      streams: 0,
      idleSince: performance.now(),
      hasServed: false,
      isClosing: false,
    }
    this.#open.add(one)
    session.on('close', () => this.#open.delete(one))
    // What the peer does wrong ends its session and nothing else.
    session.on('error', () => {})
    session.on('stream', (stream) => {
      one.streams++
      one.hasServed = true
      limit.busy(socket)
      stream.on('close', () => {
        one.streams--
        one.idleSince = performance.now()
        if (one.streams === 0) limit.wait(socket)
      })
    })
  }

  #sweep(): void {
    const { headersTimeoutMs, keepAliveMs } = this.#deps.conf.ingress
    const now = performance.now()
    for (const one of this.#open) {
      if (one.streams > 0 || now - one.idleSince < (one.hasServed ? keepAliveMs : headersTimeoutMs)) continue
      // A client that does not read the GOAWAY is not waited for.
      if (one.isClosing) one.session.destroy()
      else one.session.close()
      one.isClosing = true
    }
  }
}
