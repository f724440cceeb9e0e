/** Ingress: one HTTP server, its limits, and each request's way to a page or a container. */

import { type IncomingMessage, type ServerOptions, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ConnectionLimit } from './connection-limit.ts'
import type { IngressDeps } from './deps.ts'
import { Exchange, type ExchangeOptions } from './exchange.ts'
import { IngressServer, type ParserError } from './fast/server.ts'
import { schemeSaid } from './forwarded.ts'
import { codingProblem, hasLooped } from './headers.ts'
import { LateRequests } from './late.ts'
import { formOf } from './pages/accept.ts'
import { listOf, nearNames, renderList } from './pages/list.ts'
import type { Reason } from './pages/problem.ts'
import { answerBare, answerRefused } from './pages/refused.ts'
import { isBodyOpen, sendPage, sendProblem } from './pages/reply.ts'
import { valuesOf } from './raw-headers.ts'
import { httpsLocation } from './redirect.ts'
import { route } from './route.ts'
import { isSecure, isTrusted } from './trust.ts'
import { join, protocolsOf } from './upgrade.ts'

/** Requests under way on one connection. Browsers have one; this bounds pipelining. */
const MAX_PIPELINED = 32

export function createIngress(deps: IngressDeps, limit = new ConnectionLimit(deps)): IngressServer {
  const { ingress } = deps.conf
  const options: ServerOptions = {
    // Never the lenient parser, even if NODE_OPTIONS asks for it: it lets smuggled requests through.
    insecureHTTPParser: false,
    // The gateway refuses such requests itself, with a page.
    requireHostHeader: false,
    maxHeaderSize: ingress.maxHeaderBytes,
    headersTimeout: ingress.headersTimeoutMs,
    // Off: it counts the body as well, and uploads may take hours. The exchange ends those that stall.
    requestTimeout: 0,
    keepAliveTimeout: ingress.keepAliveMs,
    connectionsCheckingInterval: Math.min(1000, ingress.headersTimeoutMs),
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
    shouldUpgradeCallback: isUpgrade,
  }
  const server = new IngressServer(options, deps, limit)
  // A FIN ends the client's requests, not the client, see FastConnection.
  Object.assign(server, { httpAllowHalfOpen: true })
  server.on('connection', (socket) => {
    if (limit.admit(socket)) server.enter(socket)
  })
  const handler = new Handler(deps, server)
  server.on('request', (req, res) => handler.request(req, res, { expectsContinue: false }))
  server.on('checkContinue', (req, res) => handler.request(req, res, { expectsContinue: true }))
  server.on('upgrade', (req, socket, head) => handler.upgrade(req, socket, head))
  server.on('connect', (_req, socket) => answerBare(socket, 'tunnel', deps.conf.hostId))
  server.on('clientError', (err, socket) => handler.broken(err, socket as Socket))
  return server
}

/** RFC 9110 7.8: with any method and a body too (`kubectl exec` and `docker exec` POST), but not in HTTP/1.0. */
const isUpgrade = (req: IncomingMessage): boolean =>
  req.httpVersionMinor >= 1 && protocolsOf(req.rawHeaders).length > 0

class Handler {
  readonly #deps: IngressDeps
  readonly #server: Pick<IngressServer, 'limit' | 'redirectPort' | 'restoreMethod' | 'takeBack'>
  readonly #underWay = new WeakMap<Duplex, Set<ServerResponse>>()
  readonly #late: LateRequests
  /** The request that was read last, by connection. */
  readonly #last = new WeakMap<Duplex, IncomingMessage>()

  constructor(
    deps: IngressDeps,
    server: Pick<IngressServer, 'limit' | 'redirectPort' | 'restoreMethod' | 'takeBack'>,
  ) {
    this.#deps = deps
    this.#server = server
    this.#late = new LateRequests(deps)
  }

  request(req: IncomingMessage, res: ServerResponse, options: ExchangeOptions): void {
    this.#server.restoreMethod(req)
    this.#last.set(req.socket, req)
    this.#count(res)
    req.on('error', () => {})
    res.on('error', () => {})
    try {
      const refusal = this.#refusal(req, res)
      if (refusal === undefined) {
        if (!this.#redirectsToHttps(req, res)) this.#dispatch(req, res, options)
        return
      }
      // Another server may have read it in another way, with another end.
      if (refusal[0] === 'bad-request') res.shouldKeepAlive = false
      this.#problem(req, res, ...refusal)
    } catch (err) {
      this.#deps.log.error({ err }, 'request could not be handled')
      this.#giveUp(res)
    }
  }

  /** @returns whether it has answered; sets what answers by HTTPS carry */
  #redirectsToHttps(req: IncomingMessage, res: ServerResponse): boolean {
    const { tls, trustedProxies } = this.#deps.conf.ingress
    if (isSecure(req.socket)) {
      // A container's own value replaces it.
      if (tls !== undefined && tls.hsts > 0) res.setHeader('Strict-Transport-Security', `max-age=${tls.hsts}`)
      return false
    }
    const port = this.#server.redirectPort()
    if (port === undefined) return false
    const isProxy = isTrusted(trustedProxies, req.socket.remoteAddress ?? '')
    const scheme = isProxy ? schemeSaid(req.rawHeaders) : undefined
    const location = httpsLocation({ url: req.url ?? '', host: req.headers.host, port, scheme })
    if (location !== undefined) sendPage(req, res, 308, 'text', `${location}\n`, { location })
    return location !== undefined
  }

