/** What time and fresh facts do to an escalation: tries, promotions, and leaving bad paths. Pure. */

import type { Millis } from '../../../core/clock.ts'
import { isSuppressed, penalized } from './damping.ts'
import { newHealth, verdictOf, watch } from './health.ts'
import { sessionOf, whyNotPromote, whyNotProven } from './promotion.ts'
import {
  afresh,
  ask,
  block,
  demote,
  notPromoted,
  offer,
  SWITCH_EVERY_MS,
  stay,
  tryFailed,
} from './transitions.ts'
import type { Escalation, EscalationFacts, Step } from './types.ts'

/** A peer that has the message answers in a round trip; one that knows no `p2p.` never does. */
const OFFER_MS: Millis = 5_000
/** 5 round trips of 200 ms make the proof; what has not come through in ten times that is blocked (Nebula waits 5.5 s). */
const PROVE_MS: Millis = 10_000
/** Both control messages take a round trip, and each process answers in milliseconds. */
const PROMOTE_MS: Millis = 2_000
/** While suppressed: how often to ask whether UDP would work, for a person to see. */
const CURIOUS_MS: Millis = 60_000

export function progress(state: Escalation, facts: EscalationFacts): Step {
  const { now, obstacle } = facts
  if (obstacle !== undefined) return blocked(state, facts)
  const forMs = now - state.since
  switch (state.phase) {
    case 'idle':
    case 'waiting':
      return whileWaiting(state, facts)
    case 'offered':
      if (!facts.canSignal) return tryFailed(state, { code: 'no link' }, facts)
      return forMs >= OFFER_MS ? tryFailed(state, { code: 'no answer to offer' }, facts) : stay(state)
    case 'proving':
      return whileProving(state, facts)
    case 'asking':
    case 'installing':
      if (forMs < PROMOTE_MS) return stay(state)
      return notPromoted(
        state,
        { code: state.phase === 'asking' ? 'promotion timed out' : 'not promoted' },
        facts,
      )
    case 'active':
      return whileActive(state, facts)
  }
}

function blocked(state: Escalation, { now, obstacle }: EscalationFacts): Step {
  if (obstacle === undefined) return stay(state)
  const step = block(state, obstacle, now)
  if (state.phase !== 'active') return step
  const isFailure = obstacle.code === 'no process' || obstacle.code === 'no device'
  const damping = isFailure ? penalized(state.damping, now) : state.damping
  return { ...step, state: { ...step.state, damping, dwellUntil: now + SWITCH_EVERY_MS } }
}

function whileProving(state: Escalation, facts: EscalationFacts): Step {
  const { now, isLeader, canSignal } = facts
  const lack = whyNotProven(sessionOf(state, facts))
  if (lack === undefined) {
    if (isLeader && canSignal && whyNotPromote(state, facts) === undefined) return ask(state, facts)
    // Proven and not used: the schedule has done its part, so the next outage is tried at once again.
    if (now - state.since >= PROVE_MS || whyNotPromote(state, facts) !== undefined)
      return stay({
        ...state,
        phase: 'waiting',
        since: now,
        wasProven: true,
        reason: state.problem ?? state.reason,
      })
  }
  return now - state.since >= PROVE_MS && lack !== undefined ? tryFailed(state, lack, facts) : stay(state)
}

function whileWaiting(state: Escalation, facts: EscalationFacts): Step {
  const { now, isLeader, canSignal } = facts
  const session = sessionOf(state, facts)
  const isProven = session?.isProven === true
  // The process found by itself that UDP works again: the long waits are for paths that do not.
  const woken = isProven && !state.wasProven ? afresh(state, now) : state
  const seen = { ...woken, wasProven: isProven }
  if (!isLeader || !canSignal) return lookNowAndThen(seen, facts)
  if (whyNotPromote(seen, facts) === undefined) return ask(seen, facts)
  const needsKeys = whyNotProven(session) !== undefined
  if (isSuppressed(state.damping, now) && session !== undefined) return lookNowAndThen(seen, facts)
  return needsKeys && now >= seen.schedule.nextAt ? offer(seen, facts) : stay(seen)
}

/** While suppressed, nothing is tried but the question whether it would work. */
function lookNowAndThen(state: Escalation, { now }: EscalationFacts): Step {
  const { askedAt = state.since, damping, attempt } = state
  if (attempt === undefined || !isSuppressed(damping, now) || now - askedAt < CURIOUS_MS) return stay(state)
  return { state: { ...state, askedAt: now }, actions: [{ type: 'probeNow' }] }
}

function whileActive(state: Escalation, facts: EscalationFacts): Step {
  const session = sessionOf(state, facts)
  if (session === undefined)
    return demote(state, { reason: { code: 'session lost' }, hasRoute: true, isOwn: true }, facts)
  const health = watch(state.health ?? newHealth(session, facts.now), facts)
  const seen = { ...state, health }
  const verdict = verdictOf(health, facts)
  if (verdict.kind === 'demote')
    return demote(seen, { reason: verdict.reason, hasRoute: true, isOwn: true }, facts)
  const reason = verdict.kind === 'warn' ? verdict.reason : ({ code: 'proven' } as const)
  return stay({ ...seen, reason })
}
