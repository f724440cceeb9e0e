/**
 * The gateway tunnel against Nebula between the same two namespaces, in turns.
 *
 * `node bench/tunnel.ts [--json] [--rounds n]`
 *
 * Measures one TCP stream, 1,400-byte UDP packets, the idle round trip, and the control connection's round trip while
 * the data connection is full.
 * Needs root and the Debian packages iperf3, nebula, iputils-ping, openssl.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type TunnelNetHost, tunnelNet } from '../test/helpers/cluster/tunnel-net.ts'
import { run } from '../test/helpers/kernel/netns.ts'
import { waitFor } from '../test/helpers/run/wait.ts'

export interface TunnelRow {
  readonly name: string
  readonly unit: string
  /** Medians over the rounds; `nebula` is undefined where there is nothing to compare. */
  readonly flatnet: number
  readonly nebula: number | undefined
  /** flatnet / nebula, or `flatnet` without a comparison. */
  readonly value: number
  readonly bound: number
  readonly aim: number
  /** Whether larger is better. */
  readonly isMore: boolean
}

export interface TunnelBenchOptions {
  readonly rounds?: number
  /** Length of each measurement of throughput. */
  readonly seconds?: number
}

const OWN = '10.100.2.1'
/** Host 2's address on Nebula's device. */
export const NEBULA_ADDRESS = '10.101.0.2'

export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

/** @returns the needed programs that are not installed */
export const missing = (...more: string[]): string[] =>
  ['iperf3', 'nebula', 'nebula-cert', 'ping', 'openssl', 'ip', ...more].filter(
    (tool) => spawnSync('which', [tool]).status !== 0,
  )

/** Processes that connect the hosts of a bench. */
export interface Started {
  readonly pids: readonly number[]
  stop(): Promise<void>
}