  /** Reads nothing of the request: what threw in `request` may throw again, and here it would end the gateway. */
  #giveUp(res: ServerResponse): void {
    if (res.headersSent) {
      res.destroy()
      return
    }
    try {
      res.writeHead(500, { connection: 'close', 'content-length': 0 }).end()
    } catch {
      res.destroy()
    }
  }

  /** The parser has refused a request. In the middle of an answer, a status line would be read as a part of it. */
  broken(err: ParserError, socket: Socket): void {
    const underWay = this.#underWay.get(socket) ?? new Set()
    if (this.#server.takeBack(err, socket, this.#last.get(socket), underWay)) return
    if ([...underWay].some((res) => res.headersSent)) socket.destroy()
    else answerRefused(socket, err, this.#deps.conf.hostId)
  }

  /**
   * Until the container sends 101, a response made here answers on the bare socket.
   * @param client gives bytes once the body of the request is read
   */
  upgrade(req: IncomingMessage, client: Duplex, clientHead: Buffer): void {
    this.#server.limit.busy(req.socket)
    client.on('error', () => client.destroy())
    const res = new ServerResponse(req)
    res.shouldKeepAlive = false
    res.assignSocket(client as Socket)
    res.on('finish', () => {
      res.detachSocket(client as Socket)
      // A client that still sends its body would read a reset instead of the answer; `lingerFor` bounds the wait.
      const gone = (): void => void client.destroy()
      client.end(isBodyOpen(req) ? () => req.once('close', gone) : gone)
    })
    this.request(req, res, {
      expectsContinue: /^100-continue$/i.test(req.headers.expect ?? '') && isBodyOpen(req),
      upgrade: {
        value: protocolsOf(req.rawHeaders).join(', '),
        join: (response, container, containerHead, rewrite) => {
          res.detachSocket(client as Socket)
          this.#deps.countAnswer(101)
          this.#deps.endless.add(client)
          client.on('close', () => this.#deps.endless.delete(client))
          const { hostId } = this.#deps.conf
          join({ hostId, req, client, clientHead, response, rewrite, container, containerHead })
        },
      },
    })
  }

  /** Why a request is refused before it is routed. */
  #refusal(req: IncomingMessage, res: ServerResponse): readonly [Reason, string?] | undefined {
    if (!this.#mayStart(req, res)) return ['busy']
    // RFC 9112 3.2: two hosts are two readings of one request.
    if (valuesOf(req.rawHeaders, 'host').length > 1)
      return ['bad-request', 'There is more than one Host header.']
    if (req.headers.host === undefined && req.httpVersion === '1.1')
      return ['bad-request', 'There is no Host header.']
    // Node's parser lets "GET / HTTP/2.0" pass. Requests of HTTP/2 have a stream.
    if (req.httpVersionMajor !== 1 && !('stream' in req))
      return ['bad-request', 'The version is neither HTTP/1.1 nor HTTP/1.0.']
    const problem = codingProblem(req.rawHeaders, req.httpVersion === '1.0')
    if (problem !== undefined) return problem
    return hasLooped(req.rawHeaders, this.#deps.conf.hostId) ? ['loop'] : undefined
  }

  #dispatch(req: IncomingMessage, res: ServerResponse, options: ExchangeOptions): void {
    if (this.#late.answer(req, res)) return
    const decision = route({
      url: req.url ?? '',
      host: req.headers.host,
      isSecure: isSecure(req.socket),
      names: this.#deps.names,
      lookup: this.#deps.lookup,
    })
    switch (decision.kind) {
      case 'container':
        if (options.upgrade !== undefined || !this.#late.accept(req, res, decision, options.expectsContinue))
          new Exchange(this.#deps, req, res, decision, options).start()
        break
      case 'bad':
        this.#problem(req, res, 'bad-request', `${decision.problem}.`)
        break
      case 'redirect':
        sendPage(req, res, 307, 'text', `${decision.location}\n`, { location: decision.location })
        break
      case 'list':
        if (req.method === 'GET' || req.method === 'HEAD') this.#list(req, res)
        else this.#problem(req, res, 'method')
        break
      case 'unknown':
        this.#list(req, res, decision)
        break
      case 'foreign':
        this.#problem(req, res, 'misdirected', `ingress.domains does not have ${decision.host}.`)
    }
  }

  /** @param unknown a name that was asked for and that no container has; a foreign Host is shown no list with it */
  #list(req: IncomingMessage, res: ServerResponse, unknown?: { name: string; isOwn: boolean }): void {
    const { conf, registry } = this.#deps
    const entries = unknown?.isOwn === false ? undefined : listOf(registry)
    const waiting = entries === undefined ? [] : (this.#deps.messages?.waiting() ?? [])
    const list = { hostId: conf.hostId, entries, waiting }
    if (unknown === undefined) {
      const form = formOf(req.headers.accept, 'html')
      sendPage(req, res, 200, form, renderList(list, form))
      return
    }
    const form = formOf(req.headers.accept, 'text')
    const { name } = unknown
    const near = nearNames(name, registry)
    sendPage(req, res, 404, form, renderList({ ...list, unknown: { name, near } }, form))
  }

  #problem(req: IncomingMessage, res: ServerResponse, reason: Reason, detail?: string): void {
    sendProblem(req, res, { reason, hostId: this.#deps.conf.hostId, detail })
  }

  #mayStart(req: IncomingMessage, res: ServerResponse): boolean {
    const { socket } = req
    const underWay = this.#underWay.get(socket) ?? new Set()
    this.#underWay.set(socket, underWay.add(res))
    this.#server.limit.busy(socket)
    res.on('close', () => {
      underWay.delete(res)
      if (underWay.size === 0) this.#server.limit.wait(socket)
    })
    return underWay.size <= MAX_PIPELINED
  }

  #count(res: ServerResponse): void {
    // With HTTP/2 a stream that the client reset before an answer finishes too.
    res.on('finish', () => {
      if (res.headersSent) this.#deps.countAnswer(res.statusCode)
    })
  }
}
