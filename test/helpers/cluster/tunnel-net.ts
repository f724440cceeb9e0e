/**
 * Hosts in network namespaces on one switch, each with the program of tunnel-host.ts: what tests and the benchmark of the
 * tunnel stand on. Host n is 10.0.0.n on the switch, owns 10.100.n.0/24 and answers at 10.100.n.1.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { PeerStats } from '../../../gateway/dataplane/tunnel/peer.ts'
import type { TunnelStats } from '../../../gateway/dataplane/tunnel/tunnel.ts'
import { run } from '../kernel/netns.ts'
import { waitFor } from '../run/wait.ts'
import type { TunnelHostConf, TunnelHostOrder } from './tunnel-host.ts'

interface HostEvent {
  readonly event: string
  readonly hostId?: number
  readonly [key: string]: unknown
}

export type HostStats = TunnelStats & { readonly rss: number; readonly cpu: NodeJS.CpuUsage }

/** A command under way. */
export interface Spawned {
  readonly child: ChildProcess
  readonly done: Promise<{ status: number | null; stdout: string }>
  /** What it has printed by now. */
  output(): string
}

const PROGRAM = join(import.meta.dirname, 'tunnel-host.ts')
const PORT = 7443

/** One host; `netns` is for `ip netns exec`. */
export class TunnelNetHost {
  readonly hostId: number
  readonly netns: string
  readonly events: HostEvent[] = []
  #process: ChildProcess | undefined
  readonly #commands: ChildProcess[] = []
  #stderr = ''

