/** Decides when to probe one peer, and when its path is proven, suspect or lost. Pure: time is an argument. */
import type { Millis } from '../../../../core/clock.ts'
import { BURST, burstMs } from './burst.ts'
import {
  BUSY_EVERY_MS,
  everyMs,
  LEADS_ALONE,
  MISSING_EVERY_MS,
  nextDue,
  QUIET_EVERY_MS,
  type SharedTimes,
} from './cadence.ts'
import type { OwnProbe, ProberAction, ProbeSize } from './prober-action.ts'
import { FRESH_EVERY_MS, Proof } from './proof.ts'
import { type Judged, RoundTrips } from './round-trips.ts'

/** A later answer belongs to a probe that is forgotten. */
const LATE_MS: Millis = 2_000
/**
 * So many lost full-size probes in a row, while others get answers, mean a smaller path MTU; by chance once in 10^6.
 */
const BLACK_HOLE_MISSES = 3
/** If this many probes of 1,280 bytes are lost beside those, trying a smaller size would only cost another second. */
const BASE_MISSES = 2

interface Sent {
  readonly seq: number
  /** When it went. Moved on by the time for which this process stood still since then. */
  at: Millis
  readonly size: ProbeSize
  readonly isBurst: boolean
  judged?: Judged
}

interface Suspicion {
  since: Millis
  sent: number
  isExtended: boolean
}

export class Prober {
  readonly trips = new RoundTrips()
  readonly #out = new Map<number, Sent>()
  #nextSeq = 0
  #turn = 0
  #dueAt: Millis
  #trafficAt: Millis
  /** The next probe goes along with an answer to the peer. */
  #goesAlong = false
  readonly #times: SharedTimes
  #isProven = false
  readonly #proof = new Proof()
  #fullMisses = 0
  #baseMisses = 0
  #suspicion: Suspicion | undefined

  /** At first a new path is probed like a busy one. */
  constructor(now: Millis, times = LEADS_ALONE) {
    this.#times = times
    this.#dueAt = now
    this.#trafficAt = now
  }

  get isProven(): boolean {
    return this.#isProven
  }

  get isSuspect(): boolean {
    return this.#suspicion !== undefined
  }

  get isFullSize(): boolean {
    return this.#isProven && this.#fullMisses < BLACK_HOLE_MISSES
  }

  /** Proven, without packets for so long that it is probed as seldom as can be, and all is well. */
  isQuiet(now: Millis): boolean {
    return this.#suspicion === undefined && this.#everyMs(now) === QUIET_EVERY_MS
  }

