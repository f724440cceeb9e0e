/** Slows probing where names are contested again and again (RFC 6762 8.1). Pure. */

import type { Millis } from '../../core/clock.ts'

/** Fifteen conflicts within ten seconds, and each further probe waits for five. */
const CONFLICTS = 15
const WITHIN_MS: Millis = 10_000
const WAIT_MS: Millis = 5_000

/** Of all names of a link. */
export class ConflictPace {
  /** When the last of them were. */
  readonly #at: Millis[] = []

  conflict(now: Millis): void {
    this.#at.push(now)
    if (this.#at.length > CONFLICTS) this.#at.shift()
  }

  /** How long the next probe waits. */
  waitMs(now: Millis): Millis {
    const [first = -Infinity] = this.#at
    return this.#at.length === CONFLICTS && now - first <= WITHIN_MS ? WAIT_MS : 0
  }
}
