/** Uses a UDP path that keeps failing less: penalties that decay, and a rest for its address. Pure. */

import type { Millis } from '../../../core/clock.ts'

/** BGP's flap damping (RFC 2439): four failures within about 5 minutes suppress, three do not. */
const PENALTY = 1_000
const SUPPRESS_AT = 3_000
const REUSE_BELOW = 1_000
const HALF_LIFE_MS: Millis = 300_000
const SUPPRESSED_AT_MOST_MS: Millis = 900_000
/** Takes exactly SUPPRESSED_AT_MOST_MS to decay to REUSE_BELOW, so no penalty outlives a suppression. */
const MOST = REUSE_BELOW * 2 ** (SUPPRESSED_AT_MOST_MS / HALF_LIFE_MS)

export interface Damping {
  /** Its value at the instant `at`. */
  readonly penalty: number
  readonly at: Millis
  readonly suppressedAt?: Millis
}

export const NO_DAMPING: Damping = { penalty: 0, at: 0 }

const penaltyOf = ({ penalty, at }: Damping, now: Millis): number =>
  penalty * 0.5 ** ((now - at) / HALF_LIFE_MS)

/** A path that carried packets failed. */
export function penalized(damping: Damping, now: Millis): Damping {
  const penalty = Math.min(MOST, penaltyOf(damping, now) + PENALTY)
  const since = isSuppressed(damping, now) ? damping.suppressedAt : now
  return { penalty, at: now, ...(penalty >= SUPPRESS_AT && since !== undefined && { suppressedAt: since }) }
}

export const isSuppressed = (damping: Damping, now: Millis): boolean => now < suppressedUntil(damping)

/** Monotonic; -Infinity: the path is not suppressed. */
export function suppressedUntil({ penalty, at, suppressedAt }: Damping): Millis {
  if (suppressedAt === undefined) return -Infinity
  const decaysAt = at + HALF_LIFE_MS * Math.log2(penalty / REUSE_BELOW)
  return Math.min(decaysAt, suppressedAt + SUPPRESSED_AT_MOST_MS)
}

/** ZeroTier's refractory period of a path: r = 8 s + 2 r, up to 10 minutes. */
const REST_MS: Millis = 8_000
const REST_AT_MOST_MS: Millis = 600_000
/** A rest of 10 minutes is forgotten 100 minutes after it. */
const DRAIN = 1 / 10

/** Of the address that failed last. Other addresses need not rest. */
export interface Rest {
  /** Undefined: the process did not say which address carried the packets. */
  readonly address: string | undefined
  readonly restMs: Millis
  readonly until: Millis
}

export function restAfter(before: Rest | undefined, address: string | undefined, now: Millis): Rest {
  const isSame = before !== undefined && before.address === address
  const left = isSame ? Math.max(0, before.restMs - DRAIN * Math.max(0, now - before.until)) : 0
  const restMs = Math.min(REST_AT_MOST_MS, REST_MS + 2 * left)
  return { address, restMs, until: now + restMs }
}
