/** Shows an escalation as the API and the command line print it. Pure. */

import type { Millis } from '../../../core/clock.ts'
import { isSuppressed } from './damping.ts'
import { nextTryAt, sessionOf, whyNotPromote, whyNotProven } from './promotion.ts'
import { CAUSE_WORDS, type P2pReason, reasonText } from './reasons.ts'
import type { Escalation, EscalationFacts } from './types.ts'

export interface EscalationView {
  readonly state: 'GATEWAY_ONLY' | 'P2P_ATTEMPTING' | 'P2P_ACTIVE' | 'GATEWAY_FALLBACK'
  /** Why packets do not go by UDP, or how well they do, in words for a person. */
  readonly reason: string
  readonly generation: number
  readonly attempts: number
  /** Monotonic; undefined: a try is under way, none is needed, or none is possible. */
  readonly nextAttemptAt?: Millis | undefined
}

const STATES = {
  idle: 'GATEWAY_ONLY',
  offered: 'P2P_ATTEMPTING',
  proving: 'P2P_ATTEMPTING',
  asking: 'P2P_ATTEMPTING',
  installing: 'P2P_ATTEMPTING',
  active: 'P2P_ACTIVE',
  waiting: 'GATEWAY_FALLBACK',
} as const satisfies Readonly<Record<Escalation['phase'], EscalationView['state']>>

export const viewOf = (state: Escalation, facts: EscalationFacts): EscalationView => ({
  state: STATES[state.phase],
  reason: whyOf(state, facts),
  generation: state.generation,
  attempts: state.attempts,
  nextAttemptAt: nextOf(state, facts),
})

function whyOf(state: Escalation, facts: EscalationFacts): string {
  const { phase, reason } = state
  if (facts.obstacle !== undefined) return reasonText(facts.obstacle)
  if (phase !== 'waiting' && phase !== 'idle') return whyTries(state, facts)
  // Nothing is tried without it, so that what the peer said before is old.
  if (!facts.canSignal) return reasonText({ code: 'no link', detail: lastOf(state, facts) })
  if (facts.peerObstacle !== undefined) return reasonText(facts.peerObstacle)
  return phase === 'idle' ? textOf(reason, facts) : whyWaits(state, facts)
}

/** Tries of 10 s follow each other at first: what ended the one before is still the cause. */
const whyTries = ({ reason, problem }: Escalation, facts: EscalationFacts): string =>
  problem === undefined ? reasonText(reason) : `${reasonText(reason)}; before: ${textOf(problem, facts)}`

function textOf(reason: P2pReason, facts: EscalationFacts): string {
  const cause = reason.code === 'no probe answered' ? causeOf(facts) : undefined
  return cause === undefined ? reasonText(reason) : `no probe was answered: ${cause}`
}

/** What both hosts know about UDP beyond the try; undefined: too little. */
function causeOf({ symmetric, udp }: EscalationFacts): string | undefined {
  const blocked = endOf(udp?.here === 'silent', udp?.there === 'silent')
  if (blocked !== undefined) return CAUSE_WORDS.blocked[blocked]
  // Neither end of such a pair knows where the other's next datagram comes from.
  const end = endOf(symmetric?.here === true, symmetric?.there === true)
  if (end !== undefined) return CAUSE_WORDS.symmetric[end]
  const working = endOf(udp?.here === 'works', udp?.there === 'works')
  return working && CAUSE_WORDS.working[working]
}

const endOf = (here: boolean, there: boolean): 'here' | 'there' | 'both' | undefined =>
  here && there ? 'both' : here ? 'here' : there ? 'there' : undefined

/** Why packets left UDP, or the last try failed; undefined: there was none. */
const lastOf = ({ phase, problem, reason }: Escalation, facts: EscalationFacts): string | undefined =>
  phase === 'waiting' && (problem ?? reason).code !== 'no link' ? textOf(problem ?? reason, facts) : undefined

function whyWaits(state: Escalation, facts: EscalationFacts): string {
  const isWorking = whyNotProven(sessionOf(state, facts)) === undefined
  const last = textOf(state.problem ?? state.reason, facts)
  if (isSuppressed(state.damping, facts.now))
    return reasonText({ code: 'damped', detail: isWorking ? `${last}; it would work now` : last })
  const why = isWorking ? whyNotPromote(state, facts) : undefined
  if (why === undefined) return last
  return why.code === 'dwell' ? reasonText({ code: 'dwell', detail: last }) : reasonText(why)
}

function nextOf(state: Escalation, facts: EscalationFacts): Millis | undefined {
  if (state.phase !== 'waiting' || facts.obstacle !== undefined || !facts.canSignal) return undefined
  if (!facts.isLeader) return state.leaderNextAt
  return Math.max(nextTryAt(state, facts), facts.now)
}

/**
 * How good a path is, 0 to 1. A product, so that good figures cannot hide a bad one: a loss of 10 % halves it, and so
 * does a round trip of 300 ms.
 */
export function qualityOf({
  lossRate = 0,
  rttMs = 0,
  jitterMs = 0,
}: {
  readonly lossRate?: number | undefined
  readonly rttMs?: Millis | undefined
  readonly jitterMs?: Millis | undefined
}): number {
  const byLoss = 0.5 ** (lossRate / 0.1)
  const byRtt = 0.5 ** (rttMs / 300)
  const byJitter = 0.5 ** (jitterMs / 100)
  return Math.round(byLoss * byRtt * byJitter * 100) / 100
}
