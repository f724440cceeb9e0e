/** Writes an instant as the API has it. Pure. */

import type { Millis } from '../../core/clock.ts'

/** ISO 8601, UTC. @param ms of the wall clock; a fraction of a millisecond is rounded */
export const isoOf = (ms: Millis): string => new Date(Math.round(ms)).toISOString()
