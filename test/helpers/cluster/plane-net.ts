/**
 * UDP planes between hosts of `tunnelNet`.
 *
 * Each host gets a device `flatnet-p2p` with the program of plane-host.ts behind it. While `route` says so, its packets
 * to the others go that way.
 */
import { join } from 'node:path'
import { type HostEvent, HostProgram } from './host-program.ts'
import type { PlaneHostConf, PlaneHostOrder } from './plane-host.ts'
import type { TunnelNetHost } from './tunnel-net.ts'

/** One peer's figures, as plane-host.ts prints them. */
interface PeerView {
  readonly hostId: number
  readonly form: string
  readonly rttMs?: number
  readonly [counter: string]: unknown
}

const PATH = join(import.meta.dirname, 'plane-host.ts')
const PORT = 7443

export class PlaneNetHost {
  readonly host: TunnelNetHost
  readonly #program: HostProgram<PlaneHostOrder>

  constructor(host: TunnelNetHost) {
    this.host = host
    this.#program = new HostProgram({ hostId: host.hostId, netns: host.netns, path: PATH })
  }

  /** Starts the program and waits until it is ready. */
  async start(conf: Omit<PlaneHostConf, 'hostId'>): Promise<HostEvent> {
    this.#program.start({ ...conf, hostId: this.host.hostId })
    return this.event('ready', 0)
  }

  get events(): HostEvent[] {
    return this.#program.events
  }

  get pid(): number {
    return this.#program.pid
  }

  get isRunning(): boolean {
    return this.#program.isRunning
  }

  order(order: PlaneHostOrder): void {
    this.#program.order(order)
  }

  /** Waits for the next event of a kind, after the first `seen` of all events. */
  event(kind: string, seen: number, timeoutMs?: number): Promise<HostEvent> {
    return this.#program.event(kind, seen, timeoutMs)
  }

  async stats(): Promise<HostEvent & { readonly peers: readonly PeerView[] }> {
    return (await this.#program.ask({ do: 'stats' }, 'stats')) as HostEvent & { peers: readonly PeerView[] }
  }

  async peer(hostId: number): Promise<PeerView & Readonly<Record<string, number>>> {
    const found = (await this.stats()).peers.find((peer) => peer.hostId === hostId)
    if (found === undefined) throw new Error(`host ${this.host.hostId} has no peer ${hostId}`)
    return found as PeerView & Readonly<Record<string, number>>
  }

  /** Sends packets for these hosts over the plane, or stops it. */
  route(hostIds: readonly number[], isOn: boolean): void {
    for (const hostId of hostIds) {
      const to = [`10.100.${hostId}.0/24`, 'dev', 'flatnet-p2p', 'metric', '100']
      if (isOn) this.host.exec('ip', 'route', 'replace', ...to, 'src', `10.100.${this.host.hostId}.1`)
      else this.host.exec('ip', 'route', 'del', ...to)
    }
  }

  stop(): Promise<void> {
    return this.#program.stop()
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
