/**
 * Limits how often new endpoints of one host are accepted.
 *
 * Each time they are written to disk, sent to all peers, and make every host dial again.
 */

import type { Millis } from '../../../core/clock.ts'

/**
 * A host looks at its addresses every 10 s; one that starts, or whose network comes up in pieces, has a few changes
 * at once.
 */
const WINDOW_MS: Millis = 10_000
const MAX_CHANGES = 5

export class Pace {
  /** Members only, so there are few. */
  readonly #changes = new Map<number, { readonly since: Millis; count: number }>()

  /** @param now monotonic @returns false: too often; what is left out comes with the digests of the next link */
  reserve(hostId: number, now: Millis): boolean {
    const known = this.#changes.get(hostId)
    if (known === undefined || now - known.since >= WINDOW_MS) {
      this.#changes.set(hostId, { since: now, count: 1 })
      return true
    }
    known.count++
    return known.count <= MAX_CHANGES
  }
}
