/** Decides the path to a host. Pure: facts in, decision out; probes, timers and routes live elsewhere. */

import type { PathState, TierName } from '../../core/api.ts'
import type { Millis } from '../../core/clock.ts'
import type { LinkState } from '../links/types.ts'
import { withNebula, withP2p } from './p2p-overlay.ts'
import { carriesNone, onProbation, PathReason, relaysNone } from './reasons.ts'
import { chooseRelay, isRelay, relayRtt, whyNoRelay } from './relay-choice.ts'
import { SETTLED_MS } from './steadiness.ts'
import type { Candidate, Via } from './transport.ts'

/** The link to a peer's gateway as the decider sees it. */
export interface LinkFacts {
  readonly state: LinkState
  /** Why it is not up, in words. */
  readonly reason: string
  /** How long it has been in this state. */
  readonly forMs: Millis
  /** How long the connection for packets has stood, or not; undefined: as long as the state. */
  readonly dataForMs?: Millis
  /** How long both have to stand before they take packets back from a relay; undefined: 2 s. */
  readonly settlesMs?: Millis
  /** It is down since its peer said goodbye: then no other host has a link to it either. */
  readonly hasStopped?: boolean
}

export interface PathFacts {
  readonly ownHostId: number
  readonly hostId: number
  /** Why the host is kept out; undefined: it is not. */
  readonly quarantine?: string | undefined
  /** Undefined: no such member, or links are not made yet. */
  readonly link?: LinkFacts | undefined
  /** Why this host cannot carry packets to others, e.g. no TUN device; undefined: it can. */
  readonly noTunnel?: string | undefined
  /** The same of the other host, in its own words. */
  readonly peerNoTunnel?: string | undefined
  /** Of every transport; undefined: none. */
  readonly candidates?: readonly Candidate[] | undefined
  /** The decision that holds. */
  readonly current?: PathDecision | undefined
}

export interface PathDecision {
  readonly state: PathState
  readonly via: Via
  readonly reason: string
  /** Undefined: not known, or no path. */
  readonly rttMs?: Millis | undefined
  /** The kind of path; undefined: there is none, or the host is this one. */
  readonly tier?: TierName | undefined
  /** What the rules chose below UDP or Nebula; undefined: packets go by neither, or nothing would take over. */
  readonly below?: Pick<PathDecision, 'via' | 'rttMs'>
  /**
   * Packets do not get there; web pages do, as one gateway dials for the other:
   * gateway/ingress/upstream/forwarder.ts.
   */
  readonly isWebOnly?: boolean
  /** There is no path, and the peer said that it stops: it may be back in a moment. */
  readonly hasStopped?: boolean
}

/** A first connection takes a handshake; after this a person should know that something is in the way. */
const PATIENCE_MS: Millis = 5_000

/**
 * A link is made within 0.3 s of a start, and its data connection soon after. Before that the first host to come up
 * would relay for all others, and each of these paths would stay there until the direct link has settled.
 */
export const SOON_MS: Millis = 500
/** A gateway that restarts is back by then, and no other host has a link with it before. */
const RESTART_MS: Millis = 2_000

const NONE: Via = { kind: 'none' }

/** Rules in order; the first that answers decides. */
const RULES: readonly ((facts: PathFacts) => PathDecision | undefined)[] = [
  own,
  quarantined,
  direct,
  relayed,
  connecting,
  isolated,
]

/** UDP and Nebula lie over what the rules say, and change nothing below: no rule sees them. */
export function decidePath(facts: PathFacts): PathDecision {
  const { current, candidates = [] } = facts
  const below = current?.below === undefined ? current : { ...current, ...current.below }
  const of = (kind: 'p2p' | 'nebula') => candidates.find(({ id }) => id.kind === kind)
  return withP2p(withNebula(decideBelow({ ...facts, current: below }), of('nebula')), of('p2p'))
}

function decideBelow(facts: PathFacts): PathDecision {
  for (const rule of RULES) {
    const decision = rule(facts)
    if (decision !== undefined) return decision
  }
  return { state: 'ISOLATED', via: NONE, reason: PathReason.unknown }
}

function own({ ownHostId, hostId }: PathFacts): PathDecision | undefined {
  if (hostId !== ownHostId) return undefined
  return { state: 'LOCAL', via: { kind: 'local' }, reason: PathReason.own }
}

function quarantined({ quarantine, hostId }: PathFacts): PathDecision | undefined {
  if (quarantine === undefined) return undefined
  const reason = `${quarantine}; flatnet hosts release ${hostId} ends it`
  return { state: 'QUARANTINED', via: NONE, reason }
}

/**
 * Straight to the peer, while both connections stand. A relay in use is left when they have settled, or at once when
 * no relay carries packets.
 */
