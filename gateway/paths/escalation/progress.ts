/** Moves an escalation on by time and fresh facts: tries, promotions, and leaving bad paths. Pure. */

import type { Millis } from '../../../core/clock.ts'
import { whileAsked } from './asked.ts'
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
  offerLost,
  SWITCH_EVERY_MS,
  stay,
  tryFailed,
} from './transitions.ts'
import type { Escalation, EscalationFacts, Step } from './types.ts'

/** A peer answers within a round trip. One that is too old to know `p2p.` messages never does. */
const OFFER_MS: Millis = 5_000
/** Five round trips of 200 ms make the proof. UDP that needs ten times as long is blocked (Nebula waits 5.5 s). */
const PROVE_MS: Millis = 10_000
/** The two control messages take one round trip, and each process answers within milliseconds. */
const PROMOTE_MS: Millis = 2_000
/** The reload that says `off` drops the link, which takes a moment: 229 ms of a TCP connection that stands still. */
const OFF_WAITS_MS: Millis = 5_000
/** While suppressed: how often the process tests whether UDP would work, for people to see. */
const TEST_EVERY_MS: Millis = 60_000

export function progress(state: Escalation, facts: EscalationFacts): Step {
  const { now, obstacle } = facts
  if (obstacle !== undefined) return blocked(state, facts)
  const forMs = now - state.since
  switch (state.phase) {
    case 'idle':
    case 'waiting':
      return whileWaiting(state, facts)
    case 'offered':
      if (!facts.canSignal) return offerLost(state, facts)
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

function blocked(state: Escalation, facts: EscalationFacts): Step {
  const { now, obstacle } = facts
  if (obstacle === undefined) return stay(state)
  if (mayEndLater(state, facts)) return stay(state)
  const step = block(state, obstacle, now)
  if (state.phase !== 'active') return step
  const isFailure = obstacle.code === 'no process' || obstacle.code === 'no device'
  const damping = isFailure ? penalized(state.damping, now) : state.damping
  return { ...step, state: { ...step.state, damping, dwellUntil: now + SWITCH_EVERY_MS } }
}

/** Switched off by a person, while packets have no other way yet. */
function mayEndLater({ phase, since }: Escalation, { now, obstacle, gateway }: EscalationFacts): boolean {
  const isChoice = ['off', 'off for host', 'tier off'].includes(obstacle?.code ?? '')
  return isChoice && phase === 'active' && !gateway.isUp && now - since < OFF_WAITS_MS
}

function whileProving(state: Escalation, facts: EscalationFacts): Step {
  const { now, isLeader, canSignal, proveMs = PROVE_MS } = facts
  if (state.asked !== undefined) return whileAsked(state, state.asked, facts)
  const lack = whyNotProven(sessionOf(state, facts))
  if (lack === undefined) {
    if (isLeader && canSignal && whyNotPromote(state, facts) === undefined) return ask(state, facts)
    // The path is proven but not used. The schedule did its part, so after the next outage a try begins at once.
    if (now - state.since >= proveMs || whyNotPromote(state, facts) !== undefined)
      return stay({
        ...state,
        phase: 'waiting',
        since: now,
        wasProven: true,
        reason: state.problem ?? state.reason,
      })
  }
  return now - state.since >= proveMs && lack !== undefined ? tryFailed(state, lack, facts) : stay(state)
}

function whileWaiting(state: Escalation, facts: EscalationFacts): Step {
  const { now, isLeader, canSignal } = facts
  if (state.asked !== undefined) return whileAsked(state, state.asked, facts)
  const session = sessionOf(state, facts)
  const isProven = session?.isProven === true
  // The process found that UDP works again: the long waits are for paths that do not work.
  const woken = isProven && !state.wasProven ? afresh(state, now) : state
  const seen = { ...woken, wasProven: isProven }
  if (!isLeader || !canSignal) return testWhileSuppressed(seen, facts)
  if (whyNotPromote(seen, facts) === undefined) return ask(seen, facts)
  const needsKeys = whyNotProven(session) !== undefined
  if (isSuppressed(state.damping, now) && session !== undefined) return testWhileSuppressed(seen, facts)
  return needsKeys && now >= seen.schedule.nextAt ? offer(seen, facts) : stay(seen)
}

/** While suppressed, only probes go out, to see whether UDP would work. */
function testWhileSuppressed(state: Escalation, { now }: EscalationFacts): Step {
  const { askedAt = state.since, damping, attempt } = state
  if (attempt === undefined || !isSuppressed(damping, now) || now - askedAt < TEST_EVERY_MS)
    return stay(state)
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
