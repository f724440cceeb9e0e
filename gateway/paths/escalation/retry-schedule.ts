/** When to try for a UDP path again: soon at first, then ever more seldom, but without end. Pure. */

import type { Millis } from '../../../core/clock.ts'

/**
 * A few quick tries, then long waits: of the hole punches that succeed, 97.6 % do so at the first try (DCUtR in the
 * wild, arXiv 2510.27500). The tries never end. NetBird makes 3 and then one an hour, and its peers stay relayed until
 * they restart (netbird#2507).
 */
const WAITS_MS: readonly Millis[] = [1_000, 5_000, 15_000, 30_000, 60_000, 120_000, 300_000]
/** ±20 %, so that 253 hosts do not try in step after a common outage. */
const JITTER = 0.2
/** An interface that comes up causes several events; one fresh start of the schedule is enough for all of them. */
export const RESET_EVERY_MS: Millis = 10_000

/** A peer whose obstacle comes and goes could else begin a try with every message. */
const SOON_EVERY_MS: Millis = 1_000

export interface RetrySchedule {
  /** Failed tries in a row. */
  readonly failures: number
  /** Monotonic. */
  readonly nextAt: Millis
  /** When the schedule last began anew for an outside reason. */
  readonly resetAt?: Millis
  /** When the peer's last obstacle was gone. */
  readonly soonAt?: Millis
}

export const tryAt = (now: Millis): RetrySchedule => ({ failures: 0, nextAt: now })

/** @param random 0 to 1 */
export function tryLater(schedule: RetrySchedule, now: Millis, random: number): RetrySchedule {
  const waitMs = WAITS_MS[Math.min(schedule.failures, WAITS_MS.length - 1)] ?? 0
  const nextAt = now + waitMs * (1 - JITTER + 2 * JITTER * random)
  return { ...schedule, failures: schedule.failures + 1, nextAt }
}

/** Something changed that may let a try succeed: try now, or RESET_EVERY_MS after the last reset. */
export function tryAfresh(schedule: RetrySchedule, now: Millis): RetrySchedule {
  const resetAt = Math.max(now, (schedule.resetAt ?? -Infinity) + RESET_EVERY_MS)
  if (resetAt > now) return { ...schedule, nextAt: Math.min(schedule.nextAt, resetAt) }
  return { failures: 0, nextAt: now, resetAt: now }
}

/** The last try could not succeed, as the peer now says that it can: try again at once. */
export function trySoon(schedule: RetrySchedule, now: Millis): RetrySchedule {
  const soonAt = Math.max(now, (schedule.soonAt ?? -Infinity) + SOON_EVERY_MS)
  return { ...schedule, soonAt, nextAt: Math.min(schedule.nextAt, soonAt) }
}