  constructor(hostId: number, netns: string) {
    this.hostId = hostId
    this.netns = netns
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  /** Runs a command inside and returns its stdout; throws with stderr when it fails. */
  exec(command: string, ...args: string[]): string {
    return run('ip', ['netns', 'exec', this.netns, command, ...args])
  }

  /** As `exec`, for commands that print JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of foreign tools
  json<T = any>(command: string, ...args: string[]): T {
    return JSON.parse(this.exec(command, ...args).trim() || '[]')
  }

  /** Starts a command inside, its output collected. */
  spawn(command: string, ...args: string[]): Spawned {
    const child = spawn('ip', ['netns', 'exec', this.netns, command, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    this.#commands.push(child)
    let stdout = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    const done = new Promise<{ status: number | null; stdout: string }>((resolve) =>
      child.on('close', (status) => resolve({ status, stdout })),
    )
    return { child, done, output: () => stdout }
  }

  start(conf: TunnelHostConf, nodeFlags: readonly string[] = []): void {
    const argv = [process.execPath, '--disable-warning=ExperimentalWarning', ...nodeFlags, PROGRAM]
    const child = spawn('ip', ['netns', 'exec', this.netns, ...argv, JSON.stringify(conf)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // tap's loader and coverage are not for it.
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    this.#process = child
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) => this.events.push(JSON.parse(line)))
  }

  order(order: TunnelHostOrder): void {
    this.#process?.stdin?.write(`${JSON.stringify(order)}\n`)
  }

  /** Waits for the next event of a kind, after the first `seen` of all events. */
  async event(kind: string, seen: number, timeoutMs = 10_000, hostId?: number): Promise<HostEvent> {
    try {
      return await waitFor(`host ${this.hostId} says ${kind}`, timeoutMs, () =>
        this.events
          .slice(seen)
          .find((e) => e.event === kind && (hostId === undefined || e.hostId === hostId)),
      )
    } catch (cause) {
      throw new Error(`host ${this.hostId}: no ${kind}; stderr: ${this.#stderr.trim()}`, { cause })
    }
  }

  async stats(): Promise<HostStats> {
    const seen = this.events.length
    this.order({ do: 'stats' })
    return (await this.event('stats', seen)) as unknown as HostStats
  }

  async peer(hostId: number): Promise<PeerStats> {
    const found = (await this.stats()).peers.find((p) => p.hostId === hostId)
    if (found === undefined) throw new Error(`host ${this.hostId} does not know host ${hostId}`)
    return found
  }

  /** Round trips on the control connection to a host that this one dials, ms. */
  async controlTimes(hostId: number, count: number, timeoutMs = 30_000): Promise<number[]> {
    const seen = this.events.length
    this.order({ do: 'control', hostId, count })
    return (await this.event('control', seen, timeoutMs))['times'] as number[]
  }

  /** Kills the program, and every command that is still under way. */
  async end(): Promise<void> {
    for (const child of this.#commands) child.kill('SIGKILL')
    await this.stop()
  }

  /** Kills the program. */
  async stop(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await gone
  }
}

export interface TunnelNetOptions {
  readonly hosts: number
  /** Start the program in each; those of higher number dial the lower ones. Default true. */
  readonly tunnel?: boolean
  readonly mtu?: number
  readonly ciphers?: string
}

let made = 0

export interface TunnelNet {
  readonly hosts: TunnelNetHost[]
  /** The namespace of the switch, where host n is at port `p<n>`. */
  readonly switchNs: string
  conf(hostId: number): TunnelHostConf
  close(): Promise<void>
}

/** Makes switch, hosts, certificate and links, and waits until all are linked. */
export async function tunnelNet(options: TunnelNetOptions): Promise<TunnelNet> {
  const prefix = `fg-${process.pid}-${made++}`
  const tls = mkdtempSync(join(tmpdir(), 'flatnet-tunnel-'))
  const numbers = Array.from({ length: options.hosts }, (_, i) => i + 1)
  const hosts = numbers.map((n) => new TunnelNetHost(n, `${prefix}-${n}`))
  const dial = (n: number) => Object.fromEntries(numbers.filter((m) => m < n).map((m) => [m, `10.0.0.${m}`]))
  const { mtu, ciphers } = options
  const conf = (hostId: number): TunnelHostConf => ({
    hostId,
    tls,
    port: PORT,
    dial: dial(hostId),
    ...(mtu !== undefined && { mtu }),
    ...(ciphers !== undefined && { ciphers }),
  })
  const close = async () => {
    await Promise.all(hosts.map((host) => host.end()))
    for (const name of [prefix, ...hosts.map((host) => host.netns)]) spawnSync('ip', ['netns', 'del', name])
    rmSync(tls, { recursive: true, force: true })
  }
  try {
    const key =
      `-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=flatnet-test`.split(' ')
    run('openssl', ['req', ...key, '-keyout', join(tls, 'key.pem'), '-out', join(tls, 'cert.pem')])
    layCables(prefix, hosts)
    if (options.tunnel ?? true) await startAll(hosts, conf)
    return { hosts, switchNs: prefix, conf, close }
  } catch (error) {
    await close()
    throw error
  }
}

function layCables(prefix: string, hosts: readonly TunnelNetHost[]): void {
  const ip = (line: string) => run('ip', line.split(' '))
  ip(`netns add ${prefix}`)
  ip(`-n ${prefix} link add sw up type bridge`)
  for (const { hostId, netns } of hosts) {
    ip(`netns add ${netns}`)
    ip(`-n ${netns} link set lo up`)
    ip(`-n ${netns} link add eth0 type veth peer name p${hostId} netns ${prefix}`)
    ip(`-n ${netns} addr add 10.0.0.${hostId}/24 dev eth0`)
    ip(`-n ${netns} link set eth0 up`)
    ip(`-n ${prefix} link set p${hostId} master sw up`)
    ip(`-n ${netns} addr add 10.100.${hostId}.1/32 dev lo`)
  }
}

async function startAll(
  hosts: readonly TunnelNetHost[],
  conf: (hostId: number) => TunnelHostConf,
): Promise<void> {
  for (const host of hosts) {
    host.start(conf(host.hostId))
    await host.event('listening', 0)
    for (const other of hosts)
      if (other !== host)
        host.exec(
          'ip',
          'route',
          'add',
          `10.100.${other.hostId}.0/24`,
          'dev',
          'flatnet-gw',
          'metric',
          '200',
          'src',
          `10.100.${host.hostId}.1`,
        )
  }
  for (const host of hosts)
    for (const other of hosts) if (other !== host) await host.event('up', 0, 10_000, other.hostId)
}
