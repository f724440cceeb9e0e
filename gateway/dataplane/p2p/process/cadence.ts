/** Says how often a path is probed, and when: idle paths together, so that the process wakes up seldom. Pure. */
import type { Millis } from '../../../../core/clock.ts'

// docs/architecture/paths.md#probing: other systems probe every 3 s or less often, too slow to switch within a second.
export const BUSY_EVERY_MS: Millis = 250
const IDLE_EVERY_MS: Millis = 1_000
export const QUIET_EVERY_MS: Millis = 5_000
/** While a full-size probe is missing: TCP's third retransmission, 1.4 s after the loss, should find another path. */
export const MISSING_EVERY_MS: Millis = 100
/** A path counts as busy for this long after its last packet, then as idle. */
const BUSY_FOR_MS: Millis = 10_000
const IDLE_FOR_MS: Millis = 60_000
/**
 * Idle paths are probed at multiples of a fifth of their period, so one turn of the loop sends the probes of many
 * peers, and few turns read the answers: waking up costs more than five more datagrams.
 */
const TIMES_A_PERIOD = 5
/** The host that follows waits this much longer, so that it goes on following. */
const FOLLOWER_WAITS_MS: Millis = 50

/** @param silenceMs since the last packet */
export function everyMs(silenceMs: Millis): Millis {
  if (silenceMs < BUSY_FOR_MS) return BUSY_EVERY_MS
  return silenceMs < IDLE_FOR_MS ? IDLE_EVERY_MS : QUIET_EVERY_MS
}

/**
 * When to probe again after a probe at `now`.
 * @param isFollower whether that one went along with an answer to the peer's
 */
export function nextDue(now: Millis, every: Millis, isFollower: boolean): Millis {
  if (isFollower) return now + every + FOLLOWER_WAITS_MS
  if (every <= BUSY_EVERY_MS) return now + every
  const slot = every / TIMES_A_PERIOD
  return Math.floor((now + every) / slot) * slot
}
