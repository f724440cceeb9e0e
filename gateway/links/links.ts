/** All peers of this host: the listener that others reach, the diallers that reach others, and who may be here at all. */

import { createServer as createDoor, type Server as Door } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { Clock, Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import { Seldom } from '../base/log-limit.ts'
import { HANDSHAKE_MS } from './dial/dial.ts'
import { Greeting } from './handshake-guard.ts'
import { Peer } from './link.ts'
import { Streams } from './streams/streams.ts'
import { Alpn, type PeerId, peerIdOfSocket, tlsOptions } from './tls.ts'
import type { ControlMessage, Identity, Membership, PeerEvents, PeerView } from './types.ts'

export interface PeersParts {
  /** Asked anew for each connection: certificates renew themselves. */
  readonly identity: () => Identity
  readonly membership: Membership
  readonly listen: { readonly host: string; readonly port: number }
  readonly events: PeerEvents
  readonly clock: Clock
  readonly log: Log
  /** A newcomer without a certificate; the cluster part answers it. Absent: refused. */
  join?(socket: TLSSocket): void
}

/** Newcomers at once; members are never refused for their number. */
const MAX_NEWCOMERS = 64
/** Whoever is refused or fails dials again every few seconds; the log needs to say so once in a while. */
const SAID_AGAIN_MS: Millis = 600_000
/** How often the clock is compared with itself. */
const TICK_MS: Millis = 1_000
/** A tick this late means that the machine slept: all timers are wrong, all connections may be dead. */
const SLEPT_MS: Millis = 10_000

export class Peers {
  readonly streams: Streams
  readonly #parts: PeersParts
  readonly #peers = new Map<number, Peer>()
  readonly #server: Server
  /** Before TLS: who has not shown a certificate yet is nobody's peer. */
  readonly #door: Door
  readonly #greeting = new Greeting()
  readonly #newcomers = new Set<TLSSocket>()
  readonly #said = new Seldom(SAID_AGAIN_MS)
  #tick: NodeJS.Timeout | undefined

  constructor(parts: PeersParts) {
    this.#parts = parts
    const { identity, membership, log } = parts
    this.streams = new Streams({
      identity,
      membership,
      log,
      send: (hostId, message) => this.send(hostId, message),
    })
    this.#server = createServer({
      ...tlsOptions(parts.identity()),
      ALPNProtocols: [Alpn.control, Alpn.data, Alpn.stream, Alpn.join],
      requestCert: true,
      // A newcomer has none yet; everybody else is judged in #judge.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_MS,
    })
    this.#door = createDoor((socket) => {
      if (this.#greeting.admit(socket)) this.#server.emit('connection', socket)
      else socket.destroy()
    })
    this.#server.on('secureConnection', (socket) => {
      this.#greeting.done(socket)
      this.#judge(socket)
    })
    this.#server.on('tlsClientError', (err, socket) => {
      const endpoint = socket.remoteAddress
      const level = this.#isNews(`${endpoint} ${err.message}`) ? 'info' : 'debug'
      parts.log[level]({ err, endpoint }, 'handshake failed')
      socket.destroy()
    })
  }

  /** @throws the listener's error, e.g. EADDRINUSE */
  async start(): Promise<void> {
    const { host, port } = this.#parts.listen
    await new Promise<void>((resolve, reject) => {
      this.#door.once('error', reject)
      this.#door.listen({ host, port }, () => {
        this.#door.off('error', reject)
        this.#door.on('error', (err) => this.#parts.log.error({ err }, 'peer listener failed'))
        resolve()
      })
    })
    this.refresh()
    let last = this.#parts.clock.monotonic()
    this.#tick = setInterval(() => {
      const now = this.#parts.clock.monotonic()
      if (now - last > SLEPT_MS) this.hurry()
      last = now
    }, TICK_MS)
  }

  /** The port that the kernel chose when 0 was asked for. */
  get port(): number {
    const address = this.#door.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  }

  /** After a change of membership: new members are dialled, those that left or were revoked are cut off. */
  refresh(): void {
    const { membership } = this.#parts
    const members = new Map(membership.members().map((m) => [m.hostId, m]))
    for (const [hostId, peer] of this.#peers) {
      const member = members.get(hostId)
      const why = member === undefined ? 'no member any more' : membership.refusal(hostId, member.keyId)
      if (why === undefined) continue
      this.#peers.delete(hostId)
      peer.stop(why)
      this.streams.cut(hostId, why)
    }
    for (const [hostId, member] of members) {
      if (membership.refusal(hostId, member.keyId) === undefined) this.#peerOf(hostId).start()
    }
  }

  /** After a certificate was renewed: new handshakes use it. */
  renewed(): void {
    this.#server.setSecureContext(tlsOptions(this.#parts.identity()))
  }

  /** Tries again now whatever was waiting. */
  hurry(): void {
    for (const peer of this.#peers.values()) peer.hurry()
  }

  views(): PeerView[] {
    return [...this.#peers.values()].map((p) => p.view()).sort((a, b) => a.hostId - b.hostId)
  }

  view(hostId: number): PeerView | undefined {
    return this.#peers.get(hostId)?.view()
  }

  send(hostId: number, message: ControlMessage): boolean {
    return this.#peers.get(hostId)?.send(message) ?? false
  }

  /** To all that are connected. @returns to how many */
  broadcast(message: ControlMessage): number {
    let sent = 0
    for (const peer of this.#peers.values()) if (peer.send(message)) sent++
    return sent
  }

  draining(hostId: number): void {
    this.#peers.get(hostId)?.draining()
  }

  async stop(): Promise<void> {
    clearInterval(this.#tick)
    for (const peer of this.#peers.values()) peer.stop('this gateway stops')
    this.#peers.clear()
    this.streams.stop()
    for (const socket of this.#newcomers) socket.destroy()
    this.#greeting.stop()
    if (!this.#door.listening) return
    await new Promise<void>((resolve) => {
      this.#door.close(() => resolve())
    })
  }

  #judge(socket: TLSSocket): void {
    // Until somebody takes it over: an error without a listener would end the process.
    socket.on('error', () => socket.destroy())
    if (socket.alpnProtocol === Alpn.join) this.#join(socket)
    else this.#refuse(socket, this.#admit(socket))
  }

  /** A newcomer is bounded in number and, by the cluster part, in time. */
  #join(socket: TLSSocket): void {
    this.#newcomers.add(socket)
    socket.once('close', () => this.#newcomers.delete(socket))
    if (this.#parts.join === undefined || this.#newcomers.size > MAX_NEWCOMERS) socket.destroy()
    else this.#parts.join(socket)
  }

  #refuse(socket: TLSSocket, reason: string | undefined): void {
    if (reason === undefined) return
    const endpoint = socket.remoteAddress
    const level = this.#isNews(`${endpoint} ${reason}`) ? 'warn' : 'debug'
    this.#parts.log[level]({ endpoint, reason }, 'peer refused')
    socket.destroy()
  }

  #isNews(text: string): boolean {
    return this.#said.isDue(text, this.#parts.clock.monotonic())
  }

  /** @returns why not */
  #admit(socket: TLSSocket): string | undefined {
    const own = this.#parts.identity()
    const id = peerIdOfSocket(socket, own.cluster)
    if (id === undefined)
      return `no certificate of this cluster (${socket.authorizationError ?? 'no host name in it'})`
    const refusal = this.#refusal(id, socket.remoteAddress ?? '')
    if (refusal !== undefined) return refusal
    if (id.hostId === own.hostId) return `host ${id.hostId} is this host: a clone of it, or a loop`
    const peer = this.#peerOf(id.hostId)
    if (socket.alpnProtocol === Alpn.control) peer.adoptControl(socket, id.hostId)
    else if (socket.alpnProtocol === Alpn.data) peer.adoptData(socket, id.hostId)
    else if (socket.alpnProtocol === Alpn.stream) this.streams.adopt(socket, id.hostId)
    else return 'no protocol of ours'
    return undefined
  }

  /** Of either side of a connection. Its user is told, since two keys for one hostId need a person. */
  #refusal({ hostId, keyId }: PeerId, endpoint: string): string | undefined {
    const { events, membership } = this.#parts
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

  #peerOf(hostId: number): Peer {
    const known = this.#peers.get(hostId)
    if (known !== undefined) return known
    const { clock, identity, log, membership } = this.#parts
    const peer = new Peer({
      identity,
      hostId,
      endpoints: () => membership.members().find((m) => m.hostId === hostId)?.endpoints ?? [],
      refusal: (id, endpoint) => this.#refusal(id, endpoint),
      events: this.#events(),
      clock,
      log,
    })
    this.#peers.set(hostId, peer)
    return peer
  }

  /** Whatever a member sends, it must not end this gateway. */
  #guarded(hostId: number, hear: () => void): void {
    try {
      hear()
    } catch (err) {
      const level = this.#isNews(`${hostId} message failed`) ? 'error' : 'debug'
      this.#parts.log[level]({ peer: hostId, err }, 'message of a peer failed')
    }
  }

  /** Streams hear of the links first: whoever is told next may open one. */
  #events(): PeerEvents {
    const { events } = this.#parts
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
      control: (hostId, message) => {
        this.#guarded(hostId, () => {
          if (!this.streams.take(hostId, message)) events.control(hostId, message)
        })
      },
      rival: (hostId, message) => this.#guarded(hostId, () => events.rival?.(hostId, message)),
    }
  }
}
