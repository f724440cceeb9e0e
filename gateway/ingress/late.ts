/**
 * Requests that may be answered later (`Prefer: respond-async`, RFC 7240 4.1) to containers that no path leads to: they
 * travel as messages, and `/v1/messages/{id}` has the answer when it came back.
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { MAX_BODY_BYTES } from '../gossip/http-message.ts'
import type { Messages } from '../gossip/messages.ts'
import type { OwnRequest, StoredAnswer } from '../gossip/own-requests.ts'
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
const PATH_RE = /^(?:https?:\/\/([^/?#@]+))?\/v1\/messages\/([0-9a-f]{32})$/i
const TOO_LONG = `a message has ${MAX_BODY_BYTES} bytes at most`
/** What is stored is shown as it is, and acts on nothing else of its origin. */
const SANDBOX = ['Content-Security-Policy', 'sandbox', 'X-Content-Type-Options', 'nosniff']
/** Statuses that have no body and no length (RFC 9110 8.6). */
const BARE = new Set([204, 304])
/** An answer that is stored is data: it acts on no session and on no other page of its origin. */
const NOT_STORED = new Set([
  'set-cookie',
  'clear-site-data',
  'strict-transport-security',
  'alt-svc',
  'service-worker-allowed',
  'content-security-policy',
  'nel',
  'report-to',
  'content-length',
  'trailer',
])

const prefersLater = (req: IncomingMessage): boolean =>
  valuesOf(req.rawHeaders, 'prefer')
    .flatMap(splitList)
    .some((preference) => /^respond-async\s*(?:;|$)/i.test(preference))

export class LateRequests {
  readonly #deps: IngressDeps

  constructor(deps: IngressDeps) {
    this.#deps = deps
  }

  /** @returns whether the request goes as a message; then this answers it */
  accept(req: IncomingMessage, res: ServerResponse, target: Target, expectsContinue: boolean): boolean {
    const { conf, messages, paths } = this.#deps
    const { hostId } = target.assignment
    if (messages === undefined || hostId === conf.hostId || !prefersLater(req)) return false
    const decision = paths.decision(hostId)
    if (decision?.via.kind !== 'none' || decision.state === 'QUARANTINED') return false
    const isLong = Number(valuesOf(req.rawHeaders, 'content-length')[0] ?? 0) > MAX_BODY_BYTES
    if (isLong) this.#refuse(req, res, 413, TOO_LONG)
    else {
      if (expectsContinue) res.writeContinue()
      this.#collect(req, res, (body) => this.#submit(messages, { req, res, target, body }))
    }
    return true
  }

  /** @returns whether it was asked for a message's answer, and has given it */
  answer(req: IncomingMessage, res: ServerResponse): boolean {
    const [, host = req.headers.host ?? '', id = ''] = PATH_RE.exec(req.url ?? '') ?? []
    const request = id === '' ? undefined : this.#deps.messages?.request(id.toLowerCase())
    if (request === undefined || request.host !== host.toLowerCase()) return false
    if (req.method !== 'GET' && req.method !== 'HEAD')
      this.#refuse(req, res, 405, 'GET and HEAD show the answer', { allow: 'GET, HEAD' })
    else if (request.answer === undefined) this.#sendState(req, res, request)
    else if ('problem' in request.answer) this.#refuse(req, res, 502, request.answer.problem)
    else this.#sendStored(req, res, request.answer)
    return true
  }

  #sendStored(
    req: IncomingMessage,
    res: ServerResponse,
    { body, headers: rawHeaders, status }: Extract<StoredAnswer, { status: number }>,
  ): void {
    const kept = responseHeaders({ rawHeaders, hostId: this.#deps.conf.hostId, trailersFit: false })
    const lines = kept.filter((_, i, all) => !NOT_STORED.has(all[i - (i % 2)]!.toLowerCase()))
    const bytes = BARE.has(status) ? undefined : Buffer.from(body, 'base64')
    const length = bytes === undefined ? [] : ['Content-Length', String(bytes.length)]
    res.writeHead(status, [...lines, ...length, ...SANDBOX, 'X-Flatnet-Message', 'answered'])
    res.end(bytes)
    lingerFor(req)
  }

  /** @param done called once, with the whole body; not when the client goes, stalls, or sends more than fits */
  #collect(req: IncomingMessage, res: ServerResponse, done: (body: Buffer) => void): void {
    const chunks: Buffer[] = []
    let size = 0
    const giveUp = (status: number, text: string): void => {
      end()
      this.#refuse(req, res, status, text)
    }
    const timer = setTimeout(
      () => giveUp(408, 'the request did not come whole'),
      this.#deps.conf.ingress.responseHeaderTimeoutMs,
    )
    const onData = (chunk: Buffer): void => {
      timer.refresh()
      size += chunk.length
      chunks.push(chunk)
      if (size > MAX_BODY_BYTES) giveUp(413, TOO_LONG)
    }
    const onEnd = (): void => {
      end()
      done(Buffer.concat(chunks))
    }
    const end = (): void => {
      clearTimeout(timer)
      req.off('data', onData)
      req.off('end', onEnd)
    }
    req.on('data', onData)
    req.on('end', onEnd)
    res.on('close', end)
  }

  #submit(
    messages: LateMessages,
    { body, req, res, target }: { body: Buffer; req: IncomingMessage; res: ServerResponse; target: Target },
  ): void {
    if (res.destroyed) return
    const { assignment, ip, path, port } = target
    const submitted = messages.submit({
      to: assignment.hostId,
      // The path may say what only the client should know.
      target: assignment.name ?? ip,
      host: target.host.toLowerCase(),
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
    this.#deps.log.info({ peer: assignment.hostId }, 'request goes as a message')
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
    const more = { ...headers, 'retry-after': RETRY_AFTER_S, 'x-flatnet-message': 'waiting' }
    sendEither(req, res, 202, { state, text }, more)
  }

  #refuse(
    req: IncomingMessage,
    res: ServerResponse,
    status: number,
    text: string,
    headers: Readonly<Record<string, string>> = {},
  ): void {
    const page = { state: { code: 'message', message: text }, text: `${text}\n` }
    sendEither(req, res, status, page, { ...headers, 'x-flatnet-message': 'failed' })
  }
}

/** JSON for programs that ask for it, else words. */
function sendEither(
  req: IncomingMessage,
  res: ServerResponse,
  status: number,
  { state, text }: { readonly state: object; readonly text: string },
  headers: Readonly<Record<string, string>>,
): void {
  const isJson = formOf(req.headers.accept, 'text') === 'json'
  if (isJson) sendPage(req, res, status, 'json', `${JSON.stringify(state)}\n`, headers)
  else sendPage(req, res, status, 'text', text, headers)
}
