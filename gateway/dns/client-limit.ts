/** Bounds how many questions one container may ask by UDP, so that a flood does not take the gateway's time. */

import type { Millis } from '../../core/clock.ts'

const WINDOW_MS: Millis = 100
/** 10,000 in a second: more than any program asks, and half of what one core answers. */
const MAX_IN_WINDOW = 1_000

export class ClientLimit {
  readonly #asked = new Map<string, number>()
  #until: Millis = 0

  /** @param now monotonic @returns false: to be dropped unread */
  takes(client: string, now: Millis): boolean {
    if (now >= this.#until) {
      this.#asked.clear()
      this.#until = now + WINDOW_MS
    }
    const asked = (this.#asked.get(client) ?? 0) + 1
    this.#asked.set(client, asked)
    return asked <= MAX_IN_WINDOW
  }
}
