/**
 * Tells by the letter that another one follows how long the way is, and whether that one was written just now. Pure.
 */

import type { Millis } from '../../../../core/clock.ts'
import { isObject } from '../../../../core/json.ts'

/** A letter with a longer round trip was kept on the way, there or back. */
const MAX_RTT_MS: Millis = 10_000

export interface Measured {
  /** When letters to the peer went, by seq. */
  readonly sent: ReadonlyMap<number, Millis>
  rttMs?: Millis
}

/**
 * @param follows which letter of this host the peer had last, and how long before its own
 * @returns whether it was written just now, as far as this host's own clock can tell
 */
export function measure(peer: Measured, follows: unknown, now: Millis): boolean {
  if (!isObject(follows)) return false
  const { seq, afterMs } = follows
  const sentAt = typeof seq === 'number' ? peer.sent.get(seq) : undefined
  if (sentAt === undefined || typeof afterMs !== 'number') return false
  const rttMs = now - sentAt - afterMs
  if (rttMs >= 0 && rttMs < MAX_RTT_MS) peer.rttMs = rttMs
  return rttMs < MAX_RTT_MS
}
