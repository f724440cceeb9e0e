/** Judges whether a UDP path may keep carrying packets, by its figures and the gateway path's. Pure. */

import type { Millis } from '../../../core/clock.ts'
import { type Hold, hasHeld, hold } from './hold.ts'
import type { P2pReason } from './reasons.ts'
import type { EscalationFacts, GatewayPathFacts, SessionFacts } from './types.ts'

/**
 * 10 % of 40 probes prove nothing by themselves. In 400 simulated runs with a probe every 250 ms, a path that loses 5 %
 * reached that figure within 28 s (median), and one that loses 4 % within 47 s. So a demotion takes one of these:
 * - 7 of this host's 40 probes are lost;
 * - 11 of both hosts' 80: 9 of 10 paths that lose 12 % each way get there within 8 s, and 4 of 10 that lose 5 % within
 *   5 minutes;
 * - 10 % of the 40 and 10 % of the last 160: a path that loses 10 % gets there sooner or later.
 */
const LOSS_DEMOTES = 0.1
const LOSS_DEMOTES_AT_ONCE = 7 / 40
const LOSS_OF_BOTH_DEMOTES = 11 / 80
const LOSS_WARNS = 0.05
const MIN_PROBES = 20
/** A weighted mean of weight w varies as much as a plain mean over 2 / w probes, here 160. */
const LONG_LOSS_WEIGHT = 1 / 80
/** A ratio, like DERP's rule: a fixed difference could move traffic to a slower path. */
const SLOWER_RATIO = 1.5
const SLOWER_BY_MS: Millis = 20
/**
 * What is to hold for 10 s: a planned switch costs a flow 12 ms, a wrong one a minute on the slower path. The mean of
 * the round trips shows a change after three probes, 0.6 s, and the gateway sees it up to 1 s later.
 */
const HOLD_MS: Millis = 9_500
const LONG_RTT_MS: Millis = 500
const TOO_LONG_RTT_MS: Millis = 1_000
/** The limit for a promotion. Between this and SLOWER_RATIO packets stay on the path that they use. */
const BETTER_RATIO = 1.25
/** TCP halves its rate by itself. Below a quarter of the peak the path is at fault, and not the sender. */
const FAR_BELOW = 1 / 4
/** Any path carries less than this, so a lower peak says nothing about the path. */
const DEMAND_BPS = 8_000_000
/** A choked flow still sends this much; an idle one does not. */
const BUSY_BPS = 64_000
const PEAK_AGE_MS: Millis = 600_000
/** A queue is full when the round trip is twice the idle one, plus SLOWER_BY_MS. */
const CONGESTED_RATIO = 2
/**
 * Probes get through and packets do not, as behind a scrubber against attacks (tailscale#19457). The peer acknowledges
 * each of the four sends at once. While probes lose less than 5 %, chance loses all four once in 10^4 times at most.
 */
const UNHEARD_TIMES = 4
const UNHEARD_MS: Millis = 3_000
/** Judged only while probes get through: a queue that a flood fills loses probes as well. */
const DATA_LOST = 0.5

export interface HealthMemory {
  readonly longLoss: number
  readonly sent: number
  readonly lost: number
  /** Least round trips since UDP carries packets: those of the two paths with empty queues. */
  readonly idleRttMs: Millis
  readonly idleGatewayRttMs: Millis
  readonly peakBps: number
  readonly peakAt: Millis
  /** Each of these conditions has to hold for HOLD_MS. Since when the gateway sees it hold. */
  readonly slowerAt?: Millis | undefined
  readonly tooSlowAt?: Millis | undefined
  readonly jitterAt?: Millis | undefined
  readonly dataLostAt?: Millis | undefined
  readonly choked?: Hold | undefined
}

export type Verdict =
  | { readonly kind: 'fine' }
  | { readonly kind: 'warn'; readonly reason: P2pReason }
  | { readonly kind: 'demote'; readonly reason: P2pReason }

export const newHealth = (session: SessionFacts | undefined, now: Millis): HealthMemory => ({
  longLoss: 0,
  sent: session?.probes.sent ?? 0,
  lost: session === undefined ? 0 : lostOf(session),
  idleRttMs: Infinity,
  idleGatewayRttMs: Infinity,
  peakBps: 0,
  peakAt: now,
})

const lostOf = ({ probes }: SessionFacts): number => probes.sent - probes.answered

