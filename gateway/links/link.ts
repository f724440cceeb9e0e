/** One peer: its control and its data connection, each dialled by both sides and kept once. */

import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import type { Scheduler } from '../base/scheduler.ts'
import { MemberBudget } from './budget.ts'
import { ControlConnection } from './control.ts'
import { Dialer } from './dial/dialer.ts'
import { boundSilence } from './liveness.ts'
import { Alpn, type PeerId } from './tls.ts'
import type { ControlMessage, Identity, LinkEvents, LinkState, LinkView } from './types.ts'

export interface LinkDeps {
  readonly identity: () => Identity
  readonly hostId: number
  readonly endpoints: () => readonly string[]
  /** Why the host that was dialled is refused; undefined: it is not. */
  readonly refusal: (id: PeerId, endpoint: string) => string | undefined
  readonly events: LinkEvents & {
    message(hostId: number, message: ControlMessage): void
    /** A message was passed over, as it is longer than any of the protocol. */
    oversized(hostId: number, bytes: number): void
  }
  readonly scheduler: Scheduler
  readonly log: Log
}

/** A round trip and a handshake on a LAN take a tenth of it. */
const HEAD_START_MS: Millis = 250

/** A data connection that lived this long was not just taken and dropped. */
const SETTLED_MS: Millis = 5_000

/**
 * How long a connection that lost is still read before it is closed. A second machine with the peer's key must not go
 * unseen because the first one's connection stands, nor dial without a pause.
 */
const KEPT_FOR_RIVALS_MS: Millis = 2_000
const MAX_LOSERS = 4
/** Both sides dial, each once at a time; the oldest makes room. */
const MAX_PENDING = 4

/** Who opened a connection decides which of two survives: both sides must choose the same one. */
interface Held<T> {
  readonly dialledBy: number
  readonly connection: T
}

export class Link {
  readonly hostId: number
  readonly #deps: LinkDeps
  readonly #controlDialer: Dialer
  readonly #dataDialer: Dialer
  #control: Held<ControlConnection> | undefined
  #data: Held<TLSSocket> | undefined
  /** Their handshake is done, and nothing has come on them yet. */
  readonly #pending = new Set<ControlConnection>()
  /** They lost to the one that stands, and are read until their timer ends them. */
  readonly #losers = new Map<ControlConnection, () => void>()
  #state: LinkState = 'connecting'
  #reason = 'first connection not yet made'
  #dataReason: string | undefined
  /** The endpoint that led to the last connection goes first; others are as dead as they were. */
  #worked: string | undefined
  #since: Millis
  #isStopped = false
  readonly #budget: MemberBudget

