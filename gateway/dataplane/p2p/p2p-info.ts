/** Shows a UDP path as the API has it. Pure. */

import type { P2pInfo, P2pProbes, UdpTier } from '../../../core/api.ts'
import type { Millis } from '../../../core/clock.ts'
import { isoOf } from '../../base/iso.ts'
import { lossOf } from '../../paths/escalation/health.ts'
import { type EscalationView, qualityOf } from '../../paths/escalation/view.ts'
import type { SessionView } from './protocol.ts'

const rounded = (value: number, digits: number): number => Math.round(value * 10 ** digits) / 10 ** digits

/** @param wallOf the wall clock's reading at a monotonic instant */
export function p2pInfoOf(
  { reason, attempts, generation, nextAttemptAt }: EscalationView,
  session: SessionView | undefined,
  wallOf: (at: Millis) => Millis,
  tier: UdpTier,
): P2pInfo {
  const next = nextAttemptAt === undefined ? {} : { nextAttemptAt: isoOf(wallOf(nextAttemptAt)) }
  return { reason, attempts, ...next, generation, ...(session !== undefined && sessionInfo(session, tier)) }
}

function sessionInfo(session: SessionView, tier: UdpTier): Partial<P2pInfo> {
  const { address, turn, rttMs, jitterMs, probes, txBps, rxBps, mtu, form } = session
  const lossRate = lossOf(session)
  return {
    ...(address !== undefined && { address, tier }),
    ...(turn !== undefined && { turn }),
    probes: probesOf(session),
    ...(rttMs !== undefined && { rttMs: rounded(rttMs, 2) }),
    ...(jitterMs !== undefined && { jitterMs: rounded(jitterMs, 2) }),
    ...(probes.window > 0 && { lossRate: rounded(lossRate, 3) }),
    txBps,
    rxBps,
    ...(session.isProven && { mtu, form, quality: qualityOf({ lossRate, rttMs, jitterMs }) }),
  }
}

function probesOf({ probes: { sent, answered }, heard }: SessionView): P2pProbes {
  const { probes: received = 0, probeAt, answerAt } = heard ?? {}
  return {
    sent,
    answered,
    ...(answerAt !== undefined && { answeredAt: isoOf(answerAt) }),
    received,
    ...(probeAt !== undefined && { receivedAt: isoOf(probeAt) }),
  }
}
