/** What the bench of the UDP path measures, and the rows that it claims. */
import { readFileSync } from 'node:fs'
import type { CrowdFigures } from './p2p-crowd.ts'

/** USER_HZ of every Linux that Node runs on (sysconf(_SC_CLK_TCK)). */
const TICKS_PER_S = 100

export type Name = 'p2p' | 'tls' | 'nebula' | 'wireguard'
export const NAMES: readonly Name[] = ['p2p', 'tls', 'nebula', 'wireguard']

/** What one turn of one contestant showed. */
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

/** User and system time of processes, s. proc(5), fields 14 and 15 of stat, behind the name in brackets. */
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

const more = { unit: 'ratio', isMore: true } as const
const less = { unit: 'ratio', isMore: false } as const

export function crowdRows({ aloneMiB, crowdMiB, probesPercent }: CrowdFigures): P2pRow[] {
  const memory = { unit: 'MiB', isMore: false } as const
  return [
    { what: 'memory of the P2P process', value: aloneMiB, bound: 90, aim: 70, ...memory },
    { what: 'memory with 253 peers', value: crowdMiB, bound: 120, aim: 90, ...memory },
    {
      what: 'probes of 253 idle peers, of a core',
      value: probesPercent,
      bound: 1,
      aim: 0.3,
      unit: '%',
      isMore: false,
    },
  ]
}

export function rowsOf({ p2p, tls, nebula, wireguard }: P2pBench['medians']): P2pRow[] {
  return [
    {
      what: 'TCP, one stream: p2p / nebula',
      value: p2p.tcpMbps / nebula.tcpMbps,
      bound: 8,
      aim: 11,
      ...more,
    },
    {
      what: 'TCP, one stream: p2p / TLS tunnel',
      value: p2p.tcpMbps / tls.tcpMbps,
      bound: 1.5,
      aim: 1.9,
      ...more,
    },
    {
      what: 'TCP, one stream: p2p / wireguard-go',
      value: p2p.tcpMbps / wireguard.tcpMbps,
      bound: 2,
      aim: 2.7,
      ...more,
    },
    {
      what: 'UDP, 1,400-byte packets: p2p / nebula',
      value: p2p.udpPps / nebula.udpPps,
      bound: 2,
      aim: 2.9,
      ...more,
    },
    { what: 'round trip idle: p2p / nebula', value: p2p.idleMs / nebula.idleMs, bound: 1.3, aim: 1, ...less },
    {
      what: 'round trip under load: p2p / nebula',
      value: p2p.loadMs / nebula.loadMs,
      bound: 0.7,
      aim: 0.45,
      ...less,
    },
    {
      what: 'TCP, 1 % loss: p2p / TLS tunnel',
      value: p2p.lossyMbps / tls.lossyMbps,
      bound: 2,
      aim: 2.4,
      ...more,
    },
    {
      what: 'TCP, 1 % loss: p2p / wireguard-go',
      value: p2p.lossyMbps / wireguard.lossyMbps,
      bound: 1,
      aim: 1.3,
      ...more,
    },
    {
      what: 'CPU per GB: p2p / wireguard-go',
      value: p2p.cpuPerGb / wireguard.cpuPerGb,
      bound: 0.6,
      aim: 0.35,
      ...less,
    },
  ]
}
