/**
 * The UDP path against the TLS tunnel, Nebula and wireguard-go.
 *
 * `node bench/p2p.ts [--json] [--crowd] [--rounds n] [--seconds n] [--congestion cubic|bbr]`
 *
 * All of them connect the same two namespaces at once and take turns, so those that wait are idle.
 * `--congestion`: of the TCP inside and of the TLS tunnel's own; default the machine's, on which TCP at loss depends.
 * `--crowd` adds memory and probes with 253 peers; it needs `npm run build` and takes 110 s.
 * Needs root and the Debian packages iperf3, nebula, iputils-ping, ethtool and openssl, and Go for wireguard-go.
 */

import { parseArgs } from 'node:util'
import { type PlaneNetHost, planes } from '../test/helpers/cluster/plane-net.ts'
import { type TunnelNet, type TunnelNetHost, tunnelNet } from '../test/helpers/cluster/tunnel-net.ts'
import { run } from '../test/helpers/kernel/netns.ts'
import { waitFor } from '../test/helpers/run/wait.ts'
import { benchCrowd } from './p2p-crowd.ts'
import {
  cpuSeconds,
  crowdRows,
  NAMES,
  type Name,
  type P2pBench,
  type P2pRow,
  rowsOf,
  type Sample,
} from './p2p-figures.ts'
import { median, missing, NEBULA_ADDRESS, roundTrip, startNebula, tcpMbps, udpPps } from './tunnel.ts'
import { lackOfWireguard, startWireguard, wireguardAddress } from './wireguard.ts'

/** 1,400 bytes of payload then take one datagram, as with Nebula and wireguard-go in practice. */
const MTU_OF_OTHERS = 1_440

interface Contestant {
  readonly name: Name
  /** The address at which host 2 answers by this contestant. */
  readonly to: string
  readonly pids: readonly number[]
  /** `enter` sends packets this way, `leave` no longer. */
  enter(): void
  leave(): void
}

/** Median round trip of echoes 20 ms apart while one TCP stream runs, ms. */
function loadedRoundTrip(host: TunnelNetHost, to: string, seconds: number): number {
  const load = host.spawn('iperf3', '-c', to, '-t', String(seconds + 1))
  const count = String(seconds * 50)
  const times = [...host.exec('ping', '-c', count, '-i', '0.02', to).matchAll(/time=([\d.]+) ms/g)]
  load.child.kill('SIGKILL')
  return median(times.map(([, ms]) => Number(ms)))
}

function measure(host: TunnelNetHost, one: Contestant, seconds: number, congestion?: string): Sample {
  one.enter()
  try {
    const cpuBefore = cpuSeconds(one.pids)
    const mbps = tcpMbps(host, one.to, seconds, congestion)
    // iperf3 runs for one second more than it counts.
    const gigabytes = (mbps * (seconds + 1)) / 8 / 1_000
    return {
      tcpMbps: mbps,
      cpuPerGb: (cpuSeconds(one.pids) - cpuBefore) / gigabytes,
      udpPps: udpPps(host, one.to, seconds),
      idleMs: roundTrip(host, one.to),
      loadMs: loadedRoundTrip(host, one.to, seconds),
    }
  } finally {
    one.leave()
  }
}

/**
 * Makes the cable carry single datagrams of 1,500 bytes, as real ones do, and lose some. Cards at both ends still join
 * what arrives (GRO). A veth does so only if its other end cannot send large packets, so the switch's ports are
 * limited. The switch loses datagrams, since a host would lose what GRO has joined.
 */
function singleDatagrams({ hosts, switchNs }: TunnelNet, lossPercent: number): void {
  const inSwitch = (...argv: string[]): string => run('ip', ['netns', 'exec', switchNs, ...argv])
  const off = ['tso', 'off', 'gso', 'off', 'tx-udp-segmentation', 'off']
  for (const host of hosts) {
    host.exec('ethtool', '-K', 'eth0', ...off, 'gro', 'on')
    inSwitch('ethtool', '-K', `p${host.hostId}`, ...off)
  }
  inSwitch('nft', 'add table bridge bench')
  inSwitch('nft', 'add chain bridge bench loss { type filter hook forward priority 0; }')
  inSwitch('nft', `add rule bridge bench loss numgen random mod 1000 < ${lossPercent * 10} drop`)
}

function contestants(
  [a, b]: readonly [TunnelNetHost, TunnelNetHost],
  [planeA, planeB]: readonly [PlaneNetHost, PlaneNetHost],
  others: Readonly<Record<'nebula' | 'wireguard', readonly number[]>>,
): Contestant[] {
  const nothing = (): void => {}
  const toP2p = (isOn: boolean) => (): void => {
    planeA.route([b.hostId], isOn)
    planeB.route([a.hostId], isOn)
  }
  const own = `10.100.${b.hostId}.1`
  return [
    { name: 'p2p', to: own, pids: [planeA.pid, planeB.pid], enter: toP2p(true), leave: toP2p(false) },
    { name: 'tls', to: own, pids: [a.pid, b.pid], enter: nothing, leave: nothing },
    { name: 'nebula', to: NEBULA_ADDRESS, pids: others.nebula, enter: nothing, leave: nothing },
    {
      name: 'wireguard',
      to: wireguardAddress(b.hostId),
      pids: others.wireguard,
      enter: nothing,
      leave: nothing,
    },
  ]
}

