/** Limits how often the same text is logged. Bounded, because the texts come from strangers. */

import type { Millis } from '../../core/clock.ts'

const MAX_TEXTS = 1_024

export class LogLimiter {
  readonly #everyMs: Millis
  readonly #saidAt = new Map<string, Millis>()

  constructor(everyMs: Millis) {
    this.#everyMs = everyMs
  }

  /**
   * @param now monotonic
   * @returns whether to log it now; then the text has to wait again
   */
  isDue(text: string, now: Millis): boolean {
    const at = this.#saidAt.get(text)
    if (at !== undefined && now - at < this.#everyMs) return false
    this.#saidAt.delete(text)
    this.#saidAt.set(text, now)
    // The oldest goes: a Map keeps the order of insertion.
    const [oldest] = this.#saidAt.keys()
    if (this.#saidAt.size > MAX_TEXTS && oldest !== undefined) this.#saidAt.delete(oldest)
    return true
  }
}
