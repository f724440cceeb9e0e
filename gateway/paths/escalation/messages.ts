/** Applies the peer's `p2p.` messages to an escalation. Pure. */

import { promoteAsked } from './asked.ts'
import { type P2pReason, peerText, reasonText } from './reasons.ts'
import { RESET_EVERY_MS } from './retry-schedule.ts'
import {
  afresh,
  demote,
  install,
  isPromotedIn,
  notPromoted,
  pardoned,
  prove,
  stateMessage,
  stay,
  tryFailed,
} from './transitions.ts'
import type { Action, Escalation, EscalationFacts, PeerMessage, ResetCause, Step } from './types.ts'

type Of<T extends PeerMessage['type']> = Extract<PeerMessage, { readonly type: T }>

export function messageReceived(state: Escalation, message: PeerMessage, facts: EscalationFacts): Step {
  switch (message.type) {
    case 'p2p.request':
      return facts.isLeader && state.phase !== 'active' ? stay(requested(state, message, facts)) : stay(state)
    case 'p2p.offer':
      return facts.isLeader ? stay(state) : offered(state, message, facts)
    case 'p2p.answer':
      return isAwaited(state, message, 'offered') ? prove(state, message.attempt, facts.now) : stay(state)
    case 'p2p.refuse':
      return isAwaited(state, message, 'offered')
        ? tryFailed(state, { code: 'refused', detail: peerText(message.reason) }, facts)
        : stay(state)
    case 'p2p.promote':
      return facts.isLeader ? stay(state) : promoteAsked(state, message, facts)
    case 'p2p.promoted':
      return isAwaited(state, message, 'asking') && message.generation === state.generation
        ? install(state, state.generation, facts.now)
        : stay(state)
    case 'p2p.notReady':
      return isAwaited(state, message, 'asking') ? notReady(state, message, facts) : stay(state)
    case 'p2p.demote':
      return peerDemoted(state, message, facts)
    case 'p2p.state':
      return peerState(state, message, facts)
  }
}

const isAwaited = (
  { phase, attempt }: Escalation,
  message: { readonly attempt: string },
  expected: Escalation['phase'],
): boolean => phase === expected && attempt === message.attempt

/** A person at either host can end the waits, but only once in 10 s: a bad peer could send this without end. */
function requested(state: Escalation, { reason }: Of<'p2p.request'>, { now }: EscalationFacts): Escalation {
  const isPerson = reason === ('operator' satisfies ResetCause)
  const isDue = now - (state.pardonedAt ?? -Infinity) >= RESET_EVERY_MS
  return isPerson && isDue ? pardoned(state, now) : afresh(state, now)
}

function offered(state: Escalation, { attempt, generation }: Of<'p2p.offer'>, facts: EscalationFacts): Step {
  const { obstacle, now } = facts
  if (obstacle !== undefined) {
    const message = { type: 'p2p.refuse', attempt, reason: reasonText(obstacle) } as const
    return { state, actions: [{ type: 'send', message }] }
  }
  // A leader that offers a new try has left UDP.
  const before = isPromotedIn(state)
    ? demote(state, { reason: { code: 'began anew' }, hasRoute: true, isOwn: false }, facts)
    : stay(state)
  const begun = prove(before.state, attempt, now)
  const answer: Action = { type: 'send', message: { type: 'p2p.answer', attempt } }
  const next = { attempts: state.attempts + 1, generation: Math.max(state.generation, generation) }
  return {
    state: { ...begun.state, ...next, leaderNextAt: undefined },
    actions: [...before.actions, ...begun.actions, answer],
  }
}

function notReady(
  before: Escalation,
  { reason, generation }: Of<'p2p.notReady'>,
  facts: EscalationFacts,
): Step {
  const state = { ...before, generation: Math.max(before.generation, generation) }
  const detail = peerText(reason)
  const why: P2pReason = { code: 'peer not ready', detail }
  // The peer's process or gateway restarted and lost the keys: only a new try helps.
  if (reason !== 'no session') return notPromoted(state, why, facts)
  const step = tryFailed(state, why, facts)
  return { ...step, state: { ...step.state, attempt: undefined } }
}

function peerDemoted(state: Escalation, message: Of<'p2p.demote'>, facts: EscalationFacts): Step {
  const { attempt, generation, reason } = message
  if (attempt !== state.attempt || generation < state.generation) return stay(state)
  // A leader that demotes waits for no answer to an older question.
  const seen = { ...state, generation, asked: undefined }
  const detail = peerText(reason)
  if (state.phase === 'proving') return tryFailed(seen, { code: 'demoted', detail }, facts)
  if (!isPromotedIn(state) && state.phase !== 'asking') return stay(seen)
  return demote(
    seen,
    {
      reason: { code: 'demoted', detail },
      countsAs: reason,
      hasRoute: state.phase !== 'asking',
      isOwn: false,
    },
    facts,
  )
}

function peerState(state: Escalation, message: Of<'p2p.state'>, facts: EscalationFacts): Step {
  const { attempt, generation, isPromoted, retryInMs } = message
  const leaderNextAt = facts.isLeader || retryInMs === undefined ? undefined : facts.now + retryInMs
  const seen = { ...state, leaderNextAt, generation: knownTo(state, generation) }
  const isOlder = attempt === state.attempt && generation < state.generation
  // The peer sends by UDP, as it has not heard yet that this host does not.
  if (isPromoted && !NUMBERED.includes(state.phase))
    return { state: seen, actions: [{ type: 'send', message: stateMessage(seen) }] }
  if (isPromoted || isOlder || state.phase !== 'active') return stay(seen)
  const reason: P2pReason = { code: 'peer not promoted' }
  return demote(seen, { reason, hasRoute: true, isOwn: true }, facts)
}

/** A promotion that is under way, and the route, keep their number. */
const NUMBERED: readonly Escalation['phase'][] = ['asking', 'installing', 'active']

/**
 * A gateway that was started anew counts from 0, and its peer goes on: its first question to promote would be refused
 * as an older one.
 */
const knownTo = ({ asked, generation, phase }: Escalation, named: number): number =>
  asked !== undefined || NUMBERED.includes(phase) ? generation : Math.max(generation, named)
