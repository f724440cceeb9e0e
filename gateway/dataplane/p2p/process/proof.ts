/** Counts the round trips that prove a path. Pure. */
import type { Millis } from '../../../../core/clock.ts'

/** Five in a row, two of them full-size, over at least 1 s. */
const ROUND_TRIPS = 5
const FULL_SIZE = 2
const SPAN_MS: Millis = 1_000
/**
 * A new session's proof takes 0.2 s: a path that never failed is right nearly always, and one that is wrong is left
 * within 0.6 s. Its probes are 50 ms apart, as RFC 8445, 14.2, paces checks.
 */
const FRESH_SPAN_MS: Millis = 200
export const FRESH_EVERY_MS: Millis = 50

export class Proof {
  #isFresh = true
  #row = 0
  #fullRow = 0
  #rowSince: Millis = 0

  /** No proof yet, and nothing was lost. */
  get isFresh(): boolean {
    return this.#isFresh
  }

  /** The row begins again. */
  break(): void {
    this.#row = 0
    this.#fullRow = 0
  }

  /** A probe was lost, or the path was: the next proof takes its time. */
  failed(): void {
    this.#isFresh = false
    this.break()
  }

  /** @returns whether this round trip completes the proof */
  count(sentAt: Millis, isFull: boolean, now: Millis): boolean {
    if (this.#row === 0) this.#rowSince = sentAt
    this.#row++
    if (isFull) this.#fullRow++
    if (this.#row < ROUND_TRIPS || this.#fullRow < FULL_SIZE) return false
    if (now - this.#rowSince < (this.#isFresh ? FRESH_SPAN_MS : SPAN_MS)) return false
    this.#isFresh = false
    return true
  }
}
