/** What may be said again only after a while, for each text. Bounded: the texts come from strangers. */

import type { Millis } from '../../core/clock.ts'

const MAX_TEXTS = 1_024

export class LogLimiter {
  readonly #everyMs: Millis
  readonly #saidAt = new Map<string, Millis>()

  constructor(everyMs: Millis) {
    this.#everyMs = everyMs
  }

  /** @param now monotonic @returns whether it may be said, which is then taken as done */
  isDue(text: string, now: Millis): boolean {
    const at = this.#saidAt.get(text)
    if (at !== undefined && now - at < this.#everyMs) return false
    this.#saidAt.delete(text)
    this.#saidAt.set(text, now)
    // In order of insertion: the oldest goes.
    const [oldest] = this.#saidAt.keys()
    if (this.#saidAt.size > MAX_TEXTS && oldest !== undefined) this.#saidAt.delete(oldest)
    return true
  }
}
