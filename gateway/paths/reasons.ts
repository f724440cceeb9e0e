/** Why a path is what it is, in words for a person; docs/operations/paths.md says what to do about each. */

import type { Millis } from '../../core/clock.ts'

export const PathReason = {
  own: 'own host',
  connected: 'connected',
  draining: 'connected; the peer is stopping',
  /** Followed by `carriesNone`. */
  onlyPages: "only web pages, by the peer's gateway",
  /** Followed by its number, and why there is no direct way. */
  relayed: 'through host',
  noDirect: 'no direct connection yet',
  connecting: 'the connection for packets is being made',
  noData: 'the peer takes no connection for packets',
  noLink: 'no link to this host',
  unknown: 'no path is known',
} as const

/** The direct way stands, and is not used yet. */
export const onProbation = (forMs: Millis): string =>
  `the direct link is back, and carries packets once it has held for ${Math.round(forMs / 1000)} s`

/** Which host of the two has no tunnel, and why. */
export const carriesNone = (hostId: number, why: string): string =>
  `host ${hostId} carries no packets (${why})`

/** Behind why there is no direct way: why a host that reaches both does not relay. */
export const relaysNone = (why: string, hostId: number, problem: string): string =>
  `${why}; host ${hostId} is no relay to it: ${problem}`
