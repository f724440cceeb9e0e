/**
 * Which form a peer's packets take. Pure. Whole is twice as fast and loses 44 datagrams with one; record costs only CPU.
 * They cross at 0.2 % of loss.
 */
import type { Form } from '../types.ts'

/**
 * Loss is judged over so many datagrams, or what came in so long: at 0.1 % a thousand of them lose three by chance each
 * few milliseconds, 20,000 lose forty never.
 */
const WINDOW_DATAGRAMS = 20_000
const WINDOW_MS = 1_000
const LOSSY = 0.002
/** Loss that needs no such care: whole stands still with it. */
const BROKEN_DATAGRAMS = 1_000
const BROKEN = 0.01
const CLEAN = 0.0005
/** So long clean after loss before whole is tried again. */
const CLEAN_MS = 2_000
/** Round trips above this are no LAN, or a queue that will overflow. */
const FAR_MS = 5
const NEAR_MS = 4
/** Below this whole saves nothing worth a risk. Judged over a short time upwards and a long one downwards. */
const SLOW = 300e6 / 8 / 1_000
const RISE_MS = 100
const FALL_MS = 1_000

export type FormReason = 'loss' | 'round trip' | 'rate' | 'clean and fast' | 'fixed'

/** The rate of loss over a number of datagrams or a time, whichever is full first. */
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

  /** @returns the rate once the window is full, which begins the next; else undefined */
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
  /** Start of the first clean window since the last that was not. */
  #cleanSince: number | undefined
  #lossAt: number | undefined
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

  /** What an acknowledgement told. @param rttMs least of the last second or two */
  observe(bytes: number, datagrams: number, lost: number, rttMs: number, now: number): void {
    this.#measureLoss(datagrams, lost, now)
    this.#measureRate(bytes, now)
    if (this.#lossAt !== undefined) this.#set('record', 'loss')
    else if (rttMs > (this.#form === 'whole' ? FAR_MS : NEAR_MS)) this.#set('record', 'round trip')
    else if (!this.#isFast) this.#set('record', 'rate')
    else if (this.#cleanSince !== undefined) this.#set('whole', 'clean and fast')
  }

  /**
   * Credit after credit was used up without an acknowledgement. A queue that is shorter than a message lets none through
   * whole, so nothing is acknowledged, and no loss would ever be measured.
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

  #measureLoss(datagrams: number, lost: number, now: number): void {
    const short = this.#short.add(datagrams, lost, now)
    if (short !== undefined && short > BROKEN) {
      this.#lossAt = now
      this.#cleanSince = undefined
    }
    const { start } = this.#long
    const long = this.#long.add(datagrams, lost, now)
    if (long === undefined) return
    if (long > LOSSY) this.#lossAt = now
    if (long >= CLEAN) this.#cleanSince = undefined
    else this.#cleanSince ??= start
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
