/** The tables of `flatnet status`: the way to each host and why, and what was measured of each UDP path. */
import type { P2pInfo, PathInfo } from '../../core/api.ts'
import { type Column, table } from '../ui/output.ts'

/** `2026-11-20 13:00:00`, UTC as everywhere else in this output. */
export const timeText = (iso: string): string => iso.slice(0, 19).replace('T', ' ')

/** For people: `0.04 ms`, `2.4 ms`, `31 ms`. */
function millisText(ms: number | undefined): string {
  if (ms === undefined) return '-'
  return `${ms < 0.1 ? ms.toFixed(2) : ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`
}

/** What UDP carries now in the busier direction: `940 Mbit/s`. */
export function rateText({
  p2p,
  state,
  via,
}: Pick<PathInfo, 'p2p' | 'state'> & Partial<Pick<PathInfo, 'via'>>): string {
  const isUsed = state === 'P2P_ACTIVE' && via !== 'nebula'
  if (p2p?.txBps === undefined || p2p.rxBps === undefined || !isUsed) return '-'
  const bps = Math.max(p2p.txBps, p2p.rxBps)
  if (bps < 1e5) return `${Math.round(bps / 1e3)} kbit/s`
  return bps < 1e9 ? `${(bps / 1e6).toFixed(bps < 1e7 ? 1 : 0)} Mbit/s` : `${(bps / 1e9).toFixed(1)} Gbit/s`
}

/** A TURN server in between is named: it costs its owner traffic, and it may be far. */
const reasonOf = ({ p2p, reason, state }: PathInfo): string =>
  state === 'P2P_ACTIVE' && p2p?.turn !== undefined ? `${reason}, through TURN server ${p2p.turn}` : reason

const WAYS: readonly Column<PathInfo>[] = [
  { title: 'HOST', value: (p) => String(p.hostId) },
  { title: 'STATE', value: (p) => p.state },
  { title: 'VIA', value: (p) => p.via },
  { title: 'TIER', value: (p) => p.tier ?? '-', isSpare: true },
  { title: 'RTT', value: (p) => millisText(p.rttMs) },
  { title: 'SINCE (UTC)', value: (p) => timeText(p.since) },
  { title: 'REASON', value: reasonOf, min: 10, wraps: true },
]

type Measured = PathInfo & { readonly p2p: P2pInfo }

const UDP: readonly Column<Measured>[] = [
  { title: 'HOST', value: (p) => String(p.hostId) },
  { title: 'UDP', value: (p) => (p.state === 'P2P_ACTIVE' && p.via !== 'nebula' ? 'carries' : 'probed') },
  { title: 'TIER', value: (p) => p.p2p.tier ?? '-' },
  { title: 'RTT', value: (p) => millisText(p.p2p.rttMs) },
  { title: 'JITTER', value: (p) => millisText(p.p2p.jitterMs) },
  {
    title: 'LOSS',
    value: ({ p2p: { lossRate } }) =>
      lossRate === undefined ? '-' : `${Math.round(lossRate * 1000) / 10} %`,
  },
  { title: 'THROUGHPUT', value: rateText },
  { title: 'MTU', value: (p) => String(p.p2p.mtu ?? '-') },
  { title: 'FORM', value: (p) => p.p2p.form ?? '-', isSpare: true },
  { title: 'QUALITY', value: (p) => p.p2p.quality?.toFixed(2) ?? '-' },
]

const isMeasured = (path: PathInfo): path is Measured => path.p2p?.lossRate !== undefined

/** One table of all paths, and one of the UDP paths with a session; none of what there is not. */
export function pathTables(paths: readonly PathInfo[], width: number): string[] {
  const measured = paths.filter(isMeasured)
  return [
    ...(paths.length > 0 ? [table(WAYS, paths, width)] : []),
    ...(measured.length > 0 ? [table(UDP, measured, width)] : []),
  ]
}
