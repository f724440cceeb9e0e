/** The transitions of an escalation, with their waits, penalties and messages to the peer. Pure. */

import type { Millis } from '../../../core/clock.ts'
import { NO_DAMPING, penalized, restAfter } from './damping.ts'
import { newHealth } from './health.ts'
import { nextTryAt, sessionOf } from './promotion.ts'
import { demotionKind, type P2pCode, type P2pReason } from './reasons.ts'
import { tryAfresh, tryAt, tryLater } from './retry-schedule.ts'
import type { Action, Escalation, EscalationFacts, PeerMessage, ResetCause, Step } from './types.ts'

/** A pair switches at most once in 10 s: people on a call hear every switch. */
export const SWITCH_EVERY_MS: Millis = 10_000
/** After a demotion by choice nothing is broken, so there is no hurry (Tailscale 60 s, ZeroTier 15 s). */
const CHOICE_DWELL_MS: Millis = 60_000
/** Without the doubling up to this, a path that is worse only under load would switch every minute for ever. */
const CHOICE_DWELL_AT_MOST_MS: Millis = 900_000
/** A path that carried packets for this long was healthy: its end counts as a first failure. */
const STEADY_MS: Millis = 60_000
/** The wait after the peer said `not ready`. Asking again costs one round trip. */
const ASK_AGAIN_MS: Millis = 2_000

export const initial = (now: Millis): Escalation => ({
  phase: 'idle',
  since: now,
  reason: { code: 'starting' },
  generation: 0,
  attempts: 0,
  schedule: tryAt(now),
  damping: NO_DAMPING,
  dwellUntil: 0,
  choices: 0,
  wasProven: false,
})

export const stay = (state: Escalation): Step => ({ state, actions: [] })

const enter = (
  state: Escalation,
  now: Millis,
  phase: Escalation['phase'],
  reason: P2pReason,
): Escalation => ({ ...state, phase, reason, since: now, asked: undefined })

/** Leader: a new try with new keys. */
export function offer(state: Escalation, { now, newAttempt }: EscalationFacts): Step {
  const next = enter(state, now, 'offered', { code: 'offering' })
  const { generation } = state
  return {
    state: { ...next, attempt: newAttempt, attempts: state.attempts + 1, wasProven: false },
    actions: [{ type: 'send', message: { type: 'p2p.offer', attempt: newAttempt, generation } }],
  }
}

/** Both hosts have the keys of the try now. */
export function prove(state: Escalation, attempt: string, now: Millis): Step {
  const next = enter(state, now, 'proving', { code: 'proving' })
  return { state: { ...next, attempt, wasProven: false }, actions: [{ type: 'startSession', attempt }] }
}

/** A try failed. The session stays: its process still sends a probe now and then, and may find that UDP works. */
export function tryFailed(state: Escalation, reason: P2pReason, facts: EscalationFacts): Step {
  const { now, random } = facts
  const schedule = tryLater(state.schedule, now, random)
  const next = enter(state, now, 'waiting', reason)
  return plan({ ...next, schedule, activeAt: undefined, problem: reason }, facts)
}

/** The connection that the offer went by is gone: UDP has not failed, and the next connection gets an offer at once. */
export function offerLost(state: Escalation, { now }: EscalationFacts): Step {
  const next = enter(state, now, 'waiting', { code: 'no link' })
  return stay({ ...next, schedule: { ...state.schedule, nextAt: now } })
}

/** This host has lost the keys of the try, and tells the peer to stop proving it. */
export function abandon(state: Escalation, reason: P2pReason, facts: EscalationFacts): Step {
  const step = tryFailed(state, reason, facts)
  if (state.attempt === undefined) return step
  const generation = state.generation + 1
  const message = demoteMessage(state.attempt, generation, reason.code)
  return { state: { ...step.state, generation }, actions: [{ type: 'send', message }, ...step.actions] }
}

/** Leader: asks the peer to move its packets first, before this host moves its own. */
export function ask(state: Escalation, { now }: EscalationFacts): Step {
  const generation = state.generation + 1
  const { attempt } = state
  if (attempt === undefined) return stay(state)
  return {
    state: { ...enter(state, now, 'asking', { code: 'promoting' }), generation },
    actions: [{ type: 'send', message: { type: 'p2p.promote', attempt, generation } }],
  }
}

/** Asks the own process for the route. */
export function install(state: Escalation, generation: number, now: Millis): Step {
  const { attempt } = state
  if (attempt === undefined) return stay(state)
  return {
    state: { ...enter(state, now, 'installing', { code: 'promoting' }), generation },
    actions: [{ type: 'install', attempt, generation }],
  }
}

export function activate(state: Escalation, facts: EscalationFacts): Step {
  const { now, isLeader } = facts
  const { attempt, generation } = state
  const next = { ...enter(state, now, 'active', { code: 'proven' }), activeAt: now }
  return {
    state: {
      ...next,
      health: newHealth(sessionOf(state, facts), now),
      leaderNextAt: undefined,
      problem: undefined,
    },
    actions:
      isLeader || attempt === undefined
        ? []
        : [{ type: 'send', message: { type: 'p2p.promoted', attempt, generation } }],
  }
}