/** Runs rounds in which each contestant has its turn, in rotating order. */
function rounds(
  host: TunnelNetHost,
  all: readonly Contestant[],
  count: number,
  turn: (one: Contestant) => Sample,
): Map<Name, Sample[]> {
  const samples = new Map<Name, Sample[]>(all.map(({ name }) => [name, []]))
  for (let round = 0; round < count; round++) {
    const order = [...all.slice(round % all.length), ...all.slice(0, round % all.length)]
    for (const one of order) {
      samples.get(one.name)?.push(turn(one))
      process.stderr.write(`p2p: round ${round + 1}/${count}, ${one.name} on ${host.netns}\n`)
    }
  }
  return samples
}

const medianOf = (samples: readonly Sample[] | undefined, key: keyof Sample): number =>
  median((samples ?? []).map((sample) => sample[key]))

interface P2pOptions {
  readonly count?: number
  readonly seconds?: number
  readonly congestion?: 'cubic' | 'bbr'
}

/** @throws {Error} a tool is missing, or a contestant does not come up */
export async function benchP2p({ count = 3, seconds = 3, congestion }: P2pOptions = {}): Promise<P2pBench> {
  const lack = [...missing('ethtool'), ...[lackOfWireguard() ?? []].flat()]
  if (lack.length > 0) throw new Error(`not there: ${lack.join(', ')}`)
  const net = await tunnelNet({ hosts: 2, ...(congestion && { congestionControl: congestion }) })
  await using ends = new AsyncDisposableStack()
  ends.defer(() => net.close())
  const [a, b] = net.hosts as [TunnelNetHost, TunnelNetHost]
  const nebula = await startNebula(net.hosts)
  ends.defer(() => nebula.stop())
  const wireguard = await startWireguard(net.hosts, MTU_OF_OTHERS)
  ends.defer(() => wireguard.stop())
  const pair = (await planes(net.hosts)) as [PlaneNetHost, PlaneNetHost]
  ends.defer(async () => void (await Promise.all(pair.map((one) => one.stop()))))
  for (const one of pair) one.route([one.host === a ? b.hostId : a.hostId], false)
  const server = b.spawn('iperf3', '-s')
  ends.defer(() => void server.child.kill())
  await waitFor('iperf3 listens', 5_000, () => b.exec('ss', '-Hltn', 'sport = 5201').trim())
  const all = contestants([a, b], pair, { nebula: nebula.pids, wireguard: wireguard.pids })
  const clean = rounds(a, all, count, (one) => measure(a, one, seconds, congestion))
  singleDatagrams(net, 1)
  const lossy = rounds(a, all, count, (one) => {
    one.enter()
    try {
      return {
        tcpMbps: tcpMbps(a, one.to, seconds, congestion),
        udpPps: 0,
        idleMs: 0,
        loadMs: 0,
        cpuPerGb: 0,
      }
    } finally {
      one.leave()
    }
  })
  const medians = Object.fromEntries(
    NAMES.map((name) => {
      const of = (key: keyof Sample): number => medianOf(clean.get(name), key)
      return [
        name,
        {
          tcpMbps: of('tcpMbps'),
          udpPps: of('udpPps'),
          idleMs: of('idleMs'),
          loadMs: of('loadMs'),
          cpuPerGb: of('cpuPerGb'),
          lossyMbps: medianOf(lossy.get(name), 'tcpMbps'),
        },
      ]
    }),
  ) as unknown as P2pBench['medians']
  return { medians, rows: rowsOf(medians) }
}

const holds = (row: P2pRow): boolean => (row.isMore ? row.value >= row.bound : row.value <= row.bound)

/** One claim, with its bound and its aim. */
function lineOf(row: P2pRow): string {
  const limits = `${row.value.toFixed(2).padStart(7)} ${String(row.bound).padStart(6)} ${String(row.aim).padStart(6)}`
  return `${row.what.padEnd(46)}${limits}${holds(row) ? '' : '  MISSED'}`
}

function print({ medians, rows }: P2pBench): string {
  const head = `${'way'.padEnd(10)} TCP Mbit/s    UDP 1/s   idle ms   load ms  CPU s/GB  TCP at 1 % loss`
  const lines = NAMES.map((name) => {
    const m = medians[name]
    const cells = [
      m.tcpMbps.toFixed(0).padStart(10),
      m.udpPps.toFixed(0).padStart(10),
      m.idleMs.toFixed(3).padStart(9),
      m.loadMs.toFixed(3).padStart(9),
      m.cpuPerGb.toFixed(2).padStart(9),
      m.lossyMbps.toFixed(0).padStart(16),
    ]
    return `${name.padEnd(10)} ${cells.join(' ')}`
  })
  return [head, ...lines, '', `${'what'.padEnd(46)}  ratio  bound    aim`, ...rows.map(lineOf)].join('\n')
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean' },
      rounds: { type: 'string' },
      seconds: { type: 'string' },
      crowd: { type: 'boolean' },
      congestion: { type: 'string' },
    },
  })
  const { congestion } = values
  if (congestion !== undefined && congestion !== 'cubic' && congestion !== 'bbr')
    throw new Error(`--congestion ${congestion}: cubic or bbr`)
  const report = await benchP2p({
    ...(congestion !== undefined && { congestion }),
    ...(values.rounds !== undefined && { count: Number(values.rounds) }),
    ...(values.seconds !== undefined && { seconds: Number(values.seconds) }),
  })
  if (!values.json) process.stdout.write(`${print(report)}\n`)
  const crowd = values.crowd ? crowdRows(await benchCrowd()) : []
  const all = { ...report, rows: [...report.rows, ...crowd] }
  if (values.json) process.stdout.write(`${JSON.stringify(all)}\n`)
  else for (const row of crowd) process.stdout.write(`${lineOf(row)}\n`)
  process.exitCode = all.rows.every(holds) ? 0 : 1
}
