/** One peer's session: its path, its keys, and whether packets go over it. Demotes without asking the gateway. */
import type { Millis } from '../../../../core/clock.ts'
import type { DemotionReason, SessionView } from '../protocol.ts'
import type { PlanePeer } from '../udp/types.ts'
import { follows } from './cadence.ts'
import { Delivery } from './delivery.ts'
import { lingerMs } from './linger.ts'
import { ControlType } from './messages.ts'
import { PeerPath } from './peer-path.ts'
import { Promotion } from './promotion.ts'
import { allows, type SessionDeps, type SessionStart } from './session-deps.ts'
import { SessionKeys } from './session-keys.ts'
import { Throughput } from './throughput.ts'

/** 253 quiet paths made 76 `state` lines a second: 7 % of this process's time, beside the gateway's. */
const REPORT_QUIET_MS: Millis = 30_000

export class Session {
  readonly hostId: number
  readonly path: PeerPath
  readonly peer: PlanePeer
  readonly promotion: Promotion
  /** The last result of `nextAt`, cached: asking all 253 sessions at each tick took 2 % of a core. */
  dueAt: Millis = Number.NEGATIVE_INFINITY
  /** Over for the gateway; it may linger still. */
  isEnded = false
  readonly #deps: SessionDeps
  readonly #keys: SessionKeys
  readonly #throughput: Throughput
  #delivery: Delivery
  #attempt: string
  #start: SessionStart
  #closeAt: Millis = 0
  #since: Millis
  #version = 0
  #reported = -1
  #reportedAt: Millis = Number.NEGATIVE_INFINITY

