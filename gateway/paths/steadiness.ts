/** How far a direct way that came back is trusted: each early break lengthens its probation. Pure. */

import type { Millis } from '../../core/clock.ts'

/** Before it takes packets back from a relay. */
export const SETTLED_MS: Millis = 2_000
/** As NetBird and ZeroTier do: what does not hold is tried less and less, and never given up. */
const MOST_MS: Millis = 300_000
/** What has carried packets for so long was well; its end is the first of its kind. */
const STEADY_MS: Millis = 60_000

export class Steadiness {
  #stands = false
  #at: Millis
  /** How often it broke early, in a row. */
  #breaks = 0

  /** @param now monotonic, as below */
  constructor(now: Millis) {
    this.#at = now
  }

  /** @param stands whether it could carry packets @param isOrderly its other end said that it stops */
  see(stands: boolean, isOrderly: boolean, now: Millis): void {
    if (stands === this.#stands) return
    if (!stands && !isOrderly) this.#broke(now)
    this.#stands = stands
    this.#at = now
  }

  /** How long it has stood, or not. */
  forMs(now: Millis): Millis {
    return now - this.#at
  }

  /** How long it has to stand before it takes packets back from a relay. */
  get settlesMs(): Millis {
    return Math.min(SETTLED_MS * 2 ** Math.max(0, this.#breaks - 1), MOST_MS)
  }

  /** Its probation is no time in which it was well. */
  #broke(now: Millis): void {
    this.#breaks = this.forMs(now) < this.settlesMs + STEADY_MS ? this.#breaks + 1 : 1
  }
}
