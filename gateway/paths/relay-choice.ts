/** Which third gateway carries the packets when two do not reach each other. Pure: candidates in, choice out. */

import type { Millis } from '../../core/clock.ts'

/** A gateway that both this host and the remote one have a link to. */
export interface RelayCandidate {
  readonly hostId: number
  readonly toRelayMs: Millis
  readonly fromRelayMs: Millis
  /** Pairs that it takes on; 0: full. */
  readonly freePairs: number
  /** Of its gateway. */
  readonly uptimeMs: Millis
  /** How it refused or failed for the remote host of late; undefined: it did not. */
  readonly problem?: string | undefined
}

/**
 * Tailscale (netcheck): a change must gain 10 ms and a third, or nearly equal relays alternate.
 * docs/architecture/paths.md#relay-choice.
 */
const GAIN_MS: Millis = 10
const GAIN_RATIO = 2 / 3
/** Closer than this is the same: a measurement moves by more. */
const EQUAL_MS: Millis = 1

export const relayRtt = (c: RelayCandidate): Millis => c.toRelayMs + c.fromRelayMs

/** Lowest round trip; of those that equal it whoever runs longest, as it is the least likely to stop; then the lowest hostId. */
function bestOf(candidates: readonly RelayCandidate[]): RelayCandidate | undefined {
  const lowest = Math.min(...candidates.map(relayRtt))
  return candidates
    .filter((c) => relayRtt(c) < lowest + EQUAL_MS)
    .sort((a, b) => b.uptimeMs - a.uptimeMs || a.hostId - b.hostId)[0]
}

/**
 * @param current hostId of the relay in use. It keeps the pair that it has when it is full, and until another is
 *   better by both measures; undefined: none in use
 */
export function chooseRelay(
  candidates: readonly RelayCandidate[],
  current: number | undefined,
): RelayCandidate | undefined {
  const usable = candidates.filter((c) => c.problem === undefined)
  const present = usable.find((c) => c.hostId === current)
  const best = bestOf(usable.filter((c) => c.freePairs > 0 && c !== present))
  if (present === undefined || best === undefined) return present ?? best
  const isWorth =
    relayRtt(present) - relayRtt(best) >= GAIN_MS && relayRtt(best) <= relayRtt(present) * GAIN_RATIO
  return isWorth ? best : present
}

/** For when none was chosen. @returns undefined: there is none to choose */
export function whyNoRelay([first]: readonly RelayCandidate[]):
  | { readonly hostId: number; readonly problem: string }
  | undefined {
  return first && { hostId: first.hostId, problem: first.problem ?? 'it takes on no more pairs' }
}