const bpsOf = ({ txBps, rxBps }: SessionFacts): number => Math.max(txBps, rxBps)

/** Call it for each new view, at least once a second. */
export function watch(memory: HealthMemory, { now, session, gateway }: EscalationFacts): HealthMemory {
  if (session === undefined) return memory
  const next = { ...memory, ...longLossOf(memory, session), ...peakOf(memory, session, now) }
  const idle = {
    idleRttMs: Math.min(memory.idleRttMs, session.rttMs ?? Infinity),
    idleGatewayRttMs: Math.min(memory.idleGatewayRttMs, gateway.rttMs ?? Infinity),
  }
  const since = (at: Millis | undefined, holds: boolean): Millis | undefined =>
    holds ? (at ?? now) : undefined
  return {
    ...next,
    ...idle,
    slowerAt: since(memory.slowerAt, isSlower(session.rttMs, gateway.rttMs)),
    tooSlowAt: since(memory.tooSlowAt, isTooSlow(session, gateway)),
    jitterAt: since(memory.jitterAt, isSlower(session.jitterMs, addedUp(gateway))),
    dataLostAt: since(memory.dataLostAt, losesData({ ...next, ...idle }, session)),
    choked: hold(memory.choked, isChoked({ ...next, ...idle }, session, gateway), now),
  }
}

/** Weighted over all round trips. A probe on its way counts as lost until its answer comes. */
function longLossOf(
  { longLoss, sent, lost }: HealthMemory,
  session: SessionFacts,
): Pick<HealthMemory, 'longLoss' | 'sent' | 'lost'> {
  const lostNow = lostOf(session)
  const more = session.probes.sent - sent
  if (more < 0) return { longLoss: 0, sent: session.probes.sent, lost: lostNow }
  const kept = longLoss * (1 - LONG_LOSS_WEIGHT) ** more
  const added = LONG_LOSS_WEIGHT * (lostNow - lost)
  return { longLoss: Math.max(0, kept + added), sent: session.probes.sent, lost: lostNow }
}

function peakOf(
  { peakBps, peakAt }: HealthMemory,
  session: SessionFacts,
  now: Millis,
): Pick<HealthMemory, 'peakBps' | 'peakAt'> {
  const bps = bpsOf(session)
  return bps >= peakBps || now - peakAt > PEAK_AGE_MS ? { peakBps: bps, peakAt: now } : { peakBps, peakAt }
}

const isSlower = (ms: Millis | undefined, gatewayMs: Millis | undefined): boolean =>
  ms !== undefined &&
  gatewayMs !== undefined &&
  ms > SLOWER_RATIO * gatewayMs &&
  ms > gatewayMs + SLOWER_BY_MS

const isTooSlow = ({ rttMs }: SessionFacts, gateway: GatewayPathFacts): boolean =>
  rttMs !== undefined &&
  gateway.rttMs !== undefined &&
  rttMs > TOO_LONG_RTT_MS &&
  rttMs > BETTER_RATIO * gateway.rttMs

/** Moving to a gateway path that varies as much gains nothing: on the same Wi-Fi both paths vary. */
const addedUp = ({ rttMs, jitterMs = 0 }: GatewayPathFacts): Millis | undefined =>
  rttMs === undefined ? undefined : rttMs + jitterMs

const queues = (ms: Millis | undefined, idleMs: Millis): boolean =>
  ms !== undefined && ms > CONGESTED_RATIO * idleMs + SLOWER_BY_MS

const losesData = (memory: HealthMemory, session: SessionFacts): boolean =>
  (session.dataLossRate ?? 0) >= DATA_LOST &&
  passesProbes(session) &&
  !queues(session.rttMs, memory.idleRttMs)

const passesProbes = (session: SessionFacts): boolean =>
  session.probes.window >= MIN_PROBES && lossOf(session) < LOSS_WARNS

const isUnheard = (session: SessionFacts): boolean => {
  const { times, forMs } = session.unacknowledged ?? { times: 0, forMs: 0 }
  return times >= UNHEARD_TIMES && forMs >= UNHEARD_MS && passesProbes(session)
}

/**
 * UDP is congested, the gateway path is not, and the pair carries far less than it did. Each alone is ordinary: an
 * application sends less, both paths share a full queue, or TCP probes for bandwidth until it loses a packet.
 */
