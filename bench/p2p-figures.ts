/** The figures that the bench of the UDP path measures, and the rows that it claims. */
import { readFileSync } from 'node:fs'
import type { CrowdFigures } from './p2p-crowd.ts'

/** USER_HZ of every Linux that Node runs on (sysconf(_SC_CLK_TCK)). */
const TICKS_PER_S = 100

export type Name = 'p2p' | 'tls' | 'nebula' | 'wireguard'
export const NAMES: readonly Name[] = ['p2p', 'tls', 'nebula', 'wireguard']

/** The figures of one contestant's turn. */
export interface Sample {
  readonly tcpMbps: number
  readonly udpPps: number
  readonly idleMs: number
  readonly loadMs: number
  readonly cpuPerGb: number
}

export interface P2pRow {
  readonly what: string
  readonly value: number
  readonly unit: 'ratio' | 'MiB' | '%'
  readonly bound: number
  readonly aim: number
  readonly isMore: boolean
}

/** User and system time of processes, s. proc(5), fields 14 and 15 of stat, after the name in brackets. */
export const cpuSeconds = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return sum + (Number(fields[11]) + Number(fields[12])) / TICKS_PER_S
  }, 0)

export interface P2pBench {
  /** Medians of each contestant; `lossy`: TCP at 1 % loss over single datagrams, Mbit/s. */
  readonly medians: Readonly<Record<Name, Sample & { readonly lossyMbps: number }>>
  readonly rows: readonly P2pRow[]
}

export function crowdRows({ aloneMiB, crowdMiB, probesPercent }: CrowdFigures): P2pRow[] {
  const memory = { unit: 'MiB', isMore: false } as const
  const share = { unit: '%', isMore: false } as const
  return [
    { what: 'memory of the P2P process', value: aloneMiB, bound: 90, aim: 70, ...memory },
    { what: 'memory with 253 peers', value: crowdMiB, bound: 120, aim: 90, ...memory },
    { what: 'probes of 253 idle peers, of a core', value: probesPercent, bound: 1, aim: 0.3, ...share },
  ]
}

type Figures = P2pBench['medians'][Name]

const RIVALS = { tls: 'TLS tunnel', nebula: 'nebula', wireguard: 'wireguard-go' } as const

interface Ratio {
  readonly what: string
  readonly figure: keyof Figures
  readonly rival: keyof typeof RIVALS
  readonly bound: number
  readonly aim: number
}

/** p2p's figure divided by a rival's. */
const RATIOS: readonly Ratio[] = [
  { what: 'TCP, one stream', figure: 'tcpMbps', rival: 'nebula', bound: 8, aim: 11 },
  { what: 'TCP, one stream', figure: 'tcpMbps', rival: 'tls', bound: 1.5, aim: 1.9 },
  { what: 'TCP, one stream', figure: 'tcpMbps', rival: 'wireguard', bound: 2, aim: 2.7 },
  { what: 'UDP, 1,400-byte packets', figure: 'udpPps', rival: 'nebula', bound: 2, aim: 2.9 },
  { what: 'round trip idle', figure: 'idleMs', rival: 'nebula', bound: 1.3, aim: 1 },
  { what: 'round trip under load', figure: 'loadMs', rival: 'nebula', bound: 0.7, aim: 0.45 },
  { what: 'TCP, 1 % loss', figure: 'lossyMbps', rival: 'tls', bound: 2, aim: 2.4 },
  { what: 'TCP, 1 % loss', figure: 'lossyMbps', rival: 'wireguard', bound: 1, aim: 1.3 },
  { what: 'CPU per GB', figure: 'cpuPerGb', rival: 'wireguard', bound: 0.6, aim: 0.35 },
]

const LARGER_IS_BETTER: ReadonlySet<keyof Figures> = new Set(['tcpMbps', 'udpPps', 'lossyMbps'])

export const rowsOf = (medians: P2pBench['medians']): P2pRow[] =>
  RATIOS.map(({ what, figure, rival, bound, aim }) => ({
    what: `${what}: p2p / ${RIVALS[rival]}`,
    value: medians.p2p[figure] / medians[rival][figure],
    unit: 'ratio',
    bound,
    aim,
    isMore: LARGER_IS_BETTER.has(figure),
  }))
