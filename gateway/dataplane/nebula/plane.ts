/**
 * Probes peers through Nebula and sets the routes there: it answers the lines that the process `flatnet p2p` answers
 * for UDP, so that the same escalation drives both.
 */

import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import type { DirectRoutes } from '../p2p/process/routes.ts'
import type { ProcessHello } from '../p2p/process-client.ts'
import { type FromProcess, P2P_PROTOCOL, type ToProcess } from '../p2p/protocol.ts'
import { NebulaSession, type SessionDeps, type SessionStart } from './session.ts'

/** A socket that sends by Nebula's device alone. */
export interface ProbeSocket {
  readonly port: number
  send(datagram: Buffer, port: number, hostId: number): void
  close(): void
}

export interface PlaneDeps {
  readonly hostId: number
  readonly scheduler: Scheduler
  readonly log: Log
  readonly mtu: number
  readonly routes: Pick<DirectRoutes, 'add' | 'ensure' | 'forget' | 'remove'>
  randomToken(): number
  /** Packets that the device has carried so far, probes included; undefined: not known. */
  carried(): number | undefined
}

/** To the escalation. Called synchronously; must not throw. */
export interface PlaneEvents {
  connected(hello: ProcessHello): void
  message(message: FromProcess): void
  disconnected(): void
}

const REPORT_MS: Millis = 1_000
/** Other programs delete routes that they do not know. */
const ROUTES_MS: Millis = 5_000
/** How soon packets after a pause are noticed: before many of them can be lost. */
const LOOK_MS: Millis = 250
/** A loop that is later than this stood still, and answers wait in its socket. */
const LATE_MS: Millis = 100
const LATE_COUNTS_MS: Millis = 1_000
/** Half of the peers suspect at once, and two at least: the fault is here. */
const FAULT_SPAN_MS: Millis = 500
const FAULT_LEAST = 2
const FAULT_SHARE = 0.5

export class NebulaPlane {
  readonly #deps: PlaneDeps
  readonly #events: PlaneEvents
  readonly #sessions = new Map<number, NebulaSession>()
  readonly #suspectedAt = new Map<number, Millis>()
  #socket: ProbeSocket | undefined
  #problem: string | undefined
  #cancel: (() => void) | undefined
  #dueAt: Millis = 0
  #lateAt: Millis = Number.NEGATIVE_INFINITY
  #lagMs: Millis = 0
  #carried: number | undefined
  #own = 0
  readonly #stops: (() => void)[]

  constructor(deps: PlaneDeps, events: PlaneEvents) {
    this.#deps = deps
    this.#events = events
    const { scheduler, routes } = deps
    this.#stops = [
      scheduler.every(REPORT_MS, () => this.#report()),
      scheduler.every(ROUTES_MS, () => {
        if (this.#socket !== undefined) routes.ensure()
      }),
      scheduler.every(LOOK_MS, () => this.#look()),
    ]
  }

  /** Why no peer can be reached, in words; undefined: peers can. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** 0: there is no device. */
  get port(): number {
    return this.#socket?.port ?? 0
  }

  /** The device is there. */
  opened(socket: ProbeSocket, ifname: string): void {
    this.#socket = socket
    this.#problem = undefined
    this.#carried = undefined
    this.#events.connected({
      type: 'hello',
      protocol: P2P_PROTOCOL,
      version: '',
      pid: process.pid,
      hostId: this.#deps.hostId,
      device: { ifname },
      udp: { port: socket.port },
      features: { cipher: '', gso: false, gro: false, uso: false, record: true },
      sessions: [],
    })
  }

