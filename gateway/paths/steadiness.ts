/** How far a direct way that came back is trusted: each early break lengthens its probation. Pure. */

import type { Millis } from '../../core/clock.ts'

/** Before it takes packets back from a relay. */
export const SETTLED_MS: Millis = 2_000
/** What has stood for so long without a break is well: it is used, and its next end is the first of its kind. */
const STEADY_MS: Millis = 60_000
/**
 * What breaks so soon after it took packets broke by them, for instance because nothing large gets through. As NetBird
 * and ZeroTier do, it is tried less and less, and never given up.
 */
const BREAKS_BY_PACKETS_MS: Millis = 10_000
const MOST_MS: Millis = 300_000

export class Steadiness {
  #stands = false
  #at: Millis
  /** How often it broke early, in a row. */
  #breaks = 0
  #mostMs: Millis = STEADY_MS

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
    return Math.min(SETTLED_MS * 2 ** Math.max(0, this.#breaks - 1), this.#mostMs)
  }

  #broke(now: Millis): void {
    const carriedMs = this.forMs(now) - this.settlesMs
    const isByPackets = carriedMs >= 0 && carriedMs < BREAKS_BY_PACKETS_MS
    this.#breaks = isByPackets || this.forMs(now) < STEADY_MS ? this.#breaks + 1 : 1
    this.#mostMs = isByPackets ? MOST_MS : STEADY_MS
  }
}
