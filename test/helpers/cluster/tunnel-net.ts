/**
 * Hosts in network namespaces on one switch, each with the program of tunnel-host.ts, for tests and benchmarks.
 *
 * Host n is 10.0.0.n on the switch, owns 10.100.n.0/24 and answers at 10.100.n.1.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { PeerStats } from '../../../gateway/dataplane/tunnel/peer.ts'
import type { TunnelStats } from '../../../gateway/dataplane/tunnel/tunnel.ts'
import { run } from '../kernel/netns.ts'
import { layCables } from './cables.ts'
import { type HostEvent, HostProgram } from './host-program.ts'
import type { TunnelHostConf, TunnelHostOrder } from './tunnel-host.ts'

export type HostStats = TunnelStats & { readonly rss: number; readonly cpu: NodeJS.CpuUsage }

/** A running command. */
export interface Spawned {
  readonly child: ChildProcess
  readonly done: Promise<{ status: number | null; stdout: string }>
  /** What it has printed so far. */
  output(): string
}

const PATH = join(import.meta.dirname, 'tunnel-host.ts')
const PORT = 7443

/** One host; `netns` is for `ip netns exec`. */
export class TunnelNetHost {
  readonly hostId: number
  readonly netns: string
  readonly #program: HostProgram<TunnelHostOrder>
  readonly #commands: ChildProcess[] = []

  constructor(hostId: number, netns: string) {
    this.hostId = hostId
    this.netns = netns
    this.#program = new HostProgram({ hostId, netns, path: PATH })
  }

  get events(): HostEvent[] {
    return this.#program.events
  }

  get pid(): number {
    return this.#program.pid
  }

  /** Runs a command inside and returns its stdout; throws with stderr when it fails. */
  exec(command: string, ...args: string[]): string {
    return run('ip', ['netns', 'exec', this.netns, command, ...args])
  }

  /** `exec` for commands that print JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: JSON of foreign tools
  json<T = any>(command: string, ...args: string[]): T {
    return JSON.parse(this.exec(command, ...args).trim() || '[]')
  }

  /** Starts a command inside and collects its output. */
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
    this.#program.start(conf, nodeFlags)
  }

  order(order: TunnelHostOrder): void {
    this.#program.order(order)
  }

  /** Waits for the next event of a kind, after the first `seen` of all events. @param of only of this host */
  event(kind: string, seen: number, timeoutMs?: number, of?: number): Promise<HostEvent> {
    return this.#program.event(kind, seen, timeoutMs, of)
  }

  async stats(): Promise<HostStats> {
    return (await this.#program.ask({ do: 'stats' }, 'stats')) as unknown as HostStats
  }

  async peer(hostId: number): Promise<PeerStats> {
    const found = (await this.stats()).peers.find((p) => p.hostId === hostId)
    if (found === undefined) throw new Error(`host ${this.hostId} does not know host ${hostId}`)
    return found
  }

  /** Round trips on the control connection to a host that this one dials, ms. */
  async controlTimes(hostId: number, count: number, timeoutMs = 30_000): Promise<number[]> {
    const answer = await this.#program.ask({ do: 'control', hostId, count }, 'control', timeoutMs)
    return answer['times'] as number[]
  }

  /** Kills the program and all commands that still run. */
  async end(): Promise<void> {
    for (const child of this.#commands) child.kill('SIGKILL')
    await this.stop()
  }

  /** Kills the program. */
  stop(): Promise<void> {
    return this.#program.stop()
  }
}

export interface TunnelNetOptions {
  readonly hosts: number
  /** Whether to start the program in each host; higher numbers dial lower ones. Default true. */
  readonly tunnel?: boolean
  readonly mtu?: number
  readonly ciphers?: string
  /**
   * TCP congestion control of the connections between the hosts, not of those inside a tunnel. Default: the machine's.
   */
  readonly congestionControl?: 'cubic' | 'bbr'
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
    for (const { hostId, netns } of hosts)
      run('ip', ['-n', netns, 'addr', 'add', `10.100.${hostId}.1/32`, 'dev', 'lo'])
    if (options.congestionControl !== undefined) setCongestionControl(hosts, options.congestionControl)
    if (options.tunnel ?? true) await startAll(hosts, conf)
    return { hosts, switchNs: prefix, conf, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** By route: the sysctl of a namespace takes only what the machine allows to users without privileges. */
function setCongestionControl(hosts: readonly TunnelNetHost[], name: string): void {
  for (const host of hosts) {
    const route = `10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.${host.hostId}`
    host.exec('ip', 'route', 'replace', ...route.split(' '), 'congctl', name)
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
