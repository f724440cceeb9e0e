/** Measures the packed process of direct paths with 253 idle peers: its memory, and what their probes cost. */
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { ATTEMPT, type P2pNetHost, p2pNet, SECRET } from '../test/helpers/cluster/p2p-net.ts'
import { waitFor } from '../test/helpers/run/wait.ts'
import { cpuSeconds } from './p2p-figures.ts'

const ROOT = resolve(import.meta.dirname, '..')
const CROWD = join(ROOT, 'test/helpers/cluster/p2p-crowd.ts')
const PEERS = 253
const FOR_EVER = 4_000_000_000_000
/** After a minute without packets a path is probed every 5 s. */
const QUIET_MS = 65_000
/** Runs of 10 s gave 0.8 % and 1.1 % on the same quiet machine. */
const MEASURE_MS = 30_000

export interface CrowdFigures {
  /** Resident, with the executable's pages, which the gateway's process shares. */
  readonly aloneMiB: number
  readonly crowdMiB: number
  /** Share of one core. */
  readonly probesPercent: number
}

const residentMiB = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1_024

/** Starts the packed process in its own host. @returns its pid */
async function startPacked(host: P2pNetHost): Promise<number> {
  const folder = dirname(host.socket)
  const config = join(folder, 'flatnet.yaml')
  writeFileSync(config, `hostId: ${host.hostId}\napi: { socket: ${join(folder, 'gateway.sock')} }\n`)
  // `ip netns exec` execs the command, so it has this pid.
  const child = host.spawn(join(ROOT, 'dist/flatnet'), 'p2p', '--config', config)
  await host.connect()
  return child.pid ?? 0
}

function offerAll(host: P2pNetHost): void {
  for (let hostId = 2; hostId <= PEERS + 1; hostId++)
    host.order({
      type: 'session',
      hostId,
      attempt: ATTEMPT,
      secret: SECRET,
      candidates: [{ address: `10.0.0.2:${8_000 + hostId}` }],
      validUntil: FOR_EVER,
    })
}

/** Takes 110 s. @throws {Error} the paths are not proven within 60 s */
export async function benchCrowd(): Promise<CrowdFigures> {
  const net = await p2pNet(2)
  try {
    const [a, b] = net.hosts as [P2pNetHost, P2pNetHost]
    const pid = await startPacked(a)
    const aloneMiB = residentMiB(pid)
    offerAll(a)
    const node = ['--disable-warning=ExperimentalWarning', CROWD]
    b.spawn(process.execPath, ...node, '1', '10.0.0.1:7443', '2', `${PEERS + 1}`, SECRET, ATTEMPT)
    const proven = () =>
      Array.from({ length: PEERS }, (_, i) => a.view(i + 2)).filter((view) => view?.isProven).length
    await waitFor('all are proven', 60_000, () => proven() === PEERS).catch((cause) => {
      throw new Error(`${proven()} of ${PEERS} peers are proven`, { cause })
    })
    await pause(QUIET_MS)
    const [before, since] = [cpuSeconds([pid]), performance.now()]
    await pause(MEASURE_MS)
    const share = (cpuSeconds([pid]) - before) / ((performance.now() - since) / 1_000)
    return { aloneMiB, crowdMiB: residentMiB(pid), probesPercent: 100 * share }
  } finally {
    await net.close()
  }
}
