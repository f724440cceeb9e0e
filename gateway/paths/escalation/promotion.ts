/** Judges whether packets may move to UDP: proof, loss, round trip, waits after the last move. Pure. */

import type { Millis } from '../../../core/clock.ts'
import { isSuppressed, suppressedUntil } from './damping.ts'
import { lossOf } from './health.ts'
import type { P2pReason } from './reasons.ts'
import type { Escalation, EscalationFacts, SessionFacts } from './types.ts'

/** Well below the 1.5 at which `slower` demotes, so that packets do not alternate between equal paths. */
const RTT_RATIO = 1.25
const RTT_SLACK_MS: Millis = 10
/**
 * One lost probe of the last 40; fewer than 40 probes may lose none. Far below the 10 % that demote, so that packets do
 * not alternate.
 */
const MAX_LOSS = 1 / 40
/**
 * So many probes, which take 3 s, tell a path that loses 30 % from a good one: it answers all of one host's once in 72
 * times, and all of both hosts' once in 5,000.
 */
const TRUSTED_PROBES = 12

/** The session that both hosts agreed on last. A session of an older try proves nothing about the peer's keys. */
export const sessionOf = ({ attempt }: Escalation, { session }: EscalationFacts): SessionFacts | undefined =>
  session !== undefined && session.attempt === attempt ? session : undefined

/** What the probes have not shown yet. @returns undefined: the path is proven */
export function whyNotProven(session: SessionFacts | undefined): P2pReason | undefined {
  if (session === undefined) return { code: 'no session' }
  if (session.isProven && !isLossy(session)) return undefined
  if (session.rttMs === undefined) return { code: isHeard(session) ? 'one way' : 'no probe answered' }
  if (session.isProven || (isLossy(session) && session.isFullSize))
    return { code: 'loss', detail: `${(lossOf(session) * 100).toFixed(0)} %` }
  return { code: session.isFullSize ? 'unproven' : 'full size lost' }
}

const isLossy = (session: SessionFacts): boolean =>
  session.probes.window >= TRUSTED_PROBES && lossOf(session) > MAX_LOSS

/**
 * Why both hosts may not use a proven path yet.
 *
 * The five round trips of a proof are enough for a path that never failed. One in six of them succeeds while 30 % are
 * lost, so after a failure the address shows more. @returns undefined: they may
 */
export function whyNotFit(
  { rest }: Escalation,
  session: SessionFacts | undefined,
  gatewayRttMs: Millis | undefined,
): P2pReason | undefined {
  const lack = whyNotProven(session)
  if (session === undefined || lack !== undefined) return lack
  const { window } = session.probes
  if (rest !== undefined && rest.address === session.address && window < TRUSTED_PROBES)
    return { code: 'on trial', detail: `${window} of ${TRUSTED_PROBES}` }
  return whyNotFast(session, gatewayRttMs)
}

/** Why a proven path is too slow. @returns undefined: it is not */
function whyNotFast({ rttMs }: SessionFacts, gatewayRttMs: Millis | undefined): P2pReason | undefined {
  if (rttMs === undefined || gatewayRttMs === undefined) return undefined
  if (rttMs <= Math.max(RTT_RATIO * gatewayRttMs, gatewayRttMs + RTT_SLACK_MS)) return undefined
  return { code: 'slower', detail: `${rttMs.toFixed(1)} ms against ${gatewayRttMs.toFixed(1)} ms` }
}

/** When this host's waits are over, monotonic. */
function readyAt(state: Escalation, session: SessionFacts | undefined): Millis {
  const { rest, dwellUntil, damping } = state
  const restUntil = rest !== undefined && rest.address === session?.address ? rest.until : 0
  return Math.max(dwellUntil, restUntil, suppressedUntil(damping))
}

/** Leader: when packets may move to UDP, or when the next try begins. */
export function nextTryAt(state: Escalation, facts: EscalationFacts): Millis {
  const session = sessionOf(state, facts)
  return whyNotProven(session) === undefined ? readyAt(state, session) : state.schedule.nextAt
}

/** Why packets have to wait. @returns undefined: they may move now */
export function whyNotPromote(state: Escalation, facts: EscalationFacts): P2pReason | undefined {
  const session = sessionOf(state, facts)
  const lack = whyNotFit(state, session, facts.gateway.rttMs)
  if (lack !== undefined) return lack
  if (isSuppressed(state.damping, facts.now)) return { code: 'damped' }
  return facts.now < readyAt(state, session) ? { code: 'dwell' } : undefined
}

/** Whether a probe of the peer arrived since the path was lost: then UDP is not blocked towards this host. */
const isHeard = ({ peerLossRate }: SessionFacts): boolean => peerLossRate !== undefined