function isChoked(memory: HealthMemory, session: SessionFacts, gateway: GatewayPathFacts): boolean {
  const bps = bpsOf(session)
  const best = Math.max(memory.peakBps, gateway.peakBps ?? 0)
  const { dataLossRate = 0 } = session
  const isLossy = Math.max(lossOf(session), dataLossRate) >= LOSS_WARNS
  const isCongested = isLossy || queues(session.rttMs, memory.idleRttMs)
  const isGatewayCalm = gateway.rttMs !== undefined && !queues(gateway.rttMs, memory.idleGatewayRttMs)
  return best >= DEMAND_BPS && bps >= BUSY_BPS && bps < FAR_BELOW * best && isCongested && isGatewayCalm
}

/** The worse of both hosts' counts: each counts the answers to its own probes. */
export const lossOf = ({ lossRate, peerLossRate = 0 }: SessionFacts): number =>
  Math.max(lossRate, peerLossRate)

const percent = (rate: number): string => `${(rate * 100).toFixed(0)} %`
const millis = (ms: Millis | undefined): string => (ms === undefined ? '?' : `${Math.round(ms * 10) / 10} ms`)

export function verdictOf(memory: HealthMemory, facts: EscalationFacts): Verdict {
  const { session, gateway } = facts
  if (session === undefined) return { kind: 'fine' }
  const reason = whyDemote(memory, facts, session)
  if (reason === undefined) return warningOf(memory, session, gateway)
  if (canTakeOver(session, gateway)) return { kind: 'demote', reason }
  return { kind: 'warn', reason: { code: 'both degraded', detail: reason.code } }
}

/** A gateway path that takes seconds is as good as down: its TCP waits for what the same cable lost. */
const canTakeOver = ({ rttMs = 0 }: SessionFacts, gateway: GatewayPathFacts): boolean =>
  gateway.isUp && !(gateway.rttMs !== undefined && gateway.rttMs > TOO_LONG_RTT_MS && gateway.rttMs > rttMs)

function whyDemote(
  memory: HealthMemory,
  { now, gateway }: EscalationFacts,
  session: SessionFacts,
): P2pReason | undefined {
  // The process demotes by itself, except while the gateway path is down.
  if (!session.isProven) return { code: 'no answer' }
  const loss = lossThatCounts(memory, session)
  if (loss !== undefined) return { code: 'loss', detail: percent(loss) }
  if (isUnheard(session)) return { code: 'data lost', detail: 'none was acknowledged' }
  const held = (at: Millis | undefined): boolean => at !== undefined && now - at >= HOLD_MS
  const against = `${millis(session.rttMs)} against ${millis(gateway.rttMs)}`
  if (held(memory.dataLostAt)) return { code: 'data lost', detail: percent(session.dataLossRate ?? 0) }
  if (held(memory.slowerAt)) return { code: 'slower', detail: against }
  if (held(memory.tooSlowAt)) return { code: 'too slow', detail: against }
  if (held(memory.jitterAt)) return { code: 'jitter', detail: `${millis(session.jitterMs)} on ${against}` }
  if (hasHeld(memory.choked, HOLD_MS))
    return { code: 'throughput', detail: `${(bpsOf(session) / 1e6).toFixed(1)} Mbit/s` }
  return undefined
}

function lossThatCounts({ longLoss }: HealthMemory, session: SessionFacts): number | undefined {
  const { lossRate, peerLossRate = 0, probes } = session
  if (probes.window < MIN_PROBES) return undefined
  const loss = lossOf(session)
  if (loss >= LOSS_DEMOTES_AT_ONCE || (lossRate + peerLossRate) / 2 >= LOSS_OF_BOTH_DEMOTES) return loss
  return loss >= LOSS_DEMOTES && longLoss >= LOSS_DEMOTES ? longLoss : undefined
}

function warningOf(memory: HealthMemory, session: SessionFacts, gateway: GatewayPathFacts): Verdict {
  if (!gateway.isUp) return { kind: 'warn', reason: { code: 'gateway path is down' } }
  const loss = Math.max(lossOf(session), memory.longLoss)
  if (session.probes.window >= MIN_PROBES && loss >= LOSS_WARNS)
    return { kind: 'warn', reason: { code: 'lossy', detail: percent(loss) } }
  if (session.rttMs !== undefined && session.rttMs > LONG_RTT_MS)
    return { kind: 'warn', reason: { code: 'slow both ways', detail: millis(session.rttMs) } }
  return { kind: 'fine' }
}