/** A promotion failed. The path is as proven as before, so keys and penalties stay. */
export function notPromoted(state: Escalation, reason: P2pReason, facts: EscalationFacts): Step {
  const { attempt } = state
  const generation = state.generation + 1
  const next = enter(state, facts.now, 'waiting', reason)
  const dwellUntil = Math.max(state.dwellUntil, facts.now + ASK_AGAIN_MS)
  const actions: Action[] = [{ type: 'remove', generation, code: 'promotion timed out' }]
  // The peer may have installed its route while its answer was lost.
  if (attempt !== undefined)
    actions.push({ type: 'send', message: demoteMessage(attempt, generation, 'promotion timed out') })
  return { state: { ...next, generation, dwellUntil }, actions }
}

const demoteMessage = (attempt: string, generation: number, reason: P2pCode): PeerMessage => ({
  type: 'p2p.demote',
  attempt,
  generation,
  reason,
})

/** How packets leave UDP. */
export interface Demotion {
  readonly reason: P2pReason
  /** The reason that decides the kind of demotion, where the peer names another one than is shown here. */
  readonly countsAs?: string
  /** Whether the process still has the route. */
  readonly hasRoute: boolean
  /** Whether this host demotes first, and so has to tell the peer. */
  readonly isOwn: boolean
}

/** Moves packets back to the gateway path at once, without asking the peer. */
export function demote(state: Escalation, demotion: Demotion, facts: EscalationFacts): Step {
  const { reason, countsAs, hasRoute, isOwn } = demotion
  const generation = isOwn ? state.generation + 1 : state.generation
  const actions: Action[] = []
  if (hasRoute) actions.push({ type: 'remove', generation, code: reason.code })
  if (isOwn && state.attempt !== undefined)
    actions.push({ type: 'send', message: demoteMessage(state.attempt, generation, reason.code) })
  const kind = demotionKind(countsAs ?? reason.code)
  const left = { ...enter(state, facts.now, 'waiting', reason), generation, problem: reason }
  const next = waits(left, kind, facts)
  const wasProven = sessionOf(state, facts)?.isProven === true
  const planned = plan({ ...next, activeAt: undefined, health: undefined, wasProven }, facts)
  return { state: planned.state, actions: [...actions, ...planned.actions] }
}

function waits(state: Escalation, kind: ReturnType<typeof demotionKind>, facts: EscalationFacts): Escalation {
  const { now, random } = facts
  const { activeAt = now, schedule, damping, rest, choices } = state
  const isSteady = now - activeAt >= STEADY_MS
  const fresh = isSteady ? { ...schedule, failures: 0 } : schedule
  const base = { ...state, schedule: tryLater(fresh, now, random), dwellUntil: now + SWITCH_EVERY_MS }
  if (kind === 'order') return base
  if (kind === 'failure') {
    const address = sessionOf(state, facts)?.address
    return { ...base, damping: penalized(damping, now), rest: restAfter(rest, address, now), choices: 0 }
  }
  const n = isSteady ? 0 : choices
  const dwellMs = Math.min(CHOICE_DWELL_AT_MOST_MS, CHOICE_DWELL_MS * 2 ** n)
  return { ...base, dwellUntil: now + dwellMs, choices: n + 1 }
}

/** Leader: tells the peer when the next try comes, so that both hosts show the same. */
function plan(state: Escalation, facts: EscalationFacts): Step {
  if (!facts.isLeader) return stay(state)
  const retryInMs = Math.max(0, Math.round(nextTryAt(state, facts) - facts.now))
  return { state, actions: [{ type: 'send', message: { ...stateMessage(state), retryInMs } }] }
}

/** Tells the peer which path this host sends by. */
export const stateMessage = (state: Escalation): Extract<PeerMessage, { type: 'p2p.state' }> => ({
  type: 'p2p.state',
  ...(state.attempt !== undefined && { attempt: state.attempt }),
  generation: state.generation,
  isPromoted: state.phase === 'active',
})

/** Follower: asks the leader for a try. */
export const requestOf = (cause: ResetCause): PeerMessage => ({ type: 'p2p.request', reason: cause })

/** Whether this host's process has the route, or is about to install it. */
export const isPromotedIn = ({ phase }: Escalation): boolean => phase === 'active' || phase === 'installing'

/** An obstacle rules UDP out with this peer: removes keys, route and session. */
export function block(state: Escalation, obstacle: P2pReason, now: Millis): Step {
  const isSame = state.reason.code === obstacle.code && state.reason.detail === obstacle.detail
  if (state.phase === 'idle') return stay(isSame ? state : enter(state, now, 'idle', obstacle))
  const { attempt } = state
  const generation = state.generation + 1
  const actions: Action[] = [{ type: 'endSession', code: obstacle.code }]
  if (attempt !== undefined)
    actions.push({ type: 'send', message: demoteMessage(attempt, generation, obstacle.code) })
  const { damping, attempts, rest, dwellUntil } = state
  const kept = { damping, attempts, rest, dwellUntil, generation }
  return { state: { ...initial(now), ...kept, reason: obstacle }, actions }
}

/** Something changed that may let the next try succeed. */
export function afresh(state: Escalation, now: Millis): Escalation {
  return { ...state, schedule: tryAfresh(state.schedule, now) }
}

/** A person asked for a try: forgets the failures, which they may have repaired. */
export function pardoned(state: Escalation, now: Millis): Escalation {
  const dwellUntil = Math.min(state.dwellUntil, now)
  const schedule = { ...state.schedule, failures: 0, nextAt: now }
  return { ...state, schedule, damping: NO_DAMPING, rest: undefined, choices: 0, dwellUntil, pardonedAt: now }
}
