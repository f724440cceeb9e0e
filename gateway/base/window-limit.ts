/** Bounds how often one client may ask, and all of them together, in each window of time. */

import type { Millis } from '../../core/clock.ts'

export interface WindowBounds {
  readonly windowMs: Millis
  readonly perClient: number
  /** Of all clients together, which bounds what is remembered of them. Absent: there are few. */
  readonly total?: number
}

export class WindowLimit {
  readonly #bounds: WindowBounds
  /** In this window. */
  readonly #asked = new Map<string, number>()
  #total = 0
  #until: Millis = 0

  constructor(bounds: WindowBounds) {
    this.#bounds = bounds
  }

  /** @param now monotonic @returns false: too often, and not counted */
  takes(client: string, now: Millis): boolean {
    const { windowMs, perClient, total = Infinity } = this.#bounds
    if (now >= this.#until) {
      this.#until = now + windowMs
      this.#total = 0
      this.#asked.clear()
    }
    const asked = this.#asked.get(client) ?? 0
    if (this.#total >= total || asked >= perClient) return false
    this.#total++
    this.#asked.set(client, asked + 1)
    return true
  }
}
