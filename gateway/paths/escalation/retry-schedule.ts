/** When to try for a UDP path again: soon at first, then less and less, and never given up. Pure. */

import type { Millis } from '../../../core/clock.ts'

/**
 * DCUtR in the wild (arXiv 2510.27500): 97.6 % of what succeeds does so in the first try, so a few quick ones and then long
 * waits. Never given up, unlike NetBird (3 tries, then once an hour), whose peers stay relayed until restart (netbird#2507).
 */
const WAITS_MS: readonly Millis[] = [1_000, 5_000, 15_000, 30_000, 60_000, 120_000, 300_000]
/** ±20 %, so that 253 hosts do not try in step after a common outage. */
const JITTER = 0.2
/** An interface that comes up sends several events; one fresh start is enough for all of them. */
export const RESET_EVERY_MS: Millis = 10_000

export interface RetrySchedule {
  /** In a row. */
  readonly failures: number
  /** Monotonic. */
  readonly nextAt: Millis
  /** When the schedule last began anew for an outside reason. */
  readonly resetAt?: Millis
}

export const tryAt = (now: Millis): RetrySchedule => ({ failures: 0, nextAt: now })

/** @param random 0 to 1 */
export function tryLater(schedule: RetrySchedule, now: Millis, random: number): RetrySchedule {
  const waitMs = WAITS_MS[Math.min(schedule.failures, WAITS_MS.length - 1)] ?? 0
  const nextAt = now + waitMs * (1 - JITTER + 2 * JITTER * random)
  return { ...schedule, failures: schedule.failures + 1, nextAt }
}

/** Something changed that may let the next try succeed. Called within 10 s of the last time: at the end of these 10 s. */
export function tryAfresh(schedule: RetrySchedule, now: Millis): RetrySchedule {
  const resetAt = Math.max(now, (schedule.resetAt ?? -Infinity) + RESET_EVERY_MS)
  if (resetAt > now) return { ...schedule, nextAt: Math.min(schedule.nextAt, resetAt) }
  return { failures: 0, nextAt: now, resetAt: now }
}
