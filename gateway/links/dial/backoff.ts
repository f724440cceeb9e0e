/** How long to wait before the next try to reach a peer. Pure: tries and a random number in, ms out. */

import type { Millis } from '../../../core/clock.ts'

/** docs/architecture/links.md#reconnect: 0.2 s doubling to 5 s. */
const FIRST_MS: Millis = 200
const MOST_MS: Millis = 5_000
/** So that 253 hosts do not come back to a restarted one in step. */
const JITTER = 0.2

/**
 * @param failures in a row; 0 is the first try after a connection was lost
 * @param random 0 to 1
 */
export function backoffMs(failures: number, random: number): Millis {
  const base = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(failures, 10))
  return Math.round(base * (1 - JITTER + 2 * JITTER * random))
}
