/**
 * A token bucket that lends: bytes go at once, and their sender waits until they are paid for.
 *
 * Time is an argument.
 */

import type { Millis } from '../../../core/clock.ts'

export interface Rate {
  /** @returns how long to send nothing more; 0: go on */
  reserve(bytes: number, now: Millis): Millis
}

/**
 * Lending keeps small answers quick: those of the quiet direction do not wait behind the loud one. What goes beyond the
 * rate is at most the one piece that each direction has on its way.
 */
export class TokenBucket implements Rate {
  readonly #bytesPerMs: number
  readonly #burstBytes: number
  #tokens: number
  #at: Millis

  /** Full. @param now monotonic */
  constructor(bytesPerS: number, burstBytes: number, now: Millis) {
    this.#bytesPerMs = bytesPerS / 1_000
    this.#burstBytes = burstBytes
    this.#tokens = burstBytes
    this.#at = now
  }

  reserve(bytes: number, now: Millis): Millis {
    const earned = Math.max(0, now - this.#at) * this.#bytesPerMs
    this.#at = now
    this.#tokens = Math.min(this.#burstBytes, this.#tokens + earned) - bytes
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#bytesPerMs
  }
}
