/** Follower: answers the leader that asks to promote, at once or when the own proof is there. Pure. */

import type { Millis } from '../../../core/clock.ts'
import { sessionOf, whyNotFit, whyNotProven } from './promotion.ts'
import type { P2pReason } from './reasons.ts'
import { install, SWITCH_EVERY_MS, stay } from './transitions.ts'
import type { Asked, Escalation, EscalationFacts, Step } from './types.ts'

/**
 * Both hosts prove the path at the same time, and the leader asks when its own proof is there: milliseconds before this
 * host's, half of the time. Its answer `not ready` cost 2.3 s. The leader waits 2 s for an answer.
 */
const HOLD_MS: Millis = 1_500

export function promoteAsked(state: Escalation, asked: Omit<Asked, 'at'>, facts: EscalationFacts): Step {
  const lack = whyNotReady(state, asked, facts)
  if (lack === undefined) return install(state, asked.generation, facts.now)
  const isMine = asked.attempt === state.attempt && asked.generation > state.generation
  const proves = state.phase === 'proving' && whyNotProven(sessionOf(state, facts)) !== undefined
  if (isMine && proves && facts.obstacle === undefined)
    return stay({ ...state, asked: { attempt: asked.attempt, generation: asked.generation, at: facts.now } })
  return refuse(state, asked, lack)
}

/** While the leader waits for the answer. */
export function whileAsked(state: Escalation, asked: Asked, facts: EscalationFacts): Step {
  const lack = whyNotReady(state, asked, facts)
  if (lack === undefined) return install(state, asked.generation, facts.now)
  const isOver = facts.now - asked.at >= HOLD_MS || whyNotProven(sessionOf(state, facts)) === undefined
  return isOver ? refuse(state, asked, lack) : stay(state)
}

function refuse(state: Escalation, { attempt, generation }: Omit<Asked, 'at'>, lack: P2pReason): Step {
  const known = Math.max(state.generation, generation)
  const message = { type: 'p2p.notReady', attempt, generation: known, reason: lack.code } as const
  return {
    state: { ...state, generation: known, asked: undefined },
    actions: [{ type: 'send', message }],
  }
}

/** The leader observes the long waits. The follower checks its own probes and allows one switch in 10 s. */
function whyNotReady(
  state: Escalation,
  { attempt, generation }: Omit<Asked, 'at'>,
  facts: EscalationFacts,
): P2pReason | undefined {
  if (facts.obstacle !== undefined) return facts.obstacle
  if (attempt !== state.attempt) return { code: 'no session' }
  if (generation <= state.generation) return { code: 'old generation' }
  const session = sessionOf(state, facts)
  const lack = whyNotFit(state, session, facts.gateway.rttMs)
  if (lack !== undefined) return lack
  const { phase, dwellUntil, since } = state
  const hasJustSwitched = phase === 'waiting' && facts.now < Math.min(dwellUntil, since + SWITCH_EVERY_MS)
  return hasJustSwitched ? { code: 'dwell' } : undefined
}
