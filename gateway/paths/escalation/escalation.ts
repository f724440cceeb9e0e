/**
 * Decides when packets of a pair of hosts move to UDP and back. Pure.
 *
 * The lower hostId leads; either host demotes.
 */

import type { Millis } from '../../../core/clock.ts'
import { newHealth } from './health.ts'
import { messageReceived } from './messages.ts'
import { progress } from './progress.ts'
import { isP2pCode, type P2pCode, type P2pReason } from './reasons.ts'
import { trySoon } from './retry-schedule.ts'
import {
  abandon,
  activate,
  afresh,
  demote,
  initial,
  isPromotedIn,
  notPromoted,
  pardoned,
  requestOf,
  stateMessage,
  stay,
} from './transitions.ts'
import type { Action, Escalation, EscalationFacts, Input, ResetCause, SessionFacts, Step } from './types.ts'

/** Takes the next step in the same turn, if the input made one possible: the next tick is up to a second away. */
export function escalate(state: Escalation, input: Input, facts: EscalationFacts): Step {
  const first = follow(state, input, facts)
  const second = progress(first.state, facts)
  return { state: second.state, actions: [...first.actions, ...second.actions] }
}

/** After its own restart the gateway goes on from the session that its P2P process still has with the peer. */
export function adopt(session: SessionFacts, facts: EscalationFacts): Escalation {
  const { now } = facts
  const { attempt, generation, isPromoted } = session
  const common = { ...initial(now), attempt, generation, attempts: 1, wasProven: session.isProven }
  if (!isPromoted) return { ...common, phase: 'waiting', reason: { code: 'unproven' } }
  return {
    ...common,
    phase: 'active',
    reason: { code: 'proven' },
    activeAt: now,
    health: newHealth(session, now),
  }
}

function follow(state: Escalation, input: Input, facts: EscalationFacts): Step {
  switch (input.type) {
    case 'tick':
      return stay(state)
    case 'message':
      return messageReceived(state, input.message, facts)
    case 'linkUp':
      return linkUp(state, facts)
    case 'reset':
      return reset(state, input.cause, facts)
    case 'installed':
      return state.phase === 'installing' && input.attempt === state.attempt
        ? activate(state, facts)
        : stay(state)
    case 'notInstalled':
      return notInstalled(state, input, facts)
    case 'removed':
      return input.attempt === state.attempt && isPromotedIn(state)
        ? demote(state, { reason: reasonOf(input.reason, 'no answer'), hasRoute: false, isOwn: true }, facts)
        : stay(state)
    case 'ended':
      return ended(state, input, facts)
  }
}

/** The process names its reasons by code. A newer process may know codes that this gateway does not. */
const reasonOf = (text: string, fallback: P2pCode): P2pReason =>
  isP2pCode(text) ? { code: text } : { code: fallback, detail: text }

/** Both hosts say which path they send by: while the link was down, each may have restarted or demoted. */
function linkUp(state: Escalation, { now }: EscalationFacts): Step {
  const next = state.phase === 'active' ? state : afresh(state, now)
  return { state: next, actions: [{ type: 'send', message: stateMessage(state) }] }
}

function reset(state: Escalation, cause: ResetCause, facts: EscalationFacts): Step {
  const { now, isLeader, canSignal } = facts
  const actions: Action[] = state.attempt === undefined ? [] : [{ type: 'probeNow' }]
  if (state.phase === 'active') return { state, actions }
  const next = resetBy(state, cause, now)
  const isFresh = cause === 'operator' || next.schedule.resetAt === now
  if (!isLeader && canSignal && isFresh) actions.push({ type: 'send', message: requestOf(cause) })
  return { state: next, actions }
}

function resetBy(state: Escalation, cause: ResetCause, now: Millis): Escalation {
  if (cause === 'operator') return pardoned(state, now)
  if (cause === 'peer asks') return { ...state, schedule: trySoon(state.schedule, now) }
  return afresh(state, now)
}

function notInstalled(
  state: Escalation,
  { attempt, reason }: { readonly attempt: string; readonly reason: string },
  facts: EscalationFacts,
): Step {
  if (state.phase !== 'installing' || attempt !== state.attempt) return stay(state)
  const step = notPromoted(state, { code: 'not promoted', detail: reason }, facts)
  if (facts.isLeader) return step
  const { generation } = state
  const message = { type: 'p2p.notReady', attempt, generation, reason } as const
  return { state: { ...step.state, generation }, actions: [{ type: 'send', message }] }
}

function ended(
  state: Escalation,
  { attempt, reason }: { readonly attempt: string; readonly reason: string },
  facts: EscalationFacts,
): Step {
  if (attempt !== state.attempt) return stay(state)
  const why = reasonOf(reason, 'session lost')
  const step = isPromotedIn(state)
    ? demote(state, { reason: why, hasRoute: false, isOwn: true }, facts)
    : abandon(state, why, facts)
  return { ...step, state: { ...step.state, attempt: undefined, wasProven: false } }
}