  constructor(start: SessionStart, deps: SessionDeps) {
    const now = deps.now()
    this.#deps = deps
    this.hostId = start.hostId
    this.#attempt = start.attempt
    this.#start = start
    this.#since = deps.wallClock()
    this.#throughput = new Throughput(now)
    this.#keys = this.#openKeys(start.secret, now)
    this.peer = deps.plane.addPeer({ hostId: start.hostId, keys: this.#keys.keys })
    this.#keys.attach(this.peer)
    this.#delivery = new Delivery(this.peer.counters, now)
    this.path = this.#openPath(now)
    this.promotion = this.#makePromotion()
    this.path.offer(start.candidates, now + (start.startInMs ?? 0))
  }

  get attempt(): string {
    return this.#attempt
  }

  /** When `tick` has something to do. */
  nextAt(now: Millis): Millis {
    if (this.isEnded) return this.#closeAt
    const validFor = Math.max(0, this.#start.validUntil - this.#deps.wallClock())
    return Math.min(this.path.nextAt(now), this.#keys.nextAt, now + validFor)
  }

  tick(now: Millis): void {
    if (this.isEnded && now >= this.#closeAt) this.close()
    if (this.isEnded) return
    if (this.#deps.wallClock() >= this.#start.validUntil) this.end('keys expired')
    if (this.isEnded) return
    this.look(now)
    this.path.tick(now)
    if (!this.isEnded) this.#keys.tick(now, this.path.prober.isProven)
  }

  /** @returns whether packets passed since the last look */
  look(now: Millis): boolean {
    if (this.isEnded) return false
    const { txBytes, rxBytes } = this.peer.counters
    this.#delivery.watch(this.peer.counters, now)
    if (!this.#throughput.moved(txBytes, rxBytes)) return false
    this.#version++
    this.path.prober.traffic(now)
    return true
  }

  /** Handles a control datagram of the peer, which the plane has opened. */
  control(type: number, payload: Uint8Array, from: string, now: Millis): void {
    if (this.isEnded) return
    this.#version++
    if (type === ControlType.probe) this.path.probed(payload, from, now)
    else if (type === ControlType.answer) this.path.answered(payload, from, now)
    else if (type === ControlType.rekeyOffer) this.#keys.offered(payload)
    else if (type === ControlType.rekeyAnswer) this.#keys.answered(payload, now)
    else if (type === ControlType.goodbye) this.end('peer said goodbye')
  }

  keysConfirmed(now: Millis): void {
    this.#keys.confirmed(now)
  }

  /** Begins a new attempt with new keys on the same path, which carries packets while it answers. */
  renew(start: SessionStart, now: Millis): void {
    this.#start = start
    this.path.offer(start.candidates, now + (start.startInMs ?? 0))
    if (start.attempt === this.#attempt) return
    this.#attempt = start.attempt
    const isInUse = this.promotion.isPromoted
    if (isInUse) this.path.renew(now)
    else this.path.restart(now)
    this.#keys.renew(start.secret, isInUse, now)
    this.reportNow()
  }

  /** Ends the session by itself: removes the route, forgets the keys, and reports it to the gateway. */
  end(reason: DemotionReason): void {
    if (this.isEnded) return
    const { attempt, hostId } = this
    this.promotion.demoteSelf(reason)
    if (reason === 'peer said goodbye') this.#linger()
    else this.close()
    this.#deps.report({ type: 'ended', hostId, attempt, reason })
  }

  /** Ends the session by the gateway's order, and tells the peer, which would otherwise have to notice the silence. */
  goodbye(): void {
    if (this.isEnded) return
    this.promotion.drop()
    if (this.peer.address !== undefined) this.#send(ControlType.goodbye, new Uint8Array(0))
    this.#linger()
  }

  /** Sends a `state` line if something changed since the last one: of a quiet path, only when its probes came. */
  reportChanges(now: Millis): void {
    if (this.#version === this.#reported) return
    if (!this.path.prober.isQuiet(now) || now - this.#reportedAt >= REPORT_QUIET_MS) this.reportNow()
  }

  reportNow(): void {
    if (this.isEnded) return
    this.#reported = this.#version
    this.#reportedAt = this.#deps.now()
    this.#deps.report({ type: 'state', session: this.view(), ...this.#deps.ignored() })
  }

  view(): SessionView {
    const { hostId, path, peer } = this
    const { txBytes, rxBytes, rxForged, rxReplayed, rxMalformed, rxRefused } = peer.counters
    const now = this.#deps.now()
    return {
      hostId,
      attempt: this.#attempt,
      ...this.promotion.view,
      ...path.view(),
      heard: path.heard.view(now, this.#deps.wallClock()),
      form: peer.form,
      txBytes,
      rxBytes,
      ...this.#throughput.rates(txBytes, rxBytes, now),
      ...this.#delivery.view(now),
      refused: { forged: rxForged, replayed: rxReplayed, malformed: rxMalformed, packets: rxRefused },
      lagMs: this.#deps.lagMs(),
      since: this.#since,
    }
  }

  #openKeys(secret: Uint8Array, now: Millis): SessionKeys {
    const { cipher, hostId, rekeyEveryMs } = this.#deps
    return new SessionKeys(
      secret,
      {
        owner: { hostId, peerId: this.hostId },
        cipher,
        rekeyEveryMs,
        sendOffer: (message) => this.#send(ControlType.rekeyOffer, message),
        sendAnswer: (message) => this.#send(ControlType.rekeyAnswer, message),
        changed: () => this.path.prober.probeNow(this.#deps.now()),
        expired: () => this.end('keys expired'),
      },
      now,
    )
  }

  #openPath(now: Millis): PeerPath {
    const { canReach, plane, isLan, randomToken, relays } = this.#deps
    return new PeerPath(
      {
        plane,
        peer: this.peer,
        isLower: this.#deps.hostId < this.hostId,
        isLan,
        canReach: (address) => allows(this.#start, address) && canReach(address),
        relays,
        times: {
          isFollower: follows(this.#deps.hostId, this.hostId),
          clockOffsetMs: () => this.#deps.wallClock() - this.#deps.now(),
        },
        isLocalFault: () => this.#deps.isLocalFault(this.#deps.now()),
        randomToken,
        judged: (what) => this.#judged(what),
        lost: (reason) => this.#lost(reason),
        moved: () => this.reportNow(),
        observed: (address) => this.#deps.report({ type: 'observed', hostId: this.hostId, address }),
      },
      now,
    )
  }

  #makePromotion(): Promotion {
    const { hostId } = this
    const { judged, report, routes } = this.#deps
    return new Promotion({
      hostId,
      unit: 'datagrams',
      routes,
      attempt: () => this.#attempt,
      prober: () => this.path.prober,
      report: (message) => report(message),
      reportNow: () => this.reportNow(),
      judged: (what, reason) => judged(hostId, what, reason),
      // Earlier losses must not end the next promotion.
      left: () => {
        this.#delivery = new Delivery(this.peer.counters, this.#deps.now())
      },
    })
  }

  #judged(what: 'proven' | 'suspect' | 'cleared' | 'extended'): void {
    this.#deps.judged(this.hostId, what)
    if (what === 'proven') {
      this.#since = this.#deps.wallClock()
      this.reportNow()
    } else this.#version++
  }

  #lost(reason: DemotionReason): void {
    this.#since = this.#deps.wallClock()
    this.promotion.lost(reason)
  }

  #linger(): void {
    this.isEnded = true
    this.#closeAt = this.#deps.now() + lingerMs(this.path.prober.trips.srttMs)
  }

  /** Forgets the keys at once. */
  close(): void {
    this.isEnded = true
    this.#deps.plane.removePeer(this.hostId)
    this.#deps.ended(this.hostId)
  }

  #send(type: number, message: Uint8Array): void {
    this.#deps.plane.sendControl(this.peer, type, message)
  }
}
