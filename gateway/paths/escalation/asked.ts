/** Follower: answers the leader that asks to promote, at once or when its own path is fit. Pure. */

import type { Millis } from '../../../core/clock.ts'
import { sessionOf, whyNotFit } from './promotion.ts'
import type { P2pReason } from './reasons.ts'
import { install, SWITCH_EVERY_MS, stay } from './transitions.ts'
import type { Asked, Escalation, EscalationFacts, SessionFacts, Step } from './types.ts'

/**
 * Both hosts prove the path at the same time, and the leader asks when its own proof is there: milliseconds before this
 * host's, half of the time. On a busy machine this host's first round trips are too long as well, and the next ones are
 * not. The leader asks anew 2 s after an answer `not ready`, and it waits 2 s for an answer.
 */
const HOLD_MS: Millis = 1_500

export const promoteAsked = (
  state: Escalation,
  { attempt, generation }: Omit<Asked, 'at'>,
  facts: EscalationFacts,
): Step => whileAsked(state, { attempt, generation, at: facts.now }, facts)

/** While the leader waits for the answer. */
export function whileAsked(state: Escalation, asked: Asked, facts: EscalationFacts): Step {
  const session = sessionOf(state, facts)
  const unfit = whyNotFit(state, session, facts.gateway.rttMs)
  const lack = whyInVain(state, asked, facts) ?? unfit ?? whyTooSoon(state, facts)
  if (lack === undefined) return install(state, asked.generation, facts.now)
  const maySoonFit = lack === unfit && isProbing(state, session) && facts.now - asked.at < HOLD_MS
  return maySoonFit ? stay({ ...state, asked }) : refuse(state, asked, lack)
}

/** The first view of a session comes a moment after its begin. Later there is none because its keys are lost. */
const isProbing = ({ phase }: Escalation, session: SessionFacts | undefined): boolean =>
  phase === 'proving' || (phase === 'waiting' && session !== undefined)

function refuse(state: Escalation, { attempt, generation }: Asked, lack: P2pReason): Step {
  const known = Math.max(state.generation, generation)
  const message = { type: 'p2p.notReady', attempt, generation: known, reason: lack.code } as const
  return {
    state: { ...state, generation: known, asked: undefined },
    actions: [{ type: 'send', message }],
  }
}

/** Why no probe of this host can lead to a promotion that was asked for. */
function whyInVain(
  state: Escalation,
  { attempt, generation }: Asked,
  { obstacle }: EscalationFacts,
): P2pReason | undefined {
  if (obstacle !== undefined) return obstacle
  if (attempt !== state.attempt) return { code: 'no session' }
  return generation <= state.generation ? { code: 'old generation' } : undefined
}

/** The leader observes the long waits. The follower allows one switch in 10 s. */
function whyTooSoon(
  { phase, dwellUntil, since }: Escalation,
  { now }: EscalationFacts,
): P2pReason | undefined {
  const hasJustSwitched = phase === 'waiting' && now < Math.min(dwellUntil, since + SWITCH_EVERY_MS)
  return hasJustSwitched ? { code: 'dwell' } : undefined
}
