/** Whether a UDP path that carries packets may go on, by its own figures and the gateway path's. Pure. */

import type { Millis } from '../../../core/clock.ts'
import type { P2pReason } from './reasons.ts'
import type { EscalationFacts, GatewayPathFacts, SessionFacts } from './types.ts'

/**
 * 10 % of 40 probes alone is no proof: in 400 simulated runs with a probe each 250 ms a path that loses 5 % showed it within
 * 28 s (median), one that loses 4 % within 47 s. So 7 of this host's 40 have to be lost, or 11 of the 80 of both hosts
 * (9 of 10 paths that lose 12 % each way show that within 8 s, 4 of 10 that lose 5 % within 5 minutes), or 10 % of the last
 * 160 besides 10 % of the 40, which a path that loses 10 % cannot hide.
 */
const LOSS_DEMOTES = 0.1
const LOSS_DEMOTES_AT_ONCE = 7 / 40
const LOSS_OF_BOTH_DEMOTES = 11 / 80
const LOSS_WARNS = 0.05
const MIN_PROBES = 20
/** A weighted mean of weight w varies as one over 2 / w probes. */
const LONG_LOSS_WEIGHT = 1 / 80
/** Relative like DERP's rule: an absolute one may move traffic to something slower. */
const SLOWER_RATIO = 1.5
const SLOWER_BY_MS: Millis = 20
/** A planned switch costs a flow 12 ms, a wrong one a minute on the slower path. */
const HOLD_MS: Millis = 10_000
const LONG_RTT_MS: Millis = 500
const TOO_LONG_RTT_MS: Millis = 1_000
/** What promotion allows: between this and SLOWER_RATIO the path stays where it is. */
const BETTER_RATIO = 1.25
/** Below a quarter of what was carried it is not the sender who wants less: a halved rate is TCP at work. */
const FAR_BELOW = 1 / 4
/** Less than this was never demand that a path could fail. */
const DEMAND_BPS = 8_000_000
/** A flow that is choked still sends; one that is idle does not. */
const BUSY_BPS = 64_000
const PEAK_AGE_MS: Millis = 600_000
/** Round trip that has doubled and grown by as much again as makes it `slower`: a queue is full. */
const CONGESTED_RATIO = 2
/**
 * Probes pass and packets do not (tailscale#19457, a scrubber against attacks). Each of the four sends would have been
 * acknowledged at once: with probes that lose less than 5 % all four are lost by chance once in 10^4 times at most.
 */
const UNHEARD_TIMES = 4
const UNHEARD_MS: Millis = 3_000
/** What a full queue loses of a flood, it loses of probes as well. */
const DATA_LOST = 0.5

export interface HealthMemory {
  readonly longLoss: number
  readonly sent: number
  readonly lost: number
  /** Least round trips since UDP carries packets: that of each path without a queue. */
  readonly idleRttMs: Millis
  readonly idleGatewayRttMs: Millis
  readonly peakBps: number
  readonly peakAt: Millis
  /** Since when each condition holds that has to hold for HOLD_MS. */
  readonly slowerAt?: Millis | undefined
  readonly tooSlowAt?: Millis | undefined
  readonly jitterAt?: Millis | undefined
  readonly chokedAt?: Millis | undefined
  readonly dataLostAt?: Millis | undefined
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

/** To be called for each new view, at least once a second. */
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
    chokedAt: since(memory.chokedAt, isChoked({ ...next, ...idle }, session, gateway)),
  }
}

/** Weighted over all round trips; probes that are still out are counted as lost and taken back when they are answered. */
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

/** A gateway path that varies as much gains nothing: on one Wi-Fi both do. */
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
 * Congested here, not there, and far below what the pair has carried. All of it together, since each alone is ordinary: an
 * application that sends less, a full queue that both paths share, a loss that TCP asks for.
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

/** The worse of both ends' counts: each hears only answers to its own probes. */
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

/** A gateway path that takes seconds is down in all but name: its TCP is waiting for what the same cable lost. */
const canTakeOver = ({ rttMs = 0 }: SessionFacts, gateway: GatewayPathFacts): boolean =>
  gateway.isUp && !(gateway.rttMs !== undefined && gateway.rttMs > TOO_LONG_RTT_MS && gateway.rttMs > rttMs)

function whyDemote(
  memory: HealthMemory,
  { now, gateway }: EscalationFacts,
  session: SessionFacts,
): P2pReason | undefined {
  // The process demotes by itself; where it does not, the gateway path is down.
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
  if (held(memory.chokedAt))
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
