/**
 * Requests that may be answered later (`Prefer: respond-async`, RFC 7240 4.1) to containers that no path leads to: they
 * travel as messages, and `/v1/messages/{id}` has the answer when it came back.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { MAX_BODY_BYTES } from '../gossip/envelope.ts'
import type { Messages } from '../gossip/messages.ts'
import type { OwnRequest } from '../gossip/own-requests.ts'
import type { IngressDeps } from './deps.ts'
import { requestHeaders, responseHeaders } from './headers.ts'
import { formOf } from './pages/accept.ts'
import { lingerFor, sendPage } from './pages/reply.ts'
import { splitList, valuesOf } from './raw-headers.ts'
import type { Target } from './route.ts'
import { isSecure, isTrusted } from './trust.ts'

/** What the ingress needs of the messages between hosts. */
export type LateMessages = Pick<Messages, 'submit' | 'request' | 'waiting'>

/** For the client that asks again. */
const RETRY_AFTER_S = '5'
const PATH_RE = /^\/v1\/messages\/([0-9a-f]{32})$/
/** An answer that is stored is data: it acts on no session and on no other page of its origin. */
const NOT_STORED = new Set([
  'set-cookie',
  'clear-site-data',
  'strict-transport-security',
  'alt-svc',
  'service-worker-allowed',
  'content-length',
  'trailer',
])

const prefersLater = (req: IncomingMessage): boolean =>
  valuesOf(req.rawHeaders, 'prefer')
    .flatMap(splitList)
    .some((preference) => /^respond-async\s*(?:;|$)/i.test(preference))

const hostOf = (req: IncomingMessage): string => (req.headers.host ?? '').toLowerCase()

export class LateRequests {
  readonly #deps: IngressDeps

  constructor(deps: IngressDeps) {
    this.#deps = deps
  }

