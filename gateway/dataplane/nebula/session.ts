/** One peer's way through Nebula: its probes, and whether packets go by it. Demotes without asking the escalation. */

import type { Millis } from '../../../core/clock.ts'
import { Heard } from '../p2p/process/heard.ts'
import { Prober } from '../p2p/process/prober.ts'
import type { ProberAction, ProbeSize } from '../p2p/process/prober-action.ts'
import { Promotion } from '../p2p/process/promotion.ts'
import type { DirectRoutes } from '../p2p/process/routes.ts'
import type { DemotionReason, FromProcess, SessionView, ToProcess } from '../p2p/protocol.ts'
import { DATAGRAM_BYTES, open, type ProbeKeys, probeKeys, sealAnswer, sealProbe } from './datagram.ts'

export type SessionStart = Extract<ToProcess, { type: 'session' }>

export interface SessionDeps {
  readonly hostId: number
  now(): Millis
  /** Since the epoch. */
  wallClock(): Millis
  randomToken(): number
  readonly mtu: number
  readonly routes: Pick<DirectRoutes, 'add' | 'remove'>
  isLocalFault(): boolean
  /** By how much the loop was late at most since the last view. */
  lagMs(): Millis
  /** To the peer's bridge address. */
  send(hostId: number, port: number, datagram: Buffer): void
  report(message: FromProcess): void
  /** For the log. */
  judged(
    hostId: number,
    what: 'proven' | 'suspect' | 'cleared' | 'extended' | 'lost' | 'stays',
    reason?: string,
  ): void
}

/** IPv4 and UDP. */
const HEADERS = 28
/** What every network carries: between the two sizes lies the fault. */
const BASE_BYTES = 576

export class NebulaSession {
  readonly hostId: number
  readonly attempt: string
  readonly prober: Prober
  readonly promotion: Promotion
  readonly #deps: SessionDeps
  readonly #keys: ProbeKeys
  readonly #token: number
  readonly #heard = new Heard()
  readonly #port: number
  readonly #address: string
  #validUntil: Millis
  #peerLossRate: number | undefined
  #since: Millis
  #version = 0
  #reported = -1

  constructor(start: SessionStart, deps: SessionDeps) {
    this.#deps = deps
    this.hostId = start.hostId
    this.attempt = start.attempt
    this.#keys = probeKeys(Buffer.from(start.secret, 'hex'), deps.hostId < start.hostId)
    this.#token = deps.randomToken()
    this.#address = start.candidates[0]?.address ?? ''
    this.#port = Number(/:(\d+)$/.exec(this.#address)?.[1] ?? 0)
    this.#validUntil = start.validUntil
    this.#since = deps.wallClock()
    this.prober = new Prober(deps.now())
    this.promotion = this.#makePromotion()
  }

  get isExpired(): boolean {
    return this.#deps.wallClock() >= this.#validUntil
  }

  nextAt(): Millis {
    return this.prober.nextAt
  }

  tick(now: Millis): void {
    this.#act(
      this.prober.tick(now, () => this.#deps.isLocalFault()),
      now,
    )
  }

  /** @returns whether the datagram is of this peer and this try */
  received(datagram: Buffer, now: Millis): boolean {
    const opened = open(this.#keys, datagram)
    if (opened === undefined) return false
    this.#version++
    if (opened.type === 'answer') {
      if (opened.answer.token !== this.#token) return false
      this.#heard.answer(now)
      this.#act(this.prober.answered(opened.answer.seq, now), now)
      return true
    }
    const { probe } = opened
    this.#heard.probe(now)
    this.#peerLossRate = probe.lossRate
    const counts = { observed: undefined, rxDatagrams: 0, rxBytes: 0 }
    const lossRate = this.prober.trips.lossRate
    this.#deps.send(this.hostId, this.#port, sealAnswer(this.#keys, { ...probe, ...counts, lossRate }))
    this.prober.peerProbed(now)
    return true
  }

  /** After a renewal of certificates. */
  prolong(validUntil: Millis): void {
    this.#validUntil = validUntil
  }

  /** The device is gone, or the keys are no longer valid. */
  end(reason: DemotionReason): void {
    const { attempt, hostId } = this
    this.promotion.demoteSelf(reason)
    this.#deps.report({ type: 'ended', hostId, attempt, reason })
  }

  /** By the gateway's order. */
  close(): void {
    this.promotion.drop()
  }

  /** Once a second. */
  reportChanges(): void {
    if (this.#version !== this.#reported) this.reportNow()
  }

  reportNow(): void {
    this.#reported = this.#version
    this.#deps.report({ type: 'state', session: this.view() })
  }

  view(): SessionView {
    const { isFullSize, isProven, trips } = this.prober
    const { counts, jitterMs, lossRate, srttMs } = trips
    const now = this.#deps.now()
    return {
      hostId: this.hostId,
      attempt: this.attempt,
      ...this.promotion.view,
      isProven,
      isFullSize,
      address: this.#address,
      ...(srttMs !== undefined && { rttMs: srttMs }),
      ...(jitterMs !== undefined && { jitterMs }),
      lossRate,
      ...(this.#peerLossRate !== undefined && { peerLossRate: this.#peerLossRate }),
      probes: counts,
      heard: this.#heard.view(now, this.#deps.wallClock()),
      mtu: this.#deps.mtu,
      form: 'record',
      // Nebula counts for the device as a whole.
      txBytes: 0,
      rxBytes: 0,
      txBps: 0,
      rxBps: 0,
      lagMs: this.#deps.lagMs(),
      since: this.#since,
    }
  }

  #act(actions: readonly ProberAction[], now: Millis): void {
    for (const action of actions) {
      if (action.do === 'send') this.#probe(action.seq, action.size)
      // The device's MTU is what it is: a way that loses packets of that size is none.
      else if (action.do === 'blackHole') this.#fail(now)
      else if (action.what === 'lost') this.#lose('no answer')
      else this.#judged(action.what)
    }
  }

  #probe(seq: number, size: ProbeSize): void {
    const full = this.#deps.mtu - HEADERS
    const bytes =
      size === 'full' ? full : size === 'base' ? Math.min(full, BASE_BYTES - HEADERS) : DATAGRAM_BYTES
    const { lossRate } = this.prober.trips
    this.#version++
    const probe = { kind: 'path', token: this.#token, seq, lossRate } as const
    this.#deps.send(this.hostId, this.#port, sealProbe(this.#keys, probe, bytes))
  }

  #makePromotion(): Promotion {
    const { hostId } = this
    const { judged, report, routes } = this.#deps
    return new Promotion({
      hostId,
      unit: 'packets',
      routes,
      attempt: () => this.attempt,
      prober: () => this.prober,
      report: (message) => report(message),
      reportNow: () => this.reportNow(),
      judged: (what, reason) => judged(hostId, what, reason),
    })
  }

  #judged(what: 'proven' | 'suspect' | 'cleared' | 'extended'): void {
    this.#deps.judged(this.hostId, what)
    this.#version++
    if (what !== 'proven') return
    this.#since = this.#deps.wallClock()
    this.reportNow()
  }

  #fail(now: Millis): void {
    this.prober.fail(now)
    this.#lose('no answer')
  }

  #lose(reason: DemotionReason): void {
    this.#since = this.#deps.wallClock()
    this.promotion.lost(reason)
  }
}
