/** Claims about many hosts: the tunnel against Nebula, a gateway's restart, 254 simulated gateways. */

import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { benchP2p } from './p2p.ts'
import { benchCrowd } from './p2p-crowd.ts'
import { crowdRows, NAMES } from './p2p-figures.ts'
import type { SimulationFigures } from './simulation.ts'
import { type Claim, type Figure, figure } from './stats.ts'
import { benchTunnel } from './tunnel.ts'

const once = (name: string, value: number, unit: string): Figure => ({
  name,
  unit,
  value,
  p10: value,
  p90: value,
})

export async function claimTunnel(isQuick: boolean): Promise<Claim> {
  const rows = await benchTunnel(isQuick ? { rounds: 1, seconds: 2 } : {})
  return {
    title: 'The gateway tunnel and Nebula between the same two namespaces',
    figures: rows.flatMap(({ name, unit, flatnet, nebula }) => [
      once(`${name}, flatnet`, flatnet, unit),
      ...(nebula === undefined ? [] : [once(`${name}, nebula`, nebula, unit)]),
    ]),
    rows: rows.map(({ name, nebula, value, bound, aim, isMore }) => ({
      what: `tunnel, ${name}${nebula === undefined ? '' : ': flatnet / nebula'}`,
      value,
      unit: nebula === undefined ? 'ms' : 'ratio',
      bound,
      aim,
      isMore,
    })),
  }
}

export async function claimP2p(isQuick: boolean): Promise<Claim> {
  const { medians, rows } = await benchP2p(isQuick ? { count: 1, seconds: 2 } : {})
  const crowd = crowdRows(await benchCrowd())
  return {
    title: 'The UDP path, the TLS tunnel, Nebula and wireguard-go between the same two namespaces',
    figures: NAMES.flatMap((name) => [
      once(`TCP, one stream, ${name}`, medians[name].tcpMbps, 'Mbit/s'),
      once(`TCP at 1 % loss, ${name}`, medians[name].lossyMbps, 'Mbit/s'),
      once(`UDP, 1,400-byte packets, ${name}`, medians[name].udpPps, '1/s'),
      once(`round trip idle, ${name}`, medians[name].idleMs, 'ms'),
      once(`round trip under load, ${name}`, medians[name].loadMs, 'ms'),
    ]),
    rows: [...rows, ...crowd],
  }
}

/** Runs in its own process, which needs 12 GB for the 254 gateways. */
export function claimSimulation(): Claim {
  const flags = ['--disable-warning=ExperimentalWarning', '--max-old-space-size=12288']
  const { status, stdout } = spawnSync(
    process.execPath,
    [...flags, join(import.meta.dirname, 'simulation.ts'), '254', '--brief'],
    {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: 600_000,
    },
  )
  const lines = stdout.trimEnd().split('\n')
  process.stderr.write(`${lines.slice(0, -1).join('\n')}\n`)
  if (status !== 0) throw new Error(`the simulation ended with ${status}`)
  const { changesMs, memoryMiB }: SimulationFigures = JSON.parse(lines.at(-1) ?? '')
  return {
    title: '254 hosts with 62,000 assignments, simulated in one process',
    figures: [
      figure('1,000 changes seen by all, simulated time', [changesMs]),
      once('memory of one gateway', memoryMiB, 'MiB'),
    ],
    rows: [
      { what: '1,000 changes seen by all 254', value: changesMs, unit: 'ms', bound: 5_000, aim: 1_000 },
      { what: 'gateway, 254 hosts, 62,000 assignments', value: memoryMiB, unit: 'MiB', bound: 200, aim: 100 },
    ],
  }
}
