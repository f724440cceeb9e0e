/** The burst that turns a suspicion into certainty: at 1 % loss it errs once in 10^8 times. Pure. */
import type { Millis } from '../../../../core/clock.ts'

export const BURST = ['small', 'base', 'full'] as const
const BURST_EVERY_MS: Millis = 50
/** A burst is judged this long, plus two round trips, after its last probe. */
const BURST_GRACE_MS: Millis = 50
const BURST_ROUND_TRIPS = 2

/** @returns when its next probe goes, after its begin; once all are sent, when it is judged */
export function burstMs(sent: number, srttMs: Millis): Millis {
  if (sent < BURST.length) return sent * BURST_EVERY_MS
  return (BURST.length - 1) * BURST_EVERY_MS + BURST_GRACE_MS + BURST_ROUND_TRIPS * srttMs
}