  /** The peer probes. If an idle path's own probe is due soon, it goes behind the answer: two datagrams a wake-up. */
  peerProbed(now: Millis): void {
    if (!this.#isDueSoon(now)) return
    this.#goesAlong = true
    this.probeNow(now)
  }

  /** As `peerProbed`, for a peer that takes the own probe in the answer. @returns that probe, which counts as sent */
  alongWithAnswer(now: Millis): OwnProbe | undefined {
    if (!this.#isDueSoon(now)) return undefined
    this.#goesAlong = true
    return this.#sendNext(now)
  }

  #isDueSoon(now: Millis): boolean {
    const every = this.#everyMs(now)
    return every > BUSY_EVERY_MS && this.#suspicion === undefined && this.#dueAt - now < every / 2
  }

  /** Packets go to or come from the peer: after a pause, probe before many of them can be lost. */
  traffic(now: Millis): void {
    const every = this.#everyMs(now)
    this.#trafficAt = now
    if (every > BUSY_EVERY_MS) this.#dueAt = Math.min(this.#dueAt, now)
  }

  /** An address changed, or a person asked. */
  probeNow(now: Millis): void {
    this.#dueAt = Math.min(this.#dueAt, now)
  }

  /** The path has failed: the proof begins again with the next probe, which comes in its time. */
  fail(now: Millis): void {
    this.#proof.failed()
    this.#lose()
    this.#dueAt = now + BUSY_EVERY_MS
  }

  /** The proof no longer holds: begins it again at once. */
  restart(now: Millis): void {
    this.#lose()
    this.#trafficAt = now
    this.probeNow(now)
  }

  /** The peer has another address now. The proof holds until a probe there stays without an answer. */
  moved(now: Millis, rttMs: Millis | undefined): void {
    this.#out.clear()
    this.#suspicion = undefined
    this.#fullMisses = 0
    this.#baseMisses = 0
    this.trips.reset(rttMs ?? this.trips.srttMs)
    this.#trafficAt = now
    this.probeNow(now)
  }

  /** `full` means another size now, so earlier probes say nothing about it. */
  resized(): void {
    this.#fullMisses = 0
    for (const probe of this.#out.values()) if (probe.size === 'full') this.#out.delete(probe.seq)
  }

  /** This process stood still for so long that answers may be lost: does not judge the probes that are on their way. */
  forgive(now: Millis): void {
    this.#out.clear()
    this.#suspicion = undefined
    this.probeNow(now)
  }

  /** This process stood still for `ms`: answers wait in its socket, so this time is not the path's. */
  stoodStill(ms: Millis, now: Millis): void {
    for (const probe of this.#out.values()) probe.at = Math.min(now, probe.at + ms)
    if (this.#suspicion !== undefined) this.#suspicion.since = Math.min(now, this.#suspicion.since + ms)
  }

  /** When `tick` has something to do. */
  get nextAt(): Millis {
    const { patienceMs } = this.trips
    let at = this.#suspicion === undefined ? this.#dueAt : this.#suspicionAt(this.#suspicion)
    for (const probe of this.#out.values())
      if (probe.judged === undefined && !probe.isBurst) at = Math.min(at, probe.at + patienceMs)
    return at
  }

  /** @param isLocalFault whether this host is likely at fault: then a second burst has to confirm the first */
  tick(now: Millis, isLocalFault: () => boolean): ProberAction[] {
    const actions: ProberAction[] = []
    this.#judgeLate(now, actions)
    if (this.#suspicion !== undefined) this.#tickSuspicion(this.#suspicion, now, isLocalFault, actions)
    else if (now >= this.#dueAt) {
      if (this.#isMissing) actions.push(this.#send(now, 'base', false))
      actions.push(this.#sendNext(now))
    }
    return actions
  }

  /** @returns what to do; nothing if the answer belongs to no probe of this path */
  answered(seq: number, now: Millis): ProberAction[] {
    const probe = this.#out.get(seq)
    if (probe === undefined) return []
    this.#out.delete(seq)
    const roundTripMs = now - probe.at
    if (probe.judged === undefined) this.trips.answered(roundTripMs)
    else this.trips.late(probe.judged, roundTripMs)
    const actions: ProberAction[] = []
    if (probe.size === 'full') this.#fullMisses = 0
    if (probe.size !== 'small') this.#baseMisses = 0
    if (this.#suspicion !== undefined) {
      this.#suspicion = undefined
      this.#dueAt = this.#nextDue(now)
      actions.push({ do: 'report', what: 'cleared' })
    }
    if (probe.judged === undefined) this.#count(probe, now, actions)
    if (!this.#isProven) this.#dueAt = Math.min(this.#dueAt, probe.at + this.#everyMs(now))
    return actions
  }

  /**
   * Every second probe is full-size. While one is missing all are, each after a probe of 1,280 bytes: this notices a
   * shrunken path MTU within 1.2 s. Before the proof they alternate: only small ones show that there is a path.
   */
  #sendNext(now: Millis): OwnProbe {
    const isFull = this.#turn++ % 2 === 1 || this.#isMissing
    const probe = this.#send(now, isFull ? 'full' : 'small', false)
    this.#dueAt = this.#nextDue(now)
    return probe
  }

  get #isMissing(): boolean {
    return this.#isProven && this.#fullMisses > 0
  }

  #nextDue(now: Millis): Millis {
    const wentAlong = this.#goesAlong
    this.#goesAlong = false
    return nextDue(now, this.#everyMs(now), wentAlong, this.#times)
  }

  #everyMs(now: Millis): Millis {
    if (this.#isMissing) return MISSING_EVERY_MS
    if (this.#proof.isFresh && this.trips.srttMs !== undefined) return FRESH_EVERY_MS
    // Until the proof the path is probed like a busy one, so that the proof takes 1 s at most, and a path on trial 3 s.
    if (!(this.#isProven && this.trips.isTelling) && this.trips.srttMs !== undefined) return BUSY_EVERY_MS
    return everyMs(now - this.#trafficAt)
  }

  #send(now: Millis, size: ProbeSize, isBurst: boolean): OwnProbe {
    const seq = this.#nextSeq
    this.#nextSeq = (this.#nextSeq + 1) >>> 0
    this.#out.set(seq, { seq, at: now, size, isBurst })
    this.trips.sent()
    return { do: 'send', seq, size }
  }

  #count(probe: Sent, now: Millis, actions: ProberAction[]): void {
    const isComplete = this.#proof.count(probe.at, probe.size === 'full', now)
    if (this.#isProven || !isComplete) return
    this.#isProven = true
    actions.push({ do: 'report', what: 'proven' })
  }

  #judgeLate(now: Millis, actions: ProberAction[]): void {
    const { patienceMs } = this.trips
    for (const probe of this.#out.values()) {
      if (now - probe.at >= patienceMs + LATE_MS) this.#out.delete(probe.seq)
      if (probe.judged !== undefined || now - probe.at < patienceMs) continue
      probe.judged = this.trips.missed()
      // Before the first answer a far path only seems to lose probes: how long to wait is not known yet.
      if (this.trips.srttMs === undefined) this.#proof.break()
      else this.#proof.failed()
      if (probe.size === 'base') this.#baseMisses++
      if (probe.size === 'full') this.#missFull(actions)
      if (probe.isBurst || this.#suspicion !== undefined) continue
      // A path that never answered does not become suspect: nothing changed.
      if (!this.#isProven && this.trips.srttMs === undefined) continue
      this.#suspicion = { since: now, sent: 0, isExtended: false }
      actions.push({ do: 'report', what: 'suspect' })
    }
  }

  #missFull(actions: ProberAction[]): void {
    this.#fullMisses++
    if (this.#fullMisses >= BLACK_HOLE_MISSES && this.trips.srttMs !== undefined)
      actions.push({ do: 'blackHole', isBaseLost: this.#baseMisses >= BASE_MISSES })
  }

  #suspicionAt({ since, sent }: Suspicion): Millis {
    return since + burstMs(sent, this.trips.srttMs ?? 0)
  }

  #tickSuspicion(
    suspicion: Suspicion,
    now: Millis,
    isLocalFault: () => boolean,
    actions: ProberAction[],
  ): void {
    for (let size = BURST[suspicion.sent]; size !== undefined; size = BURST[suspicion.sent]) {
      if (now < this.#suspicionAt(suspicion)) return
      actions.push(this.#send(now, size, true))
      suspicion.sent++
    }
    if (now < this.#suspicionAt(suspicion)) return
    if (!suspicion.isExtended && isLocalFault()) {
      this.#suspicion = { since: now, sent: 0, isExtended: true }
      actions.push({ do: 'report', what: 'extended' })
      return
    }
    this.fail(now)
    actions.push({ do: 'report', what: 'lost' })
  }

  #lose(): void {
    this.#out.clear()
    this.#suspicion = undefined
    this.#isProven = false
    this.#proof.break()
    this.#fullMisses = 0
    this.trips.reset()
  }
}
