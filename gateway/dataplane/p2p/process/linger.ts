/** For how long a session that ended in order still delivers and sends packets. Pure. */
import type { Millis } from '../../../../core/clock.ts'

/**
 * For what the device had queued, and for two round trips: what the peer sent before it knew. Without it each third
 * stop cost a TCP connection with 50 packets a second one of them, which is 200 ms.
 */
const LINGER_MS: Millis = 100
export const LINGER_AT_MOST_MS: Millis = 1_000

export const lingerMs = (roundTripMs: Millis = 0): Millis =>
  Math.min(LINGER_AT_MOST_MS, LINGER_MS + 2 * roundTripMs)
