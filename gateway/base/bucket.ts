/** An allowance that fills up with time: so much at once, and so much a second after it. */

import type { Millis } from '../../core/clock.ts'

export interface Allowance {
  /** Held at most, and at the start. */
  readonly burst: number
  readonly perSecond: number
}

export class Bucket {
  readonly #allowance: Allowance
  #left: number
  #at: Millis | undefined

  constructor(allowance: Allowance) {
    this.#allowance = allowance
    this.#left = allowance.burst
  }

  /** @param now monotonic. @returns whether there was so much; otherwise nothing is taken */
  spend(amount: number, now: Millis): boolean {
    if (!this.holds(amount, now)) return false
    this.#left -= amount
    return true
  }

  /** @param now monotonic. @returns whether there is so much; nothing is taken */
  holds(amount: number, now: Millis): boolean {
    const { burst, perSecond } = this.#allowance
    this.#left = Math.min(burst, this.#left + ((now - (this.#at ?? now)) * perSecond) / 1000)
    this.#at = now
    return this.#left >= amount
  }
}
