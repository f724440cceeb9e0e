/**
 * Chooses the form of a peer's packets. Pure.
 *
 * `whole` is twice as fast, but one lost datagram costs 44; `record` costs only CPU. They are equal at 0.2 % of loss.
 */
import type { Form } from '../types.ts'

/**
 * Loss is judged over this many datagrams or this much time. At 0.1 % of loss, chance takes three of a thousand every
 * few milliseconds, but never forty of 20,000.
 */
const WINDOW_DATAGRAMS = 20_000
const WINDOW_MS = 1_000
const LOSSY = 0.002
/** Loss so high that `whole` stands still is judged sooner. */
const BROKEN_DATAGRAMS = 1_000
const BROKEN = 0.01
const CLEAN = 0.0005
/**
 * A peer that asks for what it misses lets `whole` live with this much loss. More is a queue that overflows: the TCP
 * inside has to see it, and resends would only fill the queue.
 */
const RESENDABLE = 0.04
const HEAVY = 0.05
/** After heavy loss nothing is sent again for so long. */
const HEAVY_MS = 10_000
/** After loss, how long the path has to be clean before `whole` is tried again. */
const CLEAN_MS = 2_000
/** A longer round trip means that the path is no LAN, or that a queue is about to overflow. */
const FAR_MS = 5
const NEAR_MS = 4
/** Below this rate `whole` saves too little to be worth a risk. Rises count at once, falls after a longer time. */
const SLOW = 300e6 / 8 / 1_000
const RISE_MS = 100
const FALL_MS = 1_000

export type FormReason = 'loss' | 'resends' | 'round trip' | 'rate' | 'clean and fast' | 'fixed'

/** Measures the rate of loss over a number of datagrams or a time, whichever is over first. */
class LossWindow {
  readonly #most: number
  readonly #ms: number
  #datagrams = 0
  #lost = 0
  start = 0

  constructor(most: number, ms: number) {
    this.#most = most
    this.#ms = ms
  }

  /** @returns the rate once the window is full, and begins the next one; undefined before */
  add(datagrams: number, lost: number, now: number): number | undefined {
    this.#datagrams += datagrams
    this.#lost += lost
    if (this.#datagrams < this.#most && now - this.start < this.#ms) return undefined
    const rate = this.#datagrams === 0 ? 0 : this.#lost / this.#datagrams
    this.#datagrams = 0
    this.#lost = 0
    this.start = now
    return rate
  }
}

export class FormChooser {
  #form: Form = 'record'
  #reason: FormReason = 'rate'
  #fixed: Form | undefined
  readonly #long = new LossWindow(WINDOW_DATAGRAMS, WINDOW_MS)
  readonly #short = new LossWindow(BROKEN_DATAGRAMS, Number.POSITIVE_INFINITY)
  /** Start of the first clean window after the last one with loss. */
  #cleanSince: number | undefined
  #lossAt: number | undefined
  /** When loss last was such that resends help. */
  #resendableAt = Number.NEGATIVE_INFINITY
  #heavyAt = Number.NEGATIVE_INFINITY
  #rttMs = 0
  #now = 0
  /** The peer asks for what it misses. */
  canResend = false
  #bytes = 0
  #rateStart = 0
  #isFast = false

  get form(): Form {
    return this.#fixed ?? this.#form
  }

  get reason(): FormReason {
    return this.#fixed === undefined ? this.#reason : 'fixed'
  }

  /** @param form undefined: decide again */
  fix(form: Form | undefined): void {
    this.#fixed = form
  }

  /** Takes in an acknowledgement. @param rttMs least of the last second or two */
  observe(bytes: number, datagrams: number, lost: number, rttMs: number, now: number): void {
    this.#measureLoss(datagrams, lost, now)
    this.#measureRate(bytes, now)
    this.#rttMs = rttMs
    this.#now = now
    if (this.#lossAt !== undefined) this.#set('record', 'loss')
    else if (rttMs > (this.#form === 'whole' ? FAR_MS : NEAR_MS)) this.#set('record', 'round trip')
    else if (now - this.#resendableAt < CLEAN_MS) this.#set('whole', 'resends')
    else if (!this.#isFast) this.#set('record', 'rate')
    else if (this.#cleanSince !== undefined) this.#set('whole', 'clean and fast')
  }

  /**
   * Credit ran out several times without an acknowledgement. A queue that is shorter than a message lets none through
   * complete, so the peer acknowledges nothing and no loss would ever be measured.
   */
  unheard(now: number): void {
    this.#lossAt = now
    this.#cleanSince = undefined
    this.#set('record', 'loss')
  }

  #set(form: Form, reason: FormReason): void {
    this.#form = form
    this.#reason = reason
  }

  /** Whether resends help: the path is near, and its loss is not heavy. */
  get mayResend(): boolean {
    return this.#rttMs <= FAR_MS && this.#now - this.#heavyAt >= HEAVY_MS
  }

  #measureLoss(datagrams: number, lost: number, now: number): void {
    const short = this.#short.add(datagrams, lost, now)
    if (short !== undefined && short > HEAVY) this.#heavyAt = now
    const resends = this.canResend && now - this.#heavyAt >= HEAVY_MS
    if (short !== undefined && short > BROKEN) {
      if (resends) this.#resendableAt = now
      else this.#lossAt = now
      this.#cleanSince = undefined
    }
    const { start } = this.#long
    const long = this.#long.add(datagrams, lost, now)
    if (long === undefined) return
    if (resends && long >= CLEAN && long <= RESENDABLE) this.#resendableAt = now
    else if (long > LOSSY) this.#lossAt = now
    if (long >= CLEAN) this.#cleanSince = undefined
    else this.#cleanSince ??= start
    // Loss that was measured before the peer was known to ask does not count.
    if (long <= RESENDABLE && resends) this.#lossAt = undefined
    const isCleanLong = this.#cleanSince !== undefined && now - this.#cleanSince >= CLEAN_MS
    if (isCleanLong) this.#lossAt = undefined
  }

  #measureRate(bytes: number, now: number): void {
    this.#bytes += bytes
    const span = now - this.#rateStart
    if (span < (this.#isFast ? FALL_MS : RISE_MS)) return
    this.#isFast = this.#bytes / span >= SLOW
    this.#bytes = 0
    this.#rateStart = now
  }
}
