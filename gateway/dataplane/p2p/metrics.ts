/** Counters and gauges of the UDP paths. */

import type { Metrics } from '../../base/metrics.ts'
import type { P2pTransport } from './p2p-transport.ts'

const COUNTERS = {
  offered: ['flatnet_p2p_attempts_total', 'Tries for a UDP path that this host began'],
  promoted: ['flatnet_p2p_promotions_total', 'Times that packets of a pair moved to UDP'],
  demoted: ['flatnet_p2p_demotions_total', 'Times that packets of a pair left UDP, by reason'],
  refused: [
    'flatnet_p2p_refused_messages_total',
    'Messages of peers about UDP paths not followed, by reason',
  ],
} as const

export type P2pCount = keyof typeof COUNTERS

export function countP2p(metrics: Metrics, name: P2pCount, reason?: string): void {
  const [metric, help] = COUNTERS[name]
  metrics.count(metric, help, reason === undefined ? {} : { reason })
}

/** @param now monotonic, ms */
export function p2pGauges(metrics: Metrics, transport: P2pTransport, now: () => number): void {
  const sessions = () =>
    transport.hostIds().flatMap((hostId) => {
      const session = transport.session(hostId)
      return session === undefined ? [] : [session]
    })
  metrics.gauge('flatnet_p2p_sessions', 'UDP sessions with other hosts', () => sessions().length)
  metrics.gauge(
    'flatnet_p2p_active',
    'Hosts to which packets go over UDP',
    () => transport.hostIds().filter((id) => transport.view(id)?.state === 'P2P_ACTIVE').length,
  )
  metrics.gauge(
    'flatnet_p2p_since_attempt_seconds',
    'Since the last try that this host began; -1: none',
    () => (transport.lastOfferAt === undefined ? -1 : Math.round((now() - transport.lastOfferAt) / 1_000)),
  )
  metrics.gauge(
    'flatnet_p2p_stray_datagrams',
    'Datagrams that came for no UDP session since the P2P process began',
    () => transport.status.strays,
  )
  metrics.gauge(
    'flatnet_p2p_unasked_stun_answers',
    'STUN responses to no request of this host since the P2P process began',
    () => transport.status.unaskedStun,
  )
  const kinds = ['forged', 'replayed', 'malformed', 'packets'] as const
  metrics.gaugeEach(
    'flatnet_p2p_refused_datagrams',
    'Datagrams of a UDP session that were not followed since it began; packets: what was in them',
    () =>
      sessions().flatMap(({ hostId, refused }) =>
        kinds.map((reason) => [{ host: String(hostId), reason }, refused?.[reason] ?? 0] as const),
      ),
  )
  const perHost = [
    ['flatnet_p2p_rtt_seconds', 'Round trip over UDP', (s) => (s.rttMs ?? 0) / 1_000],
    ['flatnet_p2p_loss_ratio', 'Round trips over UDP that were lost, of the last 40', (s) => s.lossRate],
    ['flatnet_p2p_sent_bytes', 'Sent over UDP since the session began', (s) => s.txBytes],
    ['flatnet_p2p_received_bytes', 'Received over UDP since the session began', (s) => s.rxBytes],
  ] as const satisfies readonly (readonly [
    string,
    string,
    (session: NonNullable<ReturnType<P2pTransport['session']>>) => number,
  ])[]
  for (const [name, help, value] of perHost)
    metrics.gaugeEach(name, help, () => sessions().map((s) => [{ host: String(s.hostId) }, value(s)]))
}