/** Starts Nebula 1.6.1 as its manual says, but with the largest MTU, so that both need one packet for 1,400 bytes. */
export async function startNebula(hosts: readonly TunnelNetHost[]): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), 'flatnet-nebula-'))
  const cert = (...args: string[]) => run('sh', ['-c', 'cd "$0" && exec nebula-cert "$@"', folder, ...args])
  cert('ca', '-name', 'bench')
  const all = [{ port: 'any', proto: 'any', host: 'any' }]
  const children: ChildProcess[] = hosts.map((host) => {
    const n = host.hostId
    cert('sign', '-name', `h${n}`, '-ip', `10.101.0.${n}/24`)
    const conf = {
      pki: { ca: `${folder}/ca.crt`, cert: `${folder}/h${n}.crt`, key: `${folder}/h${n}.key` },
      static_host_map: Object.fromEntries(
        hosts.map((h) => [`10.101.0.${h.hostId}`, [`10.0.0.${h.hostId}:4242`]]),
      ),
      lighthouse: { am_lighthouse: false },
      listen: { host: '0.0.0.0', port: 4242 },
      tun: { dev: 'nebula1', mtu: 1440 },
      logging: { level: 'error' },
      firewall: { outbound: all, inbound: all },
    }
    // JSON is YAML.
    writeFileSync(`${folder}/h${n}.yml`, JSON.stringify(conf))
    return spawn('ip', ['netns', 'exec', host.netns, 'nebula', '-config', `${folder}/h${n}.yml`], {
      stdio: 'ignore',
    })
  })
  const [first] = hosts
  await waitFor('nebula answers', 10_000, () => first?.exec('ping', '-c', '1', '-W', '1', NEBULA_ADDRESS))
  return {
    pids: children.map((child) => child.pid ?? 0),
    async stop() {
      await endAll(children)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Ends processes and waits until they are gone. */
export async function endAll(children: readonly ChildProcess[]): Promise<void> {
  await Promise.all(
    children.map((child) => {
      const gone = new Promise((resolve) => child.once('close', resolve))
      child.kill()
      return gone
    }),
  )
}

const iperf = (host: TunnelNetHost, ...args: string[]): { end: Record<string, Record<string, number>> } =>
  JSON.parse(host.exec('iperf3', '-J', ...args))

/** @param congestion control of the sender's TCP; default: the machine's */
export function tcpMbps(host: TunnelNetHost, to: string, seconds: number, congestion?: string): number {
  const control = congestion === undefined ? [] : ['-C', congestion]
  const { end } = iperf(host, '-c', to, '-t', String(seconds), '-O', '1', ...control)
  return (end['sum_received']?.['bits_per_second'] ?? 0) / 1e6
}

/** Packets that arrive per second while the sender sends as fast as it can. */
export function udpPps(host: TunnelNetHost, to: string, seconds: number): number {
  const sum = iperf(host, '-c', to, '-u', '-l', '1400', '-b', '0', '-t', String(seconds)).end['sum'] ?? {}
  return ((sum['packets'] ?? 0) - (sum['lost_packets'] ?? 0)) / seconds
}

/** Median round trip of 300 echoes 10 ms apart, ms. */
export function roundTrip(host: TunnelNetHost, to: string): number {
  const times = host.exec('ping', '-c', '300', '-i', '0.01', to).matchAll(/time=([\d.]+) ms/g)
  return median([...times].map(([, ms]) => Number(ms)))
}

/** The control connection's round trips while one stream fills the data connection, ms. */
async function controlTimes(from: TunnelNetHost, to: TunnelNetHost, seconds: number): Promise<number[]> {
  const load = to.spawn('iperf3', '-c', '10.100.1.1', '-t', String(seconds + 1))
  await waitFor('the data connection carries traffic', 5_000, async () => {
    const { sentBytes } = await to.peer(from.hostId)
    return sentBytes > 50e6
  })
  const times = await from.controlTimes(to.hostId, seconds * 50)
  await load.done
  return times
}

interface Samples {
  readonly flatnet: number[]
  readonly nebula: number[]
}

/** @throws {Error} a tool is missing, or a tunnel does not come up */
export async function benchTunnel({
  rounds = 5,
  seconds = 4,
}: TunnelBenchOptions = {}): Promise<TunnelRow[]> {
  const lack = missing()
  if (lack.length > 0) throw new Error(`not installed: ${lack.join(', ')}`)
  const net = await tunnelNet({ hosts: 2 })
  try {
    const [a, b] = net.hosts as [TunnelNetHost, TunnelNetHost]
    const nebula = await startNebula(net.hosts)
    const server = b.spawn('iperf3', '-s')
    const back = a.spawn('iperf3', '-s')
    try {
      await waitFor('iperf3 listens', 5_000, () => b.exec('ss', '-Hltn', 'sport = 5201').trim())
      await waitFor('iperf3 listens', 5_000, () => a.exec('ss', '-Hltn', 'sport = 5201').trim())
      return await measure(a, b, rounds, seconds)
    } finally {
      server.child.kill()
      back.child.kill()
      await nebula.stop()
    }
  } finally {
    await net.close()
  }
}

async function measure(
  a: TunnelNetHost,
  b: TunnelNetHost,
  rounds: number,
  seconds: number,
): Promise<TunnelRow[]> {
  const tcp: Samples = { flatnet: [], nebula: [] }
  const udp: Samples = { flatnet: [], nebula: [] }
  const rtt: Samples = { flatnet: [], nebula: [] }
  for (let round = 0; round < rounds; round++)
    for (const [name, to] of [
      ['flatnet', OWN],
      ['nebula', NEBULA_ADDRESS],
    ] as const) {
      tcp[name].push(tcpMbps(a, to, seconds))
      udp[name].push(udpPps(a, to, seconds))
      rtt[name].push(roundTrip(a, to))
    }
  // Host 2 dials, so it measures its control connection while host 1 sends.
  const control = await controlTimes(b, a, seconds)
  const ratio = (
    name: string,
    unit: string,
    { flatnet, nebula }: Samples,
    limits: Pick<TunnelRow, 'bound' | 'aim' | 'isMore'>,
  ) => ({
    name,
    unit,
    flatnet: median(flatnet),
    nebula: median(nebula),
    value: median(flatnet) / median(nebula),
    ...limits,
  })
  return [
    ratio('TCP, one stream', 'Mbit/s', tcp, { bound: 3, aim: 5, isMore: true }),
    ratio('UDP, 1,400-byte packets', '1/s', udp, { bound: 0.5, aim: 1, isMore: true }),
    ratio('round trip, idle', 'ms', rtt, { bound: 2.5, aim: 1.2, isMore: false }),
    {
      name: 'control round trip, data full (worst of 95 %)',
      unit: 'ms',
      flatnet: control.toSorted((x, y) => x - y)[Math.floor(control.length * 0.95)] ?? Number.NaN,
      nebula: undefined,
      value: control.toSorted((x, y) => x - y)[Math.floor(control.length * 0.95)] ?? Number.NaN,
      bound: 50,
      aim: 10,
      isMore: false,
    },
  ]
}

const holds = (row: TunnelRow): boolean => (row.isMore ? row.value >= row.bound : row.value <= row.bound)

const line = (row: TunnelRow): string =>
  [
    row.name.padEnd(46),
    row.flatnet.toFixed(row.flatnet < 100 ? 3 : 0).padStart(9),
    (row.nebula?.toFixed(row.nebula < 100 ? 3 : 0) ?? '').padStart(9),
    row.unit.padEnd(7),
    row.value.toFixed(2).padStart(7),
    String(row.bound).padStart(6),
    String(row.aim).padStart(5),
    holds(row) ? '' : '  MISSED',
  ].join(' ')

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: { json: { type: 'boolean' }, rounds: { type: 'string' }, seconds: { type: 'string' } },
  })
  const rows = await benchTunnel({
    ...(values.rounds !== undefined && { rounds: Number(values.rounds) }),
    ...(values.seconds !== undefined && { seconds: Number(values.seconds) }),
  })
  const head = `${'what'.padEnd(46)}   flatnet    nebula unit      ratio  bound   aim`
  process.stdout.write(
    values.json ? `${JSON.stringify(rows)}\n` : `${[head, ...rows.map(line)].join('\n')}\n`,
  )
  process.exitCode = rows.every(holds) ? 0 : 1
}
