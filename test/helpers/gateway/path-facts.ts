/**
 * Facts for the decider in short: a link with its data connection, and relays, become the candidates of two transports.
 */
import type { Millis } from '../../../core/clock.ts'
import type { LinkFacts, PathFacts } from '../../../gateway/paths/decide.ts'
import type { Candidate, RelayOffer } from '../../../gateway/paths/transport.ts'

/** A link and its direct candidate. */
export interface LinkSample extends LinkFacts {
  readonly rttMs?: Millis | undefined
  readonly hasData: boolean
  readonly dataReason?: string | undefined
}

/** A relay that is usable, and one whose connection stands, unless told otherwise. */
export interface RelaySample extends RelayOffer {
  readonly problem?: string
  readonly rttMs?: Millis
  readonly hasChannel?: boolean
}

export interface FactsSample extends Omit<PathFacts, 'link' | 'candidates'> {
  readonly link?: LinkSample | undefined
  readonly relays?: readonly RelaySample[] | undefined
}

export const directOf = ({ rttMs, hasData, dataReason }: Omit<LinkSample, keyof LinkFacts>): Candidate => ({
  id: { kind: 'gateway' },
  tier: 'gateway',
  rttMs,
  problem: dataReason,
  hasChannel: hasData,
})

export const relayOf = ({ problem, rttMs, hasChannel = true, ...offer }: RelaySample): Candidate => ({
  id: { kind: 'relay', hostId: offer.hostId },
  tier: 'relay',
  rttMs,
  problem,
  hasChannel,
  offer,
})

export const factsOf = ({ link, relays = [], ...rest }: FactsSample): PathFacts => ({
  ...rest,
  link,
  candidates: [...(link === undefined ? [] : [directOf(link)]), ...relays.map(relayOf)],
})