  constructor(deps: LinkDeps) {
    this.#deps = deps
    this.hostId = deps.hostId
    this.#since = deps.scheduler.now()
    this.#budget = new MemberBudget(deps.scheduler, {
      overspent: (spent, reason) => {
        this.#closeAll(reason)
        deps.events.overspent?.(deps.hostId, spent)
      },
      rested: () => this.start(),
    })
    const { identity, hostId, refusal } = deps
    const isWorse = (endpoint: string): number => Number(endpoint !== this.#worked)
    const endpoints = (): string[] => deps.endpoints().toSorted((a, b) => isWorse(a) - isWorse(b))
    const headStartMs = identity().hostId < hostId ? 0 : HEAD_START_MS
    this.#controlDialer = new Dialer({
      identity,
      hostId,
      endpoints,
      refusal,
      headStartMs,
      alpn: Alpn.control,
      connected: (socket, endpoint) => {
        this.#worked = endpoint
        this.adoptControl(socket, identity().hostId)
      },
      failed: (reason) => {
        if (this.#control === undefined) this.#become(this.#state === 'up' ? 'down' : this.#state, reason)
      },
    })
    this.#dataDialer = new Dialer({
      identity,
      hostId,
      endpoints,
      refusal,
      headStartMs,
      alpn: Alpn.data,
      connected: (socket, endpoint) => {
        this.#worked = endpoint
        this.adoptData(socket, identity().hostId)
      },
      failed: (reason) => {
        this.#dataReason = reason
        deps.log.debug({ peer: hostId, reason }, 'data connection failed')
      },
    })
  }

  /** Does nothing while there is a connection: a second one would take its place, and cut what it carries. */
  start(): void {
    if (this.#control === undefined && !this.#mustStayAway) this.#controlDialer.start()
  }

  retryNow(): void {
    this.#controlDialer.retryNow()
    this.#dataDialer.retryNow()
  }

  view(): LinkView {
    return {
      hostId: this.hostId,
      state: this.#state,
      reason: this.#reason,
      rttMs: this.#control?.connection.rttMs,
      jitterMs: this.#control?.connection.jitterMs,
      hasData: this.#data !== undefined,
      dataReason: this.#data === undefined ? this.#dataReason : undefined,
      since: this.#since,
    }
  }

  send(message: ControlMessage): boolean {
    return this.#control?.connection.send(message) ?? false
  }

  /** See ControlConnection; undefined: none stands. */
  exportKey(...args: Parameters<ControlConnection['exportKey']>): Buffer | undefined {
    return this.#control?.connection.exportKey(...args)
  }

  get addresses(): ControlConnection['addresses'] {
    return this.#control?.connection.addresses
  }

  get peerValidTo(): ControlConnection['peerValidTo'] {
    return this.#control?.connection.peerValidTo
  }

  /** For good: revoked, removed, or this gateway stops. */
  stop(reason: string): void {
    this.#isStopped = true
    this.#budget.stop()
    this.#closeAll(reason)
  }

  #closeAll(reason: string): void {
    this.#controlDialer.stop()
    this.#dataDialer.stop()
    this.#dropData()
    for (const connection of [...this.#pending, ...this.#losers.keys()]) connection.close(reason)
    this.#control?.connection.close(reason)
  }

  get #mustStayAway(): boolean {
    return this.#isStopped || this.#budget.isOver
  }

  /** A peer that says goodbye: nothing new is sent its way, its connections end by themselves. */
  draining(): void {
    if (this.#state === 'up') this.#become('draining', 'the peer is stopping')
  }

  /** @param dialledBy hostId of the side that opened it */
  adoptControl(socket: TLSSocket, dialledBy: number): void {
    if (this.#mustStayAway || this.#budget.spend({ connections: 1 }) !== undefined) {
      socket.destroy()
      return
    }
    const { events, scheduler } = this.#deps
    const connection: ControlConnection = new ControlConnection(socket, scheduler, {
      ready: () => this.#contest({ dialledBy, connection }),
      message: (message) => {
        if (this.#control?.connection === connection) events.message(this.hostId, message)
        else if (this.#losers.has(connection)) events.rival?.(this.hostId, message)
      },
      oversized: (bytes) => events.oversized(this.hostId, bytes),
      spend: (cost) => this.#budget.spend(cost),
      closed: (reason) => this.#controlClosed(connection, reason),
    })
    this.#pending.add(connection)
    const [oldest] = this.#pending
    if (this.#pending.size > MAX_PENDING) oldest?.close('newer connections of this peer came')
  }

  /** A connection that works meets the one that is there: both sides keep the same of the two. */
  #contest(held: Held<ControlConnection>): void {
    this.#pending.delete(held.connection)
    if (this.#mustStayAway || !this.#wins(this.#control, held.dialledBy)) {
      this.#keepForRivals(held.connection)
      return
    }
    const old = this.#control
    this.#control = held
    old?.connection.close('replaced by another connection')
    this.#controlDialer.stop()
    this.#controlDialer.settled()
    this.#become('up', 'connected')
    // Also when one replaced another: what was on its way over the old one may be lost, so its user starts over.
    this.#deps.events.up(this.hostId)
    this.#dataDialer.start()
  }

  #keepForRivals(connection: ControlConnection): void {
    const close = (): void => connection.close('another connection stands')
    if (this.#mustStayAway || this.#losers.size >= MAX_LOSERS) close()
    else this.#losers.set(connection, this.#deps.scheduler.after(KEPT_FOR_RIVALS_MS, close))
  }

  adoptData(socket: TLSSocket, dialledBy: number): void {
    if (this.#mustStayAway || !this.#wins(this.#data, dialledBy)) {
      socket.destroy()
      return
    }
    this.#dropData()
    const held = { dialledBy, connection: socket }
    this.#data = held
    this.#dataReason = undefined
    this.#dataDialer.stop()
    boundSilence(socket)
    const cancel = this.#deps.scheduler.after(SETTLED_MS, () => this.#dataDialer.settled())
    const lost = (err?: unknown): void => {
      cancel()
      if (this.#data !== held) return
      const reason = err instanceof Error ? err.message : 'connection closed'
      this.#dataReason = reason
      this.#deps.log.info({ peer: this.hostId, reason }, 'data connection ended')
      this.#dropData()
      if (this.#control !== undefined) this.#dataDialer.start()
    }
    socket.on('error', lost)
    socket.on('close', () => lost())
    this.#deps.events.dataUp(this.hostId, socket)
  }

  /**
   * A newer connection of the same side replaces the older, as that side restarted; of two sides the lower hostId's
   * stays.
   */
  #wins(held: Held<unknown> | undefined, dialledBy: number): boolean {
    return held === undefined || held.dialledBy === dialledBy || dialledBy < held.dialledBy
  }

  #controlClosed(connection: ControlConnection, reason: string): void {
    const wasPending = this.#pending.delete(connection)
    this.#losers.get(connection)?.()
    this.#losers.delete(connection)
    if (this.#control?.connection === connection) {
      this.#control = undefined
      this.#dataDialer.stop()
      this.#dropData()
      this.#become('down', reason)
      this.#deps.events.down(this.hostId, reason)
      // The machine behind it dials again at once, and then there is a place.
      for (const loser of [...this.#losers.keys()]) loser.close('the connection that stood is gone')
    } else if (wasPending && this.#control === undefined && !this.#mustStayAway)
      this.#become(
        this.#state,
        `ended after the handshake, which a peer does that refuses this host: ${reason}`,
      )
    this.start()
  }

  #dropData(): void {
    const held = this.#data
    if (held === undefined) return
    this.#data = undefined
    held.connection.destroy()
    this.#deps.events.dataDown(this.hostId)
  }

  #become(state: LinkState, reason: string): void {
    if (this.#state !== state) {
      this.#since = this.#deps.scheduler.now()
      this.#deps.log.info({ peer: this.hostId, path: state, reason }, 'peer link changed')
    }
    this.#state = state
    this.#reason = reason
  }
}
