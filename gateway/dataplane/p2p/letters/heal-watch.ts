/** Notices that a cut beyond this host's own links has healed: silent hosts may be behind it. Pure. */

import type { Millis } from '../../../../core/clock.ts'
import { type Allowance, Bucket } from '../../../base/bucket.ts'

/** Hosts that can have a link have it by then: the return of one of those says nothing about others. */
const SETTLE_MS: Millis = 1_000
/** All silent hosts are called then, so a link far away that comes and goes must not do it each time. */
const RETURNS: Allowance = { burst: 3, perSecond: 1 / 60 }

export class HealWatch {
  readonly #returns = new Bucket(RETURNS)
  /** Hosts that members have a link to again, and since when. */
  readonly #found = new Map<number, Millis>()

  /** Members report a link to a host, and none did before. */
  found(hostId: number, now: Millis): void {
    if (!this.#found.has(hostId)) this.#found.set(hostId, now)
  }

  /**
   * Call it every now and then.
   * @param linked hosts that this one has a link to: it called again when that came up
   */
  isBack(linked: readonly number[], now: Millis): boolean {
    let isBack = false
    for (const [hostId, at] of this.#found) {
      if (now - at < SETTLE_MS) continue
      this.#found.delete(hostId)
      isBack ||= !linked.includes(hostId)
    }
    return isBack && this.#returns.spend(1, now)
  }
}
