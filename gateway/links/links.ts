/** All links of this host: the listener for peers, the diallers of peers, and who is admitted. */

import { createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import { LogLimiter } from '../base/log-limit.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Scheduler } from '../base/scheduler.ts'
import { HANDSHAKE_MS } from './dial/dial.ts'
import { HandshakeGuard } from './handshake-guard.ts'
import { Link, type LinkDeps } from './link.ts'
import { DroppedMessages, type MessageHandler, MessageHandlers } from './message-handlers.ts'
import { type AnswerNewcomer, Newcomers } from './newcomers.ts'
import { Streams } from './streams/streams.ts'
import { Alpn, type PeerId, peerIdOfSocket, tlsOptions } from './tls.ts'
import type { ControlMessage, Identity, LinkEvents, LinkView, Membership } from './types.ts'

export interface LinksDeps {
  /** Asked anew for each connection: certificates renew themselves. */
  readonly identity: () => Identity
  readonly membership: Membership
  readonly listen: { readonly host: string; readonly port: number }
  readonly events: LinkEvents
  readonly metrics: Metrics
  readonly scheduler: Scheduler
  readonly log: Log
  /** A newcomer without a certificate; the cluster part answers it. Absent: refused. */
  readonly join?: AnswerNewcomer
}

/** A machine that is refused or fails dials again every few seconds; the log needs one line once in a while. */
const SAID_AGAIN_MS: Millis = 600_000
/** How often the clock is compared with itself. */
const TICK_MS: Millis = 1_000
/** A tick this late means that the machine slept: all timers are wrong, all connections may be dead. */
const SLEPT_MS: Millis = 10_000

export class Links {
  readonly streams: Streams
  readonly #deps: LinksDeps
  readonly #links = new Map<number, Link>()
  readonly #server: Server
  /** Before TLS: a client that has not shown a certificate yet has no link yet. */
  readonly #listener: TcpServer
  readonly #handshakes = new HandshakeGuard()
  readonly #newcomers: Newcomers
  readonly #said = new LogLimiter(SAID_AGAIN_MS)
  readonly #handlers = new MessageHandlers()
  readonly #dropped: DroppedMessages
  #stopTicking: (() => void) | undefined

  constructor(deps: LinksDeps) {
    this.#deps = deps
    const { identity, membership, log } = deps
    this.#dropped = new DroppedMessages({ ...deps, clock: deps.scheduler })
    this.#newcomers = new Newcomers(deps.join, deps.metrics)
    this.streams = new Streams({
      identity,
      membership,
      log,
      send: (hostId, message) => this.send(hostId, message),
    })
    this.handle('stream.', (hostId, message) => this.streams.onMessage(hostId, message))
    this.#server = createServer({
      ...tlsOptions(deps.identity()),
      ALPNProtocols: [Alpn.control, Alpn.data, Alpn.stream, Alpn.join],
      requestCert: true,
      // A newcomer has no certificate yet; #judge judges all others.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_MS,
    })
    this.#listener = createTcpServer((socket) => {
      if (this.#handshakes.admit(socket)) this.#server.emit('connection', socket)
      else socket.destroy()
    })
    this.#server.on('secureConnection', (socket) => {
      this.#handshakes.done(socket)
      this.#judge(socket)
    })
    this.#server.on('tlsClientError', (err, socket) => {
      const endpoint = socket.remoteAddress
      const level = this.#isNews(`${endpoint} ${err.message}`) ? 'info' : 'debug'
      deps.log[level]({ err, endpoint }, 'handshake failed')
      socket.destroy()
    })
  }

  /**
   * Before `start`. One handler for each prefix or type of messages, e.g. `registry.`; a message that none is for is
   * counted and logged.
   * @throws {Error} the prefix is registered already
   */
  handle(prefix: string, handler: MessageHandler): void {
    this.#handlers.add(prefix, handler)
  }

  /** @throws the listener's error, e.g. EADDRINUSE */
  async start(): Promise<void> {
    const { host, port } = this.#deps.listen
    await new Promise<void>((resolve, reject) => {
      this.#listener.once('error', reject)
      this.#listener.listen({ host, port }, () => {
        this.#listener.off('error', reject)
        this.#listener.on('error', (err) => this.#deps.log.error({ err }, 'peer listener failed'))
        resolve()
      })
    })
    this.refresh()
    const { scheduler } = this.#deps
    let last = scheduler.monotonic()
    this.#stopTicking = scheduler.every(TICK_MS, () => {
      const now = scheduler.monotonic()
      if (now - last > SLEPT_MS) this.retryNow()
      last = now
    })
  }

  /** The port that the kernel chose when 0 was asked for. */
  get port(): number {
    const address = this.#listener.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** After a change of membership: new members are dialled, those that left or were revoked are cut off. */
  refresh(): void {
    const { membership } = this.#deps
    const members = new Map(membership.members().map((m) => [m.hostId, m]))
    for (const [hostId, link] of this.#links) {
      const member = members.get(hostId)
      const why = member === undefined ? 'no member any more' : membership.refusal(hostId, member.keyId)
      if (why === undefined) continue
      this.#links.delete(hostId)
      link.stop(why)
      this.streams.cut(hostId, why)
    }
    for (const [hostId, member] of members) {
      if (membership.refusal(hostId, member.keyId) === undefined) this.#linkOf(hostId).start()
    }
  }

  /** After a certificate was renewed: new handshakes use it. */
  renewed(): void {
    this.#server.setSecureContext(tlsOptions(this.#deps.identity()))
  }

  /** Tries again now whatever was waiting. */
  retryNow(): void {
    for (const link of this.#links.values()) link.retryNow()
  }

  views(): LinkView[] {
    return [...this.#links.values()].map((p) => p.view()).sort((a, b) => a.hostId - b.hostId)
  }

  view(hostId: number): LinkView | undefined {
    return this.#links.get(hostId)?.view()
  }

  send(hostId: number, message: ControlMessage): boolean {
    return this.#links.get(hostId)?.send(message) ?? false
  }

  /** The peer's link, for keys, addresses and certificate of its connection. */
  get(hostId: number): Pick<Link, 'exportKey' | 'addresses' | 'peerValidTo'> | undefined {
    return this.#links.get(hostId)
  }

  /** To all that are connected. @returns to how many */
  broadcast(message: ControlMessage): number {
    let sent = 0
    for (const link of this.#links.values()) if (link.send(message)) sent++
    return sent
  }

  draining(hostId: number): void {
    this.#links.get(hostId)?.draining()
  }

  async stop(): Promise<void> {
    this.#stopTicking?.()
    for (const link of this.#links.values()) link.stop('this gateway stops')
    this.#links.clear()
    this.streams.stop()
    this.#newcomers.stop()
    this.#handshakes.stop()
    if (!this.#listener.listening) return
    await new Promise<void>((resolve) => {
      this.#listener.close(() => resolve())
    })
  }

  #judge(socket: TLSSocket): void {
    // Until the socket has a user: an error without a listener would end the process.
    socket.on('error', () => socket.destroy())
    if (socket.alpnProtocol === Alpn.join) this.#newcomers.admit(socket)
    else this.#refuse(socket, this.#admit(socket))
  }

  #refuse(socket: TLSSocket, reason: string | undefined): void {
    if (reason === undefined) return
    const endpoint = socket.remoteAddress
    const level = this.#isNews(`${endpoint} ${reason}`) ? 'warn' : 'debug'
    this.#deps.log[level]({ endpoint, reason }, 'peer refused')
    socket.destroy()
  }

  #isNews(text: string): boolean {
    return this.#said.isDue(text, this.#deps.scheduler.monotonic())
  }

  /** @returns why not */
  #admit(socket: TLSSocket): string | undefined {
    const own = this.#deps.identity()
    const id = peerIdOfSocket(socket, own.cluster)
    if (id === undefined)
      return `no certificate of this cluster (${socket.authorizationError ?? 'no host name in it'})`
    const refusal = this.#refusal(id, socket.remoteAddress ?? '')
    if (refusal !== undefined) return refusal
    if (id.hostId === own.hostId) return `host ${id.hostId} is this host: a clone of it, or a loop`
    const link = this.#linkOf(id.hostId)
    if (socket.alpnProtocol === Alpn.control) link.adoptControl(socket, id.hostId)
    else if (socket.alpnProtocol === Alpn.data) link.adoptData(socket, id.hostId)
    else if (socket.alpnProtocol === Alpn.stream) this.streams.adopt(socket, id.hostId)
    else return 'no protocol of ours'
    return undefined
  }

  /** Of either side of a connection. `refused` is called, because two keys for one hostId need a person. */
  #refusal({ hostId, keyId }: PeerId, endpoint: string): string | undefined {
    const { events, membership } = this.#deps
    const reason = membership.refusal(hostId, keyId)
    if (reason === undefined) return undefined
    events.refused?.({
      hostId,
      keyId,
      endpoint,
      isDuplicate: membership.isDuplicate?.(hostId, keyId) ?? false,
    })
    return reason
  }

  #linkOf(hostId: number): Link {
    const known = this.#links.get(hostId)
    if (known !== undefined) return known
    const { identity, log, membership, scheduler } = this.#deps
    const link = new Link({
      identity,
      hostId,
      endpoints: () => membership.members().find((m) => m.hostId === hostId)?.endpoints ?? [],
      refusal: (id, endpoint) => this.#refusal(id, endpoint),
      events: this.#events(),
      scheduler,
      log,
    })
    this.#links.set(hostId, link)
    return link
  }

  /** Whatever a member sends, it must not end this gateway. */
  #guarded(hostId: number, hear: () => void): void {
    try {
      hear()
    } catch (err) {
      const level = this.#isNews(`${hostId} message failed`) ? 'error' : 'debug'
      this.#deps.log[level]({ peer: hostId, err }, 'message of a peer failed')
    }
  }

  /** Streams learn of links first: another listener may open one at once. */
  #events(): LinkDeps['events'] {
    const { events } = this.#deps
    return {
      ...events,
      up: (hostId) => {
        this.streams.linkUp(hostId)
        events.up(hostId)
      },
      down: (hostId, reason) => {
        this.streams.linkDown(hostId)
        events.down(hostId, reason)
      },
      message: (hostId, message) => {
        const handler = this.#handlers.of(message)
        if (handler === undefined) this.#dropped.unknown(hostId, message)
        else this.#guarded(hostId, () => handler(hostId, message))
      },
      oversized: (hostId, bytes) => this.#dropped.oversized(hostId, bytes),
      rival: (hostId, message) => this.#guarded(hostId, () => events.rival?.(hostId, message)),
    }
  }
}