  /** @returns whether it has taken the request, and answers it */
  take(req: IncomingMessage, res: ServerResponse, target: Target, expectsContinue: boolean): boolean {
    const { conf, messages, paths } = this.#deps
    const { hostId } = target.assignment
    if (messages === undefined || hostId === conf.hostId || !prefersLater(req)) return false
    const decision = paths.decision(hostId)
    if (decision?.via.kind !== 'none' || decision.state === 'QUARANTINED') return false
    if (expectsContinue) res.writeContinue()
    this.#collect(req, (body) => {
      if (body === undefined) this.#refuse(req, res, 413, `a message has ${MAX_BODY_BYTES} bytes at most`)
      else this.#submit(messages, { req, res, target, body })
    })
    return true
  }

  /** @returns whether it was asked for a message's answer, and has given it */
  answer(req: IncomingMessage, res: ServerResponse): boolean {
    const [, id = ''] = PATH_RE.exec(req.url ?? '') ?? []
    const request = id === '' ? undefined : this.#deps.messages?.request(id)
    if (request === undefined || request.host !== hostOf(req)) return false
    if (req.method !== 'GET' && req.method !== 'HEAD')
      this.#refuse(req, res, 405, 'GET and HEAD show the answer')
    else if (request.answer === undefined) this.#sendState(req, res, request)
    else if ('problem' in request.answer) this.#refuse(req, res, 502, request.answer.problem)
    else {
      const { status, headers: rawHeaders, body } = request.answer
      const kept = responseHeaders({ rawHeaders, hostId: this.#deps.conf.hostId, trailersFit: false })
      const bytes = Buffer.from(body, 'base64')
      const lines = kept.filter((_, i, all) => !NOT_STORED.has(all[i - (i % 2)]!.toLowerCase()))
      res.writeHead(status, [
        ...lines,
        'Content-Length',
        String(bytes.length),
        'X-Flatnet-Message',
        'answered',
      ])
      res.end(bytes)
      lingerFor(req)
    }
    return true
  }

  /** Calls once, with undefined when there is more than a message takes. A client that goes is not waited for. */
  #collect(req: IncomingMessage, done: (body: Buffer | undefined) => void): void {
    const chunks: Buffer[] = []
    let size = 0
    const onData = (chunk: Buffer): void => {
      size += chunk.length
      chunks.push(chunk)
      if (size <= MAX_BODY_BYTES) return
      req.off('data', onData)
      req.off('end', onEnd)
      done(undefined)
    }
    const onEnd = (): void => done(Buffer.concat(chunks))
    req.on('data', onData)
    req.on('end', onEnd)
  }

  #submit(
    messages: LateMessages,
    { body, req, res, target }: { body: Buffer; req: IncomingMessage; res: ServerResponse; target: Target },
  ): void {
    if (res.destroyed) return
    const { assignment, ip, path, port, prefix } = target
    const name = assignment.name ?? ip
    const submitted = messages.submit({
      to: assignment.hostId,
      target: `${name}${path.split('?')[0]}`,
      host: hostOf(req),
      request: {
        method: req.method ?? 'GET',
        path,
        headers: this.#headers(req, target, body),
        ip,
        port,
        body,
      },
    })
    if ('problem' in submitted) {
      this.#refuse(req, res, 503, submitted.problem)
      return
    }
    const location = `/v1/messages/${submitted.id}`
    const accepted = { id: submitted.id, state: 'waiting', hostId: assignment.hostId, location }
    const where = `The request waits for a way to host ${assignment.hostId}. Its answer will be at ${location}.\n`
    this.#sendLater(req, res, accepted, where, { location, 'preference-applied': 'respond-async' })
    this.#deps.log.info({ peer: assignment.hostId, prefix }, 'request goes as a message')
  }

  #headers(req: IncomingMessage, { host, ip, port, prefix }: Target, body: Buffer): string[] {
    const headers = requestHeaders({
      rawHeaders: req.rawHeaders,
      method: req.method ?? 'GET',
      host: host === '' ? undefined : host,
      clientAddress: req.socket.remoteAddress ?? 'unknown',
      isTrusted: isTrusted(this.#deps.conf.ingress.trustedProxies, req.socket.remoteAddress ?? ''),
      isSecure: isSecure(req.socket),
      localPort: req.socket.localPort ?? 0,
      hostId: this.#deps.conf.hostId,
      prefix,
      endpoint: `${ip}:${port}`,
    })
    const framing = new Set(['content-length', 'transfer-encoding', 'trailer', 'te', 'expect', 'prefer'])
    const kept = headers.filter((_, i, all) => !framing.has(all[i - (i % 2)]!.toLowerCase()))
    return body.length === 0 && req.method === 'GET' ? kept : [...kept, 'Content-Length', String(body.length)]
  }

  #sendState(
    req: IncomingMessage,
    res: ServerResponse,
    { at, expires, id, method, target, to }: OwnRequest,
  ): void {
    const [since, until] = [at, expires].map((ms) => new Date(ms).toISOString())
    const state = { id, state: 'waiting', hostId: to, method, target, since, until }
    const text = `${method} ${target} waits for a way to host ${to} since ${since}, until ${until}.\n`
    this.#sendLater(req, res, state, text)
  }

  #sendLater(
    req: IncomingMessage,
    res: ServerResponse,
    state: object,
    text: string,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    const form = formOf(req.headers.accept, 'text') === 'json' ? 'json' : 'text'
    sendPage(req, res, 202, form, form === 'json' ? `${JSON.stringify(state)}\n` : text, {
      ...headers,
      'retry-after': RETRY_AFTER_S,
      'x-flatnet-message': 'waiting',
    })
  }

  #refuse(req: IncomingMessage, res: ServerResponse, status: number, text: string): void {
    const form = formOf(req.headers.accept, 'text') === 'json' ? 'json' : 'text'
    const code = 'message'
    const page = form === 'json' ? `${JSON.stringify({ code, message: text })}\n` : `${text}\n`
    sendPage(req, res, status, form, page, { 'x-flatnet-message': 'failed' })
  }
}
