/** Why a TURN server could not be used, in words for a person, and how long to wait for each reason. Pure. */

import type { Millis } from '../../../../core/clock.ts'
import { endOf, type TurnLogin } from './credentials.ts'

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

/** In words for a person: what is wrong, and what to do about it, as `flatnet doctor` prints it. */
export interface TurnProblem {
  readonly problem: string
  readonly remedy: string
}

const ANOTHER = 'name another server in paths.turn'
const LOGIN: TurnProblem = {
  problem: 'it refuses username and password, or the secret',
  remedy: 'correct username and password or the secret in paths.turn, and this host’s clock',
}
/** Where this program knows nothing better. */
export const LOOK_FURTHER = 'flatnet netcheck tries it; its log says more'

export const NO_ANSWER: TurnProblem = {
  problem: 'it does not answer',
  remedy: 'check its name and its UDP port, and the firewalls between: flatnet netcheck tries it',
}

export const relaysNowhere = (relayed: string | undefined): TurnProblem => ({
  problem: `it relays for ${relayed ?? 'no address'}, where no host can be`,
  remedy: 'set external-ip of coturn',
})

/** Of its name: the resolver's or this program's words. */
export const nameProblem = (problem: string): TurnProblem => ({
  problem,
  remedy: 'correct the name in paths.turn, or this host’s DNS',
})

export const fileProblem = (problem: string): TurnProblem => ({
  problem,
  remedy: 'write the password or secret into the first line of that file, chmod 600',
})

/** RFC 8656, 19, and RFC 8489, 14.8. */
const PROBLEMS: Readonly<Record<number, TurnProblem>> = {
  400: { problem: 'it does not understand this host: is it a TURN server?', remedy: ANOTHER },
  401: LOGIN,
  403: { problem: 'it forbids relaying for this host', remedy: ANOTHER },
  437: {
    problem: 'it still has an allocation of this host under another username, which ends within 10 minutes',
    remedy: 'wait 10 minutes',
  },
  438: { problem: 'it names a new nonce with each answer', remedy: LOOK_FURTHER },
  440: { problem: 'it relays neither for IPv4 nor for IPv6', remedy: ANOTHER },
  441: LOGIN,
  442: { problem: 'it does not relay UDP', remedy: ANOTHER },
  486: {
    problem: 'its quota for this user is used up',
    remedy: 'raise user-quota and total-quota of coturn, or give each host a username of its own',
  },
  508: { problem: 'it has no port left', remedy: 'raise max-port of coturn' },
}

/** @param alternate of a 300: where the server refers to */
export function problemOf(code: number, alternate?: string): TurnProblem {
  if (code === 300)
    return {
      problem: `it refers to another server, ${alternate ?? 'without naming it'}, which cannot be used`,
      remedy: 'name that server in paths.turn',
    }
  return PROBLEMS[code] ?? { problem: `it refused with error ${code}`, remedy: LOOK_FURTHER }
}

/**
 * Of credentials that a secret elsewhere made for a limited time, and a person copied.
 * @param until ms since the epoch
 */
export const credentialsOver = (until: Millis): TurnProblem => ({
  problem: `it refuses username and password, which were for a limited time and ended at ${isoOf(until)}`,
  remedy:
    'put the server’s secret into paths.turn (secret or secretFile) instead, which makes new ones in time, or a username and password without an end',
})

/** @param login which it refused @param wallNow ms since the epoch */
export function refusalOf(
  { code, alternate }: { readonly code: number; readonly alternate?: string | undefined },
  login: TurnLogin,
  wallNow: Millis,
): TurnProblem {
  const until = code === 401 || code === 441 ? endOf(login) : undefined
  return until !== undefined && until <= wallNow ? credentialsOver(until) : problemOf(code, alternate)
}

const isoOf = (ms: Millis): string => new Date(ms).toISOString().replace('.000', '')
