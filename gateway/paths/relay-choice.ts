/** Which third gateway carries packets between two that do not reach each other. Pure. */

import type { Millis } from '../../core/clock.ts'
import type { Candidate, RelayOffer } from './transport.ts'

/** A gateway that both this host and the remote one have a link to. */
export type RelayCandidate = Candidate & { readonly offer: RelayOffer }

/**
 * Tailscale (netcheck): a change must gain 10 ms and a third, or nearly equal relays alternate.
 * docs/architecture/paths.md#relay-choice.
 */
const GAIN_MS: Millis = 10
const GAIN_RATIO = 2 / 3
/** Closer than this is the same: a measurement moves by more. */
const EQUAL_MS: Millis = 1

export const isRelay = (candidate: Candidate): candidate is RelayCandidate => candidate.offer !== undefined

export const relayRtt = ({ toRelayMs, fromRelayMs }: RelayOffer): Millis => toRelayMs + fromRelayMs

/** The load moves all the time, so only a quarter of the capacity more is more. */
const CAPACITY_STEP = 1 / 4

const roomOf = ({ freeShare }: RelayOffer): number => Math.floor(freeShare / CAPACITY_STEP)

const NO_ROOM = 'it takes on no more pairs'

const byMerit = (a: RelayOffer, b: RelayOffer): number =>
  roomOf(b) - roomOf(a) || b.endsInRegion - a.endsInRegion || b.uptimeMs - a.uptimeMs || a.hostId - b.hostId

/**
 * Lowest round trip; of equal ones most room, then the region of the ends; then the longest uptime, as it is the least
 * likely to stop; then the lowest hostId.
 */
function bestOf(candidates: readonly RelayCandidate[]): RelayCandidate | undefined {
  const lowest = Math.min(...candidates.map((c) => relayRtt(c.offer)))
  const nearest = candidates.filter((c) => relayRtt(c.offer) < lowest + EQUAL_MS)
  return nearest.sort((a, b) => byMerit(a.offer, b.offer))[0]
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
  const present = usable.find((c) => c.offer.hostId === current)
  const best = bestOf(usable.filter((c) => c.offer.freePairs > 0 && c !== present))
  if (present === undefined || best === undefined) return present ?? best
  const [presentMs, bestMs] = [relayRtt(present.offer), relayRtt(best.offer)]
  return presentMs - bestMs >= GAIN_MS && bestMs <= presentMs * GAIN_RATIO ? best : present
}

/** For when none was chosen. @returns undefined: there is none to choose */
export function whyNoRelay([first]: readonly RelayCandidate[]):
  | { readonly hostId: number; readonly problem: string }
  | undefined {
  return first && { hostId: first.offer.hostId, problem: first.problem ?? first.offer.refusal ?? NO_ROOM }
}
