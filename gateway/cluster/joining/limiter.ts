/** Slows down addresses that guess: so many failures a minute, then a minute's rest. */

import type { Millis } from '../../../core/clock.ts'

const WINDOW_MS: Millis = 60_000
/** A person who mistypes needs three; 128 bits are not found at any rate that this would allow. */
const MAX_FAILURES = 8
/** Strangers must not fill the memory. */
const MAX_ADDRESSES = 1_024

export class FailureLimiter {
  readonly #failures = new Map<string, { since: Millis; count: number }>()

  /** @param now monotonic */
  isBlocked(address: string, now: Millis): boolean {
    const known = this.#failures.get(address)
    return known !== undefined && known.count >= MAX_FAILURES && now - known.since < WINDOW_MS
  }

  failed(address: string, now: Millis): void {
    const known = this.#failures.get(address)
    if (known !== undefined && now - known.since < WINDOW_MS) known.count++
    else {
      this.#failures.delete(address)
      this.#failures.set(address, { since: now, count: 1 })
    }
    // In order of insertion: the oldest goes.
    const [oldest] = this.#failures.keys()
    if (this.#failures.size > MAX_ADDRESSES && oldest !== undefined) this.#failures.delete(oldest)
  }
}
