/** Owns the sessions of all peers: orders of the gateway in, answers out, and one timer for all paths. */
import type { Millis } from '../../../../core/clock.ts'
import type { Log } from '../../../../core/log.ts'
import type { FromProcess, SessionView, ToProcess } from '../protocol.ts'
import type { PlaneEvents, UdpPlane } from '../udp/types.ts'
import { FaultGuard, LATE_LOOP_MS } from './fault-guard.ts'
import { Session } from './session.ts'
import type { Judgement, SessionDeps, SessionStart } from './session-deps.ts'
import { needOf, type RelayNeed } from './turn-relays.ts'

export interface SessionsDeps
  extends Pick<
    SessionDeps,
    | 'hostId'
    | 'cipher'
    | 'rekeyEveryMs'
    | 'plane'
    | 'routes'
    | 'now'
    | 'wallClock'
    | 'randomToken'
    | 'isLan'
    | 'canReach'
    | 'relays'
    | 'ignored'
  > {
  readonly log: Log
  /** Handles what has arrived, packets and answers. */
  readSocket(): void
  report(message: FromProcess): void
}

/** Timers of 253 peers that are due within this time share one turn of the loop. */
const COALESCE_MS: Millis = 5
/** So many of them between two reads of the socket: an answer that waits there makes its path look slow. */
const TICKS_AT_ONCE = 8
/** How soon a first packet after silence is noticed. */
const LOOK_MS: Millis = 20
/** How often `state` lines report changes. */
const REPORT_MS: Millis = 1_000
/** The loop stands still for this long only when the machine sleeps. */
const SLEEP_MS: Millis = 10_000

export class Sessions implements PlaneEvents {
  readonly #deps: SessionsDeps
  readonly #sessions = new Map<number, Session>()
  readonly #guard = new FaultGuard()
  #wakeAt: Millis = Number.POSITIVE_INFINITY
  /** The session that was due first has time now: an answer came. */
  #isWakeStale = false
  #lookAt: Millis
  #reportAt: Millis
  #lagMs: Millis = 0

  constructor(deps: SessionsDeps) {
    this.#deps = deps
    this.#lookAt = deps.now()
    this.#reportAt = deps.now() + REPORT_MS
  }

  get size(): number {
    return this.#sessions.size
  }

