/** For how long a condition has held that comes and goes, as the loss of a TCP connection does. Pure. */

import type { Millis } from '../../../core/clock.ts'

/**
 * TCP over a path that drops what is above 1 Mbit/s loses a third of its packets for 2 to 4 s, then none for up to 7 s
 * while it is slow. Without the gap such a path was left after 12 to 34 s, by chance.
 */
const GAP_MS: Millis = 8_000
/** Of that path it was 5 s in 10 at least; less often than this it is an accident that was repeated. */
const SHARE = 0.3

export interface Hold {
  readonly since: Millis
  /** When it was last seen to hold, and for how much of the time since `since`. */
  readonly seenAt: Millis
  readonly heldMs: Millis
  /** At the last look. */
  readonly isNow: boolean
}

/** To be called at each look. */
export function hold(before: Hold | undefined, isNow: boolean, now: Millis): Hold | undefined {
  if (before === undefined || now - before.seenAt > GAP_MS)
    return isNow ? { since: now, seenAt: now, heldMs: 0, isNow } : undefined
  if (!isNow) return { ...before, isNow }
  const heldMs = before.heldMs + (before.isNow ? now - before.seenAt : 0)
  return { since: before.since, seenAt: now, heldMs, isNow }
}

/** Whether it holds now, began `forMs` ago or before, and held for enough of the time since. */
export const hasHeld = (held: Hold | undefined, forMs: Millis): boolean =>
  held?.isNow === true &&
  held.seenAt - held.since >= forMs &&
  held.heldMs >= SHARE * (held.seenAt - held.since)
