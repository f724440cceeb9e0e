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
/** The host that follows waits this much longer for the peer's probe before it sends its own. */
const FOLLOWER_WAITS_MS: Millis = 50

/** How the two hosts of a path find common times. */
export interface SharedTimes {
  /** Whether the peer's idle probes come first, and this host's own go along with the answers. */
  readonly isFollower: boolean
  /** Wall clock less monotonic clock: hosts whose clocks agree wake up at the same instants, for all their peers. */
  clockOffsetMs(): Millis
}

export const LEADS_ALONE: SharedTimes = { isFollower: false, clockOffsetMs: () => 0 }

/** Each host leads half of its paths: who leads wakes up once for many peers, who follows once for each. */
export const follows = (hostId: number, peerId: number): boolean =>
  hostId < peerId === ((hostId + peerId) % 2 === 1)

/** @param silenceMs since the last packet */
export function everyMs(silenceMs: Millis): Millis {
  if (silenceMs < BUSY_FOR_MS) return BUSY_EVERY_MS
  return silenceMs < IDLE_FOR_MS ? IDLE_EVERY_MS : QUIET_EVERY_MS
}

/**
 * When to probe again after a probe at `now`.
 * @param wentAlong whether that one went along with an answer to the peer's
 */
export function nextDue(now: Millis, every: Millis, wentAlong: boolean, times: SharedTimes): Millis {
  if (every <= BUSY_EVERY_MS) return now + every
  if (times.isFollower && wentAlong) return now + every + FOLLOWER_WAITS_MS
  const slot = every / TIMES_A_PERIOD
  const offset = times.clockOffsetMs()
  const at = Math.floor((now + offset + every) / slot) * slot - offset
  return times.isFollower ? at + FOLLOWER_WAITS_MS : at
}
