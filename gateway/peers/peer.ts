/** One peer: its control and its data connection, each dialled by both sides and kept once. */

import type { TLSSocket } from 'node:tls'
import type { Clock, Millis } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import { ControlConnection } from './control.ts'
import { Dialer } from './dialer.ts'
import { boundSilence } from './liveness.ts'
import { Alpn } from './tls.ts'
import type { ControlMessage, Identity, LinkState, PeerEvents, PeerView } from './types.ts'

export interface PeerParts {
  readonly identity: () => Identity
  readonly hostId: number
  readonly endpoints: () => readonly string[]
  readonly events: PeerEvents
  readonly clock: Clock
  readonly log: Log
}

/** Who opened a connection decides which of two survives: both sides must choose the same one. */
interface Held<T> {
  readonly dialledBy: number
  readonly connection: T
}

export class Peer {
  readonly hostId: number
  readonly #parts: PeerParts
  readonly #controlDialer: Dialer
  readonly #dataDialer: Dialer
  #control: Held<ControlConnection> | undefined
  #data: Held<TLSSocket> | undefined
  #state: LinkState = 'connecting'
  #reason = 'first connection not yet made'
  #since: Millis
  #isStopped = false

  constructor(parts: PeerParts) {
    this.#parts = parts
    this.hostId = parts.hostId
    this.#since = parts.clock.now()
    const { identity, hostId, endpoints } = parts
    this.#controlDialer = new Dialer({
      identity,
      hostId,
      endpoints,
      alpn: Alpn.control,
      connected: (socket) => this.adoptControl(socket, this.#ownId),
      failed: (reason) => {
        if (this.#control === undefined) this.#become(this.#state === 'up' ? 'down' : this.#state, reason)
      },
    })
    this.#dataDialer = new Dialer({
      identity,
      hostId,
      endpoints,
      alpn: Alpn.data,
      connected: (socket) => this.adoptData(socket, this.#ownId),
      failed: (err) => parts.log.debug({ peer: hostId, err }, 'data connection failed'),
    })
  }

  start(): void {
    this.#controlDialer.start()
  }

  hurry(): void {
    this.#controlDialer.hurry()
    this.#dataDialer.hurry()
  }

  view(): PeerView {
    return {
      hostId: this.hostId,
      state: this.#state,
      reason: this.#reason,
      rttMs: this.#control?.connection.rttMs,
      hasData: this.#data !== undefined,
      since: this.#since,
    }
  }

  send(message: ControlMessage): boolean {
    return this.#control?.connection.send(message) ?? false
  }

  /** For good: revoked, removed, or this gateway stops. */
  stop(reason: string): void {
    this.#isStopped = true
    this.#controlDialer.stop()
    this.#dataDialer.stop()
    this.#dropData()
    this.#control?.connection.close(reason)
  }

  /** A peer that says goodbye: nothing new is sent its way, its connections end by themselves. */
  draining(): void {
    if (this.#state === 'up') this.#become('draining', 'the peer is stopping')
  }

  /** @param dialledBy hostId of the side that opened it */
  adoptControl(socket: TLSSocket, dialledBy: number): void {
    if (this.#isStopped || !this.#wins(this.#control, dialledBy)) return void socket.destroy()
    const old = this.#control
    let held: Held<ControlConnection>
    const connection = new ControlConnection(socket, this.#parts.clock, {
      message: (message) => {
        if (this.#control === held) this.#parts.events.control(this.hostId, message)
      },
      closed: (reason) => this.#controlClosed(held, reason),
    })
    held = { dialledBy, connection }
    this.#control = held
    this.#controlDialer.stop()
    if (old === undefined) this.#wentUp()
    else {
      old.connection.close('replaced')
      // What was on its way over the old one may be lost: the user of the link starts over.
      this.#parts.events.down(this.hostId, 'replaced by another connection')
      this.#wentUp()
    }
  }

  adoptData(socket: TLSSocket, dialledBy: number): void {
    const unwanted = this.#isStopped || this.#control === undefined || !this.#wins(this.#data, dialledBy)
    if (unwanted) return void socket.destroy()
    this.#dropData()
    const held = { dialledBy, connection: socket }
    this.#data = held
    this.#dataDialer.stop()
    boundSilence(socket)
    const lost = (): void => {
      if (this.#data !== held) return
      this.#dropData()
      if (this.#control !== undefined) this.#dataDialer.start()
    }
    socket.on('error', lost)
    socket.on('close', lost)
    this.#parts.events.dataUp(this.hostId, socket)
  }

  get #ownId(): number {
    return this.#parts.identity().hostId
  }

  /** A newer connection of the same side replaces the older (that side restarted); of two sides the lower hostId's stays. */
  #wins(held: Held<unknown> | undefined, dialledBy: number): boolean {
    return held === undefined || held.dialledBy === dialledBy || dialledBy < held.dialledBy
  }

  #wentUp(): void {
    this.#become('up', 'connected')
    this.#parts.events.up(this.hostId)
    this.#dataDialer.start()
  }

  #controlClosed(held: Held<ControlConnection>, reason: string): void {
    if (this.#control !== held) return
    this.#control = undefined
    this.#dataDialer.stop()
    this.#dropData()
    this.#become('down', reason)
    this.#parts.events.down(this.hostId, reason)
    if (!this.#isStopped) this.#controlDialer.start()
  }

  #dropData(): void {
    const held = this.#data
    if (held === undefined) return
    this.#data = undefined
    held.connection.destroy()
    this.#parts.events.dataDown(this.hostId)
  }

  #become(state: LinkState, reason: string): void {
    if (this.#state !== state) {
      this.#since = this.#parts.clock.now()
      this.#parts.log.info({ peer: this.hostId, path: state, reason }, 'peer link changed')
    }
    this.#state = state
    this.#reason = reason
  }
}
