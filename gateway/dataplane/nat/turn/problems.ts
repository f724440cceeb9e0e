/** Why a TURN server could not be used, in words for a person, and how long to wait for each reason. Pure. */

import type { Millis } from '../../../../core/clock.ts'

export interface Waits {
  readonly againMs: Millis
  /** Doubled each time, up to this. */
  readonly mostMs: Millis
  /** After an event, e.g. a path that was lost, it is asked sooner, but not before this. */
  readonly leastMs: Millis
}

/** A server that is down for a moment should be back soon, as some pairs have no other way. */
export const SILENT: Waits = { againMs: 5_000, mostMs: 30_000, leastMs: 0 }
/** What a person has to put right takes longer, and each refusal is a line in the server's log. */
const REFUSED: Waits = { againMs: 30_000, mostMs: 600_000, leastMs: 5_000 }
/** RFC 8656, 7.4: at least a minute when a quota is used up or no port is left. */
const FULL: Waits = { againMs: 60_000, mostMs: 600_000, leastMs: 60_000 }

export const waitsOf = (code: number): Waits => (code === 486 || code === 508 ? FULL : REFUSED)

export const NO_ANSWER = 'it does not answer'

/** RFC 8656, 19, and RFC 8489, 14.8. */
const PROBLEMS: Readonly<Record<number, string>> = {
  400: 'it does not understand this host: is it a TURN server?',
  401: 'it refuses username and password, or the secret',
  403: 'it forbids relaying for this host',
  437: 'it still has an allocation of this host under another username, which ends within 10 minutes',
  438: 'it names a new nonce with each answer',
  440: 'it relays neither for IPv4 nor for IPv6',
  441: 'it refuses username and password, or the secret',
  442: 'it does not relay UDP',
  486: 'its quota for this user is used up',
  508: 'it has no port left',
}

/** @param alternate of a 300: where the server refers to */
export function problemOf(code: number, alternate?: string): string {
  if (code === 300)
    return `it refers to another server, ${alternate ?? 'without naming it'}, which cannot be used`
  return PROBLEMS[code] ?? `it refused with error ${code}`
}