  /** The device is gone, and the kernel has deleted its routes, or it is about to go. */
  closed(problem: string): void {
    this.#problem = problem
    if (this.#socket === undefined) return
    for (const session of this.#sessions.values()) session.end('device lost')
    this.#sessions.clear()
    this.#suspectedAt.clear()
    this.#deps.routes.forget()
    this.#socket.close()
    this.#socket = undefined
    this.#events.disconnected()
  }

  stop(): void {
    for (const stop of this.#stops) stop()
    this.#cancel?.()
    this.closed('the gateway stops')
  }

  send(message: ToProcess): boolean {
    if (this.#socket === undefined) return false
    if (message.type === 'session') this.#start(message)
    else if ('hostId' in message && message.hostId !== undefined)
      this.#order(this.#sessions.get(message.hostId), message)
    else if (message.type === 'probeNow')
      for (const { prober } of this.#sessions.values()) prober.probeNow(this.#now())
    this.#again()
    return true
  }

  /** @param hostId whose bridge address it came from */
  received(hostId: number, datagram: Buffer): void {
    const isOurs = this.#sessions.get(hostId)?.received(datagram, this.#now()) ?? false
    if (isOurs) this.#again()
  }

  #now(): Millis {
    return this.#deps.scheduler.monotonic()
  }

  #start(start: SessionStart): void {
    const { hostId } = start
    const present = this.#sessions.get(hostId)
    if (present?.attempt === start.attempt) {
      present.prolong(start.validUntil)
      return
    }
    present?.close()
    this.#suspectedAt.delete(hostId)
    const session = new NebulaSession(start, this.#sessionDeps())
    this.#sessions.set(hostId, session)
    session.reportNow()
  }

  #order(session: NebulaSession | undefined, message: ToProcess): void {
    if (session === undefined) return
    switch (message.type) {
      case 'promote':
        session.promotion.promote(message.attempt, message.generation)
        return
      case 'demote':
        session.promotion.demote(message.generation, message.reason)
        return
      case 'gatewayPath':
        session.promotion.gatewayPath(message.isUp)
        return
      case 'end':
        session.close()
        this.#sessions.delete(session.hostId)
        this.#suspectedAt.delete(session.hostId)
        return
      case 'probeNow':
        session.prober.probeNow(this.#now())
        return
      case 'hello':
      case 'session':
      case 'candidates':
      case 'findAddresses':
      case 'useTurn':
      case 'stop':
        // A peer has one address inside Nebula, and no other host has to be asked for it.
        return
    }
  }

  #sessionDeps(): SessionDeps {
    const { hostId, mtu, randomToken, routes, scheduler } = this.#deps
    return {
      hostId,
      mtu,
      randomToken,
      routes,
      now: () => this.#now(),
      wallClock: () => scheduler.now(),
      isLocalFault: () => this.#isLocalFault(this.#now()),
      lagMs: () => this.#lagMs,
      send: (to, port, datagram) => {
        this.#own++
        this.#socket?.send(datagram, port, to)
      },
      report: (message) => this.#events.message(message),
      judged: (peer, what, reason) => this.#judged(peer, what, reason),
    }
  }

  /** One timer for all sessions. */
  #again(): void {
    let at = Number.POSITIVE_INFINITY
    for (const session of this.#sessions.values()) at = Math.min(at, session.nextAt())
    this.#cancel?.()
    this.#cancel = undefined
    if (at === Number.POSITIVE_INFINITY) return
    const now = this.#now()
    this.#dueAt = Math.max(at, now)
    this.#cancel = this.#deps.scheduler.after(this.#dueAt - now, () => this.#tick())
  }

  #tick(): void {
    const now = this.#now()
    this.#noticeLag(now - this.#dueAt, now)
    for (const session of [...this.#sessions.values()]) session.tick(now)
    this.#again()
  }

  /** Timers come before what waits in the socket, so probes must not be judged by the time that was lost here. */
  #noticeLag(lagMs: Millis, now: Millis): void {
    this.#lagMs = Math.max(this.#lagMs, lagMs)
    if (lagMs < LATE_MS) return
    this.#lateAt = now
    for (const { prober } of this.#sessions.values()) prober.stoodStill(lagMs, now)
  }

  #isLocalFault(now: Millis): boolean {
    if (now - this.#lateAt < LATE_COUNTS_MS) return true
    const suspects = [...this.#suspectedAt.values()].filter((at) => now - at <= FAULT_SPAN_MS).length
    return suspects >= FAULT_LEAST && suspects >= FAULT_SHARE * this.#sessions.size
  }

  #report(): void {
    for (const session of [...this.#sessions.values()])
      if (session.isExpired) {
        session.end('keys expired')
        this.#sessions.delete(session.hostId)
      } else session.reportChanges()
    this.#lagMs = 0
  }

  /** Which peer packets are for is not seen here: all that carry some are probed like busy ones. */
  #look(): void {
    const promoted = [...this.#sessions.values()].filter(({ promotion }) => promotion.isPromoted)
    if (promoted.length === 0) return
    const carried = this.#deps.carried()
    const before = this.#carried
    const own = this.#own
    this.#carried = carried
    this.#own = 0
    // Each probe of this host has an answer, and each of a peer's too.
    const isBusy =
      carried === undefined || (before !== undefined && carried - before > 2 * own + 2 * promoted.length)
    if (!isBusy) return
    for (const { prober } of promoted) prober.traffic(this.#now())
    this.#again()
  }

  #judged(peer: number, what: Parameters<SessionDeps['judged']>[1], reason?: string): void {
    const { log } = this.#deps
    if (what === 'suspect') this.#suspectedAt.set(peer, this.#now())
    else if (what !== 'extended') this.#suspectedAt.delete(peer)
    if (what === 'proven') log.info({ peer }, 'path through nebula was proven')
    else if (what === 'lost') log.info({ peer, reason }, 'path through nebula was lost')
    else if (what === 'stays')
      log.warn({ peer, reason }, 'path through nebula was lost and kept, as the gateway path is down')
  }
}
