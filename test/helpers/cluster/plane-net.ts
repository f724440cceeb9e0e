/**
 * UDP planes between hosts of `tunnelNet`: each host gets a device `flatnet-p2p` with the program of plane-host.ts behind it,
 * and while `route` says so its packets to the others go that way.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { waitFor } from '../run/wait.ts'
import type { PlaneHostConf, PlaneHostOrder } from './plane-host.ts'
import type { TunnelNetHost } from './tunnel-net.ts'

interface PlaneEvent {
  readonly event: string
  readonly [key: string]: unknown
}

/** Of one peer, as plane-host.ts prints it. */
interface PeerView {
  readonly hostId: number
  readonly form: string
  readonly rttMs?: number
  readonly [counter: string]: unknown
}

const PROGRAM = join(import.meta.dirname, 'plane-host.ts')
const PORT = 7443

export class PlaneNetHost {
  readonly host: TunnelNetHost
  readonly events: PlaneEvent[] = []
  #process: ChildProcess | undefined
  #stderr = ''

  constructor(host: TunnelNetHost) {
    this.host = host
  }

  /** Starts the program and waits until it is ready. */
  async start(conf: Omit<PlaneHostConf, 'hostId'>): Promise<PlaneEvent> {
    const argv = [process.execPath, '--disable-warning=ExperimentalWarning', PROGRAM]
    const text = JSON.stringify({ ...conf, hostId: this.host.hostId })
    const child = spawn('ip', ['netns', 'exec', this.host.netns, ...argv, text], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // tap's loader and coverage are not for it.
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    this.#process = child
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      this.#stderr += chunk
    })
    if (child.stdout !== null)
      createInterface({ input: child.stdout }).on('line', (line) => this.events.push(JSON.parse(line)))
    return this.event('ready', 0)
  }

  get pid(): number {
    return this.#process?.pid ?? 0
  }

  get isRunning(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null
  }

  order(order: PlaneHostOrder): void {
    this.#process?.stdin?.write(`${JSON.stringify(order)}\n`)
  }

  /** Waits for the next event of a kind, after the first `seen` of all. */
  async event(kind: string, seen: number, timeoutMs = 10_000): Promise<PlaneEvent> {
    try {
      return await waitFor(`host ${this.host.hostId} says ${kind}`, timeoutMs, () =>
        this.events.slice(seen).find((e) => e.event === kind),
      )
    } catch (cause) {
      throw new Error(`host ${this.host.hostId}: no ${kind}; stderr: ${this.#stderr.trim()}`, { cause })
    }
  }

  async stats(): Promise<PlaneEvent & { readonly peers: readonly PeerView[] }> {
    const seen = this.events.length
    this.order({ do: 'stats' })
    return (await this.event('stats', seen)) as PlaneEvent & { readonly peers: readonly PeerView[] }
  }

  async peer(hostId: number): Promise<PeerView & Readonly<Record<string, number>>> {
    const found = (await this.stats()).peers.find((peer) => peer.hostId === hostId)
    if (found === undefined) throw new Error(`host ${this.host.hostId} has no peer ${hostId}`)
    return found as PeerView & Readonly<Record<string, number>>
  }

  /** Sends what is for these hosts over the plane, or no longer. */
  route(hostIds: readonly number[], isOn: boolean): void {
    for (const hostId of hostIds) {
      const to = [`10.100.${hostId}.0/24`, 'dev', 'flatnet-p2p', 'metric', '100']
      if (isOn) this.host.exec('ip', 'route', 'replace', ...to, 'src', `10.100.${this.host.hostId}.1`)
      else this.host.exec('ip', 'route', 'del', ...to)
    }
  }

  async stop(): Promise<void> {
    const child = this.#process
    this.#process = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await gone
  }
}

/** Starts planes between all of these hosts, each with routes over it to all others. */
export async function planes(
  hosts: readonly TunnelNetHost[],
  conf: Partial<PlaneHostConf> = {},
  address: (hostId: number) => string = (hostId) => `10.0.0.${hostId}`,
): Promise<PlaneNetHost[]> {
  const all = hosts.map((host) => new PlaneNetHost(host))
  for (const one of all) {
    const others = hosts.map((host) => host.hostId).filter((id) => id !== one.host.hostId)
    await one.start({
      ...conf,
      peers: Object.fromEntries(others.map((id) => [id, `${address(id)}:${PORT}`])),
    })
    one.route(others, true)
  }
  return all
}
