/** Decides for one peer which probe goes when, and when its path is proven, suspect or lost. Pure: the clock comes in. */
import type { Millis } from '../../../../core/clock.ts'
import { type Judged, RoundTrips } from './round-trips.ts'

// docs/architecture/paths.md#probing, "active probing": the 3 s and more that others wait find no outage below one second.
const BUSY_EVERY_MS: Millis = 250
const IDLE_EVERY_MS: Millis = 1_000
const QUIET_EVERY_MS: Millis = 5_000
/**
 * Idle paths are probed at multiples of this, so one turn of the loop sends the probes of many peers, and few turns
 * read the answers: a turn costs more than one more datagram in it.
 */
const TOGETHER_MS: Millis = 100
/** A path counts as busy for this long after its last packet, then as idle. */
const BUSY_FOR_MS: Millis = 10_000
const IDLE_FOR_MS: Millis = 60_000
/** "5 consecutive own round trips (≥ 1 s) incl. 2 full-size". */
const PROOF_ROUND_TRIPS = 5
const PROOF_FULL_SIZE = 2
const PROOF_SPAN_MS: Millis = 1_000
/** The burst that turns a suspicion into certainty: at 1 % loss it errs once in 10^8 times. */
const BURST = ['small', 'base', 'full'] as const
const BURST_EVERY_MS: Millis = 50
/** So long after the burst's last probe it is judged: 50 ms and what two round trips may take. */
const BURST_GRACE_MS: Millis = 50
const BURST_ROUND_TRIPS = 2
/** An answer that comes later is one to a probe that is forgotten. */
const LATE_MS: Millis = 2_000
/** Full-size probes without an answer in a row, while others answer, that mean a smaller path MTU; once in 10^6 at 1 % loss. */
const BLACK_HOLE_MISSES = 3
/** Of the probes of 1,280 bytes that go beside those: then no smaller size is worth a try, which would take another second. */
const BASE_MISSES = 2
/** While a full-size one is missing: TCP's third retransmission goes 1.4 s after the loss, and should find another way. */
const MISSING_EVERY_MS: Millis = 100

/** `small` fills no datagram, `base` one of 1,280 bytes, `full` one of the path MTU as it is taken to be. */
export type ProbeSize = 'small' | 'base' | 'full'

export type ProberAction =
  | { readonly do: 'send'; readonly seq: number; readonly size: ProbeSize }
  | { readonly do: 'report'; readonly what: 'proven' | 'suspect' | 'cleared' | 'extended' | 'lost' }
  /** Small datagrams arrive and full-size ones do not. @param isBaseLost nor do those of 1,280 bytes */
  | { readonly do: 'blackHole'; readonly isBaseLost: boolean }

interface Sent {
  readonly seq: number
  /** When it went, and later by what this process stood still since then. */
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
  #isProven = false
  /** Round trips in a row, and how many of them full-size; since when. */
  #row = 0
  #fullRow = 0
  #rowSince: Millis = 0
  #fullMisses = 0
  #baseMisses = 0
  #suspicion: Suspicion | undefined

