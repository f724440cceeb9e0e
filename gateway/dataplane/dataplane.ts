/** Carries packets between hosts: device, tunnel, channels and routes behind what the paths decide. */

import type { DaemonConf } from '../../conf/daemon.ts'
import type { Log } from '../../core/log.ts'
import { type Offloads, openTun, type Tun } from '../../kernel/tun.ts'
import type { Events } from '../base/events.ts'
import type { Metrics } from '../base/metrics.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Reports } from '../paths/reports.ts'
import type { PathTable } from '../paths/table.ts'
import type { Carriage, RelayCapacity, Transport } from '../paths/transport.ts'
import type { Slices } from '../registry/slices.ts'
import { ChannelTable } from './channels.ts'
import { DeviceSlot, TUN_IFNAME } from './device.ts'
import { DirectTransport } from './direct-transport.ts'
import { KernelRoutes } from './kernel-routes.ts'
import { tunnelGauges } from './metrics.ts'
import type { RelayLoad } from './relay/capacity.ts'
import { RelaySignals } from './relay/signals.ts'
import { RelayTransport } from './relay-transport.ts'
import { PeerRoutes } from './routes.ts'
import type { PeerStats } from './tunnel/peer.ts'
import { Tunnel } from './tunnel/tunnel.ts'

export interface DataPlaneDeps {
  readonly conf: DaemonConf
  readonly cluster: Cluster
  readonly events: Events
  readonly slices: Slices
  readonly paths: PathTable
  readonly reports: Reports
  readonly metrics: Metrics
  readonly log: Log
  readonly scheduler: Scheduler
}

/** As `GET /v1/status` shows it. */
export interface TunnelStatus {
  readonly device: string
  /** What the kernel agreed to; null while there is no device. */
  readonly offloads: Offloads | null
  /** Why there is no device; null while there is one. */
  readonly problem: string | null
}

export class DataPlane implements Carriage {
  readonly transports: readonly Transport[]
  /** What gateways that only a relay joins say to each other. */
  readonly signals = new RelaySignals()
  readonly #deps: DataPlaneDeps
  readonly #device: DeviceSlot
  readonly #kernelRoutes: KernelRoutes
  readonly #routes: PeerRoutes
  readonly #tunnel: Tunnel
  readonly #channels: ChannelTable
  readonly #direct: DirectTransport
  readonly #relays: RelayTransport
  readonly #stops: (() => void)[]

  /** Listens to links before the paths, which are constructed with it: a channel stands when its path is decided. */
  constructor(deps: DataPlaneDeps) {
    this.#deps = deps
    const { cluster, conf, log, metrics, paths, reports, scheduler, slices } = deps
    this.#device = new DeviceSlot({
      scheduler,
      log,
      open: () => openTun(this.#kernelRoutes.link()),
      opened: (tun) => this.#opened(tun),
    })
    this.#kernelRoutes = new KernelRoutes({
      supernet: conf.supernet,
      slices,
      address: conf.slice.base + 1,
      log,
      tun: () => this.#device.tun,
    })
    this.#routes = new PeerRoutes({ scheduler, apply: (hostIds) => this.#kernelRoutes.apply(hostIds) })
    this.#tunnel = this.#makeTunnel()
    this.#channels = new ChannelTable({
      tunnel: this.#tunnel,
      scheduler,
      log,
      signals: this.signals,
      takesUso: () => this.#device.tun?.takesUso ?? false,
    })
    const common = { channels: this.#channels, routes: this.#routes }
    this.#direct = new DirectTransport({ ...common, links: cluster.links })
    this.#relays = new RelayTransport({
      ...common,
      conf: conf.relay,
      tier: conf.paths.tiers.relay,
      cluster,
      reports,
      scheduler,
      metrics,
      log,
      noTunnel: () => this.noTunnel(),
      keepsOut: (hostId) => paths.isQuarantined(hostId),
    })
    this.transports = [this.#direct, this.#relays]
    this.#stops = this.#listen()
    tunnelGauges(metrics, this.#tunnel)
  }

  start(): void {
    this.#device.start(this.#tunnel.sink)
    this.#routes.start()
  }

  /** Device and routes stay for the next run. */
  stop(): void {
    for (const stop of this.#stops) stop()
    this.#relays.stop()
    this.#routes.close()
    this.#channels.close()
    this.#device.close()
  }

  /** This gateway is about to stop, and has said so: relayed pairs get a moment to move. */
  drain(): Promise<void> {
    return this.#relays.drain()
  }

  noTunnel(): string | undefined {
    return this.#device.why
  }

  /** What the tunnel has carried for each peer. */
  carried(): readonly PeerStats[] {
    return this.#tunnel.stats().peers
  }

  relayCapacity(): RelayCapacity {
    return this.#relays.offered()
  }

  /** What this host carries for pairs of others. */
  relayLoad(): RelayLoad {
    return this.#relays.load()
  }

  status(): TunnelStatus {
    return {
      device: TUN_IFNAME,
      offloads: this.#device.tun?.offloads ?? null,
      problem: this.#device.why ?? this.#kernelRoutes.problem ?? null,
    }
  }

  #makeTunnel(): Tunnel {
    const { conf, paths } = this.#deps
    return new Tunnel({
      hostId: conf.hostId,
      supernet: conf.supernet,
      hostPrefix: conf.hostPrefix,
      device: this.#device,
      keepsOut: (hostId) => paths.isQuarantined(hostId),
      other: (channel, head, payload) => this.#channels.onFrame(channel, head, payload),
    })
  }

  #listen(): (() => void)[] {
    const { cluster, events } = this.#deps
    return [
      cluster.listen({
        dataUp: (hostId, socket) => {
          this.#channels.directUp(hostId, socket)
          this.#direct.changed(hostId)
        },
        dataDown: (hostId) => {
          this.#channels.directDown(hostId)
          this.#direct.changed(hostId)
        },
      }),
      events.listen(({ event }) => {
        if (event.type === 'hostLeft' || event.type === 'hostRevoked') this.#forget(event.host.hostId)
        if (event.type === 'pathChanged' && event.path.state === 'QUARANTINED')
          this.#keepOut(event.path.hostId)
      }),
    ]
  }

  #opened(tun: Tun): void {
    const { paths } = this.#deps
    this.#routes.adopt(this.#kernelRoutes.hostsOf(tun).filter((hostId) => !paths.isQuarantined(hostId)))
    this.#routes.refresh()
    this.#channels.sendHellos()
  }

  #forget(hostId: number): void {
    this.#channels.directDown(hostId)
    this.#routes.forget(hostId)
    this.#tunnel.forgetPeer(hostId)
  }

  /** The link stays, because releasing the host needs it. */
  #keepOut(hostId: number): void {
    this.#routes.forget(hostId)
    this.#deps.cluster.links.streams.cut(hostId, 'the host is in quarantine')
    this.#relays.refresh()
  }
}