function direct(facts: PathFacts): PathDecision | undefined {
  const { link, current } = facts
  const candidate = directOf(facts)
  if (link === undefined || !isUp(link) || candidate?.hasChannel !== true) return undefined
  const isRelayed = current?.via.kind === 'relay' && relayed(facts) !== undefined
  if (isRelayed && Math.min(link.forMs, link.dataForMs ?? link.forMs) < settlesMs(link)) return undefined
  const lack = lackOf(facts)
  const connected = link.state === 'draining' ? PathReason.draining : PathReason.connected
  const reason = lack === undefined ? connected : `${PathReason.onlyPages}: ${lack}`
  const isWebOnly = lack !== undefined
  return {
    state: 'GATEWAY_ONLY',
    via: candidate.id,
    reason,
    rttMs: candidate.rttMs,
    tier: candidate.tier,
    ...(isWebOnly && { isWebOnly }),
  }
}

const directOf = ({ candidates = [] }: PathFacts): Candidate | undefined =>
  candidates.find(({ id }) => id.kind === 'gateway')

/** Which host of the two carries no packets, and why. */
function lackOf({ ownHostId, hostId, noTunnel, peerNoTunnel }: PathFacts): string | undefined {
  if (noTunnel !== undefined) return carriesNone(ownHostId, noTunnel)
  return peerNoTunnel === undefined ? undefined : carriesNone(hostId, peerNoTunnel)
}

const settlesMs = (link: LinkFacts): Millis => link.settlesMs ?? SETTLED_MS

/**
 * The connection for packets broke a moment ago, and a new one comes sooner than a relay. One that breaks again and
 * again is not waited for.
 */
const isBlip = (link: LinkFacts): boolean =>
  link.state === 'up' && (link.dataForMs ?? link.forMs) < SOON_MS && settlesMs(link) <= SETTLED_MS

/** Whether the direct way is worth waiting for, also where a relay could be had. */
const comesSoon = (link: LinkFacts): boolean =>
  link.state === 'down'
    ? link.hasStopped === true && link.forMs < RESTART_MS
    : link.forMs < SOON_MS || isBlip(link)

/** A draining link still carries what is on its way. */
const isUp = ({ state }: LinkFacts): boolean => state === 'up' || state === 'draining'

/** @param problem of the direct candidate @returns why a link carries no packets */
function whyNot(link: LinkFacts, problem: string | undefined): string {
  if (!isUp(link)) return link.reason
  return problem === undefined ? PathReason.noData : `${PathReason.noData}: ${problem}`
}

/** Over one other gateway. Needs a tunnel at both ends; the relay reads nothing of what it passes on. */
function relayed(facts: PathFacts): PathDecision | undefined {
  const { candidates = [], current, link } = facts
  if (lackOf(facts) !== undefined) return undefined
  const inUse = current?.via.kind === 'relay' ? current.via.hostId : undefined
  if (inUse === undefined && link !== undefined && comesSoon(link)) return undefined
  const relay = chooseRelay(candidates.filter(isRelay), inUse)
  if (relay === undefined) return undefined
  const { hostId } = relay.offer
  const why = whyRelayed(link, directOf(facts))
  return {
    // Chosen is not made: a host that has died is looked for behind others for a moment, and is not reached by that.
    state: relay.hasChannel ? 'GATEWAY_ONLY' : 'CONNECTING',
    via: relay.id,
    reason: `${PathReason.relayed} ${hostId}: ${why}`,
    rttMs: (hostId === inUse ? relay.rttMs : undefined) ?? relayRtt(relay.offer),
    tier: relay.tier,
  }
}

function whyRelayed(link: LinkFacts | undefined, direct: Candidate | undefined): string {
  if (link === undefined) return PathReason.noDirect
  if (isUp(link) && direct?.hasChannel === true) return onProbation(settlesMs(link))
  return isUp(link) && direct?.problem === undefined ? PathReason.noDirect : whyNot(link, direct?.problem)
}

function connecting({ link }: PathFacts): PathDecision | undefined {
  if (link === undefined || link.state === 'down') return undefined
  if (link.forMs >= PATIENCE_MS && !isBlip(link)) return undefined
  const reason = isUp(link) ? PathReason.connecting : link.reason
  return { state: 'CONNECTING', via: NONE, reason }
}

function isolated(facts: PathFacts): PathDecision {
  const { link, candidates = [] } = facts
  if (link === undefined) return { state: 'ISOLATED', via: NONE, reason: PathReason.noLink }
  const why = whyNot(link, directOf(facts)?.problem)
  const refusal = comesSoon(link) ? undefined : whyNoRelay(candidates.filter(isRelay))
  const reason = refusal === undefined ? why : relaysNone(why, refusal.hostId, refusal.problem)
  return { state: 'ISOLATED', via: NONE, reason, ...(link.hasStopped === true && { hasStopped: true }) }
}