  /** A path that is new to this host is probed like a busy one at first. */
  constructor(now: Millis) {
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

  /** Packets go to or come from the peer: after a pause the path is looked at before much of them is lost. */
  traffic(now: Millis): void {
    const everyMs = this.#everyMs(now)
    this.#trafficAt = now
    if (everyMs > BUSY_EVERY_MS) this.#dueAt = Math.min(this.#dueAt, now)
  }

  /** Probe at once: an address changed, or a person asked. */
  hurry(now: Millis): void {
    this.#dueAt = Math.min(this.#dueAt, now)
  }

  /** The path has failed: the proof begins anew, with the next probe in its time. */
  fail(now: Millis): void {
    this.#lose()
    this.#dueAt = now + BUSY_EVERY_MS
  }

  /** Whatever was proven is of no use any more: the proof begins anew, at once. */
  restart(now: Millis): void {
    this.#lose()
    this.#trafficAt = now
    this.hurry(now)
  }

  /** The peer is reached at another address now; a proof holds until the next probe there stays without an answer. */
  moved(now: Millis, rttMs: Millis | undefined): void {
    this.#out.clear()
    this.#suspicion = undefined
    this.#fullMisses = 0
    this.#baseMisses = 0
    this.trips.reset(rttMs ?? this.trips.srttMs)
    this.#trafficAt = now
    this.hurry(now)
  }

  /** `full` means other bytes now: the probes of the size before say nothing of it. */
  resized(): void {
    this.#fullMisses = 0
    for (const probe of this.#out.values()) if (probe.size === 'full') this.#out.delete(probe.seq)
  }

  /** This process stood still for so long that answers may be gone: nothing that is on its way is judged. */
  forgive(now: Millis): void {
    this.#out.clear()
    this.#suspicion = undefined
    this.hurry(now)
  }

  /** This process stood still so long: answers that came meanwhile wait in its socket, so that time is not the path's. */
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

  /** @param isLocalFault whether the fault is likely this host's: a burst is then made once more before it counts */
  tick(now: Millis, isLocalFault: () => boolean): ProberAction[] {
    const actions: ProberAction[] = []
    this.#judgeLate(now, actions)
    if (this.#suspicion !== undefined) this.#tickSuspicion(this.#suspicion, now, isLocalFault, actions)
    else if (now >= this.#dueAt) {
      // Every second one is full-size; while one is missing each is, with one of 1,280 bytes before it: a path MTU that
      // shrinks is known within 1.2 s.
      // Before the proof they take turns: only small ones say that the path is there at all.
      const isMissing = this.#isProven && this.#fullMisses > 0
      if (isMissing) actions.push(this.#send(now, 'base', false))
      const isFull = this.#turn++ % 2 === 1 || isMissing
      actions.push(this.#send(now, isFull ? 'full' : 'small', false))
      this.#dueAt = this.#nextDue(now)
    }
    return actions
  }

  /** @returns what changes by it; nothing for an answer to no probe of this path */
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
    if (!this.#isProven) this.#dueAt = Math.min(this.#dueAt, probe.at + BUSY_EVERY_MS)
    return actions
  }

  #nextDue(now: Millis): Millis {
    const everyMs = this.#everyMs(now)
    const at = now + everyMs
    return everyMs === BUSY_EVERY_MS ? at : Math.floor(at / TOGETHER_MS) * TOGETHER_MS
  }

  #everyMs(now: Millis): Millis {
    if (this.#isProven && this.#fullMisses > 0) return MISSING_EVERY_MS
    const silence = now - this.#trafficAt
    // While the proof is under way a path is probed as a busy one: it takes 1 s then.
    if (!this.#isProven && this.trips.srttMs !== undefined) return BUSY_EVERY_MS
    if (silence < BUSY_FOR_MS) return BUSY_EVERY_MS
    return silence < IDLE_FOR_MS ? IDLE_EVERY_MS : QUIET_EVERY_MS
  }

  #send(now: Millis, size: ProbeSize, isBurst: boolean): ProberAction {
    const seq = this.#nextSeq
    this.#nextSeq = (this.#nextSeq + 1) >>> 0
    this.#out.set(seq, { seq, at: now, size, isBurst })
    this.trips.sent()
    return { do: 'send', seq, size }
  }

  #count(probe: Sent, now: Millis, actions: ProberAction[]): void {
    if (this.#row === 0) this.#rowSince = probe.at
    this.#row++
    if (probe.size === 'full') this.#fullRow++
    if (this.#isProven) return
    if (this.#row < PROOF_ROUND_TRIPS || this.#fullRow < PROOF_FULL_SIZE) return
    if (now - this.#rowSince < PROOF_SPAN_MS) return
    this.#isProven = true
    actions.push({ do: 'report', what: 'proven' })
  }

  #judgeLate(now: Millis, actions: ProberAction[]): void {
    const { patienceMs } = this.trips
    for (const probe of this.#out.values()) {
      if (now - probe.at >= patienceMs + LATE_MS) this.#out.delete(probe.seq)
      if (probe.judged !== undefined || now - probe.at < patienceMs) continue
      probe.judged = this.trips.missed()
      this.#breakRow()
      if (probe.size === 'base') this.#baseMisses++
      if (probe.size === 'full') this.#missFull(actions)
      if (probe.isBurst || this.#suspicion !== undefined) continue
      // A path that never answered is not suspected: it is what it was.
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
    if (sent < BURST.length) return since + sent * BURST_EVERY_MS
    return (
      since +
      (BURST.length - 1) * BURST_EVERY_MS +
      BURST_GRACE_MS +
      BURST_ROUND_TRIPS * (this.trips.srttMs ?? 0)
    )
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
    this.#breakRow()
    this.#fullMisses = 0
    this.trips.reset()
  }

  #breakRow(): void {
    this.#row = 0
    this.#fullRow = 0
  }
}