  /** When `tick` has something to do. */
  get nextAt(): Millis {
    if (this.#sessions.size === 0) return Number.POSITIVE_INFINITY
    if (this.#isWakeStale) this.#findWake()
    return Math.min(this.#wakeAt, this.#reportAt)
  }

  views(): SessionView[] {
    return [...this.#sessions.values()].filter(({ isEnded }) => !isEnded).map((session) => session.view())
  }

  needRelays(): RelayNeed {
    const paths = [...this.#sessions.values()].flatMap(({ isEnded, path }) => (isEnded ? [] : path))
    return needOf(paths, this.#deps.now())
  }

  /** A TURN server of this host lets datagrams through to `there`: a peer that is reached there is probed by it. */
  relayOpened(address: string, there: string): void {
    this.#all(({ path }, now) => path.relayOpened(address, there, now))
  }

  /** Follows an order about one peer or all of them. */
  handle(message: ToProcess): void {
    const now = this.#deps.now()
    if (message.type === 'session') this.#begin(message, now)
    else if (message.type === 'probeNow' && message.hostId === undefined) this.retryAll()
    else if ('hostId' in message && message.hostId !== undefined) this.#order(message, message.hostId, now)
    if ('hostId' in message && message.hostId !== undefined)
      this.#wake(this.#sessions.get(message.hostId), now)
  }

  tick(): void {
    const now = this.#deps.now()
    if (now >= this.#wakeAt) this.#tickSessions(now)
    if (now >= this.#reportAt) {
      this.#reportAt = now + REPORT_MS
      for (const session of this.#sessions.values()) session.reportChanges(now)
      this.#lagMs = 0
    }
  }

  /** The plane carried something: probes idle paths at once that have packets. */
  look(plane: Pick<UdpPlane, 'takeNews'>): void {
    const now = this.#deps.now()
    if (now < this.#lookAt) return
    this.#lookAt = now + LOOK_MS
    for (const { hostId } of plane.takeNews()) {
      const session = this.#sessions.get(hostId)
      if (session?.look(now) === true) this.#wake(session, now)
    }
  }

  /** The loop came back `lagMs` too late. Call it before reading what came meanwhile. */
  late(lagMs: Millis): void {
    this.#lagMs = Math.max(this.#lagMs, lagMs)
    if (lagMs <= LATE_LOOP_MS) return
    const now = this.#deps.now()
    this.#guard.late(now)
    if (lagMs <= SLEEP_MS) {
      this.#all(({ path }) => path.stoodStill(lagMs, now))
      return
    }
    this.#deps.log.info(
      { durationMs: Math.round(lagMs) },
      'this process stood still, direct paths were probed anew',
    )
    this.#all(({ path }) => path.forgive(now))
  }

  /** Addresses, links or routes of this host changed, so paths may be better or gone. */
  retryAll(): void {
    this.#all(({ path }, now) => path.retry(now))
  }

  deviceLost(): void {
    for (const session of this.#sessions.values()) session.promotion.demoteSelf('device lost')
  }

  /** Removes all routes and says goodbye to all peers. Each session lingers for a moment. */
  leave(): void {
    this.#all((session) => session.goodbye())
  }

  close(): void {
    for (const session of [...this.#sessions.values()]) session.close()
  }

  onControl(peer: { readonly hostId: number }, type: number, payload: Uint8Array, from: string): void {
    const session = this.#sessions.get(peer.hostId)
    if (session === undefined) return
    const now = this.#deps.now()
    session.control(type, payload, from, now)
    this.#wake(session, now)
  }

  onRoamed(peer: { readonly hostId: number }, from: string): void {
    const session = this.#sessions.get(peer.hostId)
    session?.path.roamed(from, this.#deps.now())
    this.#wake(session, this.#deps.now())
  }

  onSendError(peer: { readonly hostId: number }, errno: number): void {
    const session = this.#sessions.get(peer.hostId)
    session?.path.refused(errno, this.#deps.now())
    this.#wake(session, this.#deps.now())
  }

  onForm(peer: { readonly hostId: number }): void {
    this.#sessions.get(peer.hostId)?.reportNow()
  }

  onKeysConfirmed(peer: { readonly hostId: number }): void {
    this.#sessions.get(peer.hostId)?.keysConfirmed(this.#deps.now())
  }

  #all(task: (session: Session, now: Millis) => void): void {
    const now = this.#deps.now()
    for (const session of this.#sessions.values()) {
      task(session, now)
      this.#wake(session, now)
    }
  }

  #tickSessions(now: Millis): void {
    let ticks = 0
    for (const session of this.#sessions.values()) {
      if (session.dueAt <= now + COALESCE_MS) {
        if (++ticks % TICKS_AT_ONCE === 0) this.#deps.readSocket()
        // Read anew for each peer: the round trip starts when its own probe goes.
        const own = this.#deps.now()
        session.tick(own)
        session.dueAt = session.nextAt(own)
      }
    }
    this.#findWake()
  }

  #findWake(): void {
    this.#isWakeStale = false
    this.#wakeAt = Number.POSITIVE_INFINITY
    for (const { dueAt } of this.#sessions.values()) this.#wakeAt = Math.min(this.#wakeAt, dueAt)
  }

  /** Something happened to the session, so its timers may be due sooner. An ended session has none. */
  #wake(session: Session | undefined, now: Millis): void {
    if (session === undefined || this.#sessions.get(session.hostId) !== session) return
    const before = session.dueAt
    session.dueAt = session.nextAt(now)
    if (session.dueAt <= this.#wakeAt) this.#wakeAt = session.dueAt
    else if (before <= this.#wakeAt) this.#isWakeStale = true
  }

  #begin(message: Extract<ToProcess, { type: 'session' }>, now: Millis): void {
    const { attempt, families, hostId, secret, startInMs = 0, validUntil } = message
    const start: SessionStart = {
      hostId,
      attempt,
      secret: Buffer.from(secret, 'hex'),
      candidates: message.candidates,
      validUntil,
      families,
      startInMs,
    }
    const present = this.#sessions.get(hostId)
    if (present?.isEnded === true) present.close()
    else if (present !== undefined) {
      present.renew(start, now)
      return
    }
    // Without sessions no timer ran: without this the one for reports would look late by all that time.
    if (this.#sessions.size === 0) this.#reportAt = now + REPORT_MS
    try {
      this.#sessions.set(hostId, new Session(start, this.#sessionDeps()))
      this.#deps.log.debug({ peer: hostId }, 'direct path was offered')
    } catch (err) {
      // Two keys have the same index, once in 2^32: the gateway begins another attempt.
      this.#deps.log.warn({ peer: hostId, err }, 'direct path could not be tried')
      this.#deps.report({ type: 'ended', hostId, attempt, reason: errorText(err) })
    }
  }

  #order(message: ToProcess, hostId: number, now: Millis): void {
    const session = this.#sessions.get(hostId)
    if (session === undefined || session.isEnded) {
      if (message.type !== 'promote') return
      const { attempt, generation } = message
      this.#deps.report({ type: 'notPromoted', hostId, attempt, generation, reason: 'no such session' })
      return
    }
    if (message.type === 'candidates') {
      if (message.attempt !== session.attempt) return
      session.path.offer(message.candidates, now)
    } else if (message.type === 'promote') session.promotion.promote(message.attempt, message.generation)
    else if (message.type === 'demote') session.promotion.demote(message.generation, message.reason)
    else if (message.type === 'gatewayPath') session.promotion.gatewayPath(message.isUp)
    else if (message.type === 'probeNow') session.path.retry(now)
    else if (message.type === 'end') {
      session.goodbye()
      this.#deps.log.info({ peer: hostId, reason: message.reason }, 'direct path was ended')
    }
  }

  #sessionDeps(): SessionDeps {
    return {
      ...this.#deps,
      isLocalFault: (now) => this.#guard.isLikely(this.#sessions.size, now),
      lagMs: () => this.#lagMs,
      judged: (hostId, what, reason) => this.#judged(hostId, what, reason),
      ended: (hostId) => {
        this.#sessions.delete(hostId)
        this.#guard.forget(hostId)
      },
    }
  }

  #judged(hostId: number, what: Judgement, reason?: string): void {
    const { log } = this.#deps
    if (what === 'suspect') this.#guard.suspected(hostId, this.#deps.now())
    else if (what !== 'extended') this.#guard.forget(hostId)
    if (what === 'proven') log.info({ peer: hostId }, 'direct path was proven')
    else if (what === 'lost') log.info({ peer: hostId, reason }, 'direct path was lost')
    else if (what === 'stays')
      log.warn({ peer: hostId, reason }, 'direct path was lost and kept, as the gateway path is down')
    else if (what === 'extended')
      log.warn(
        { peer: hostId },
        'direct path did not answer and was asked once more, as this host may be at fault',
      )
  }
}

const errorText = (err: unknown): string => (err instanceof Error ? err.message : String(err)).slice(0, 200)
