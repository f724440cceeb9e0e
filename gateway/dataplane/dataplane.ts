/** Carries packets between hosts: device, tunnel, channels and routes behind what the paths decide. */
import { Errno, NetlinkError } from 'netlink-ts/errors.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import type { DaemonConf } from '../../conf/daemon.ts'
import type { Clock } from '../../core/clock.ts'
import type { Log } from '../../core/log.ts'
import {
  type PeerRoute,
  peerRouteList,
  peerRoutesEnsure,
  supernetGuardEnsure,
} from '../../kernel/peer-routes.ts'
import { type Offloads, openTun, type Tun } from '../../kernel/tun.ts'
import { configureTun } from '../../kernel/tun-link.ts'
import { uplinkMtu } from '../../kernel/uplink.ts'
import type { Events } from '../base/events.ts'
import type { Metrics } from '../base/metrics.ts'
import { systemScheduler } from '../base/scheduler.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { PathTable } from '../paths/table.ts'
import { Slices } from '../registry/slices.ts'
import type { PathTransports } from '../share.ts'
import { ChannelTable } from './channels.ts'
import { DeviceSlot } from './device.ts'
import { tunnelGauges } from './metrics.ts'
import { RelayedChannels } from './relays.ts'
import { PeerRoutes } from './routes.ts'
import type { PacketSink } from './tunnel/outbound.ts'
import { Tunnel } from './tunnel/tunnel.ts'

export const TUN_IFNAME = 'flatnet-gw'

export interface DataPlaneDeps {
  readonly conf: DaemonConf
  readonly cluster: Cluster
  readonly events: Events
  readonly paths: PathTable
  readonly metrics: Metrics
  readonly log: Log
  readonly clock: Clock
}

/** As `GET /v1/status` shows it. */
export interface TunnelStatus {
  readonly device: string
  /** What the kernel agreed to; null while there is no device. */
  readonly offloads: Offloads | null
  /** Why there is no device; null while there is one. */
  readonly problem: string | null
}

export interface DataPlane extends PathTransports {
  readonly channels: ChannelTable
  status(): TunnelStatus
  /** This gateway is about to stop, and has said so: relayed pairs get a moment to move. */
  drain(): Promise<void>
  /** Device and routes stay for the next run. */
  close(): void
}

/** To be called before whoever decides paths listens to the links, so that a channel stands when it is chosen. */
export function openDataPlane(deps: DataPlaneDeps): DataPlane {
  const { clock, cluster, conf, events, log, metrics, paths } = deps
  const scheduler = systemScheduler(clock)
  const slices = new Slices(conf.supernet, conf.hostPrefix)
  /**
   * The bridge's, docs/architecture/dataplane.md#device. The device bears it too, so that it is this host's
   * without any container.
   */
  const address = conf.slice.base + 1
  const link = () => ({ ifname: TUN_IFNAME, mtu: withRoutes(uplinkMtu), address })
  const device: DeviceSlot = new DeviceSlot({
    scheduler,
    log,
    open: () => openTun(link()),
    opened: (tun) => {
      routes.adopt(hostsRouted(tun.ifindex, slices).filter((hostId) => !keepsOut(hostId)))
      routes.refresh()
      channels.sendHellos()
    },
  })
  const routes = new PeerRoutes({ scheduler, apply: (hostIds) => apply(hostIds) })
  const keepsOut = (hostId: number): boolean => paths.decision(hostId)?.state === 'QUARANTINED'
  let sink: PacketSink | undefined
  const tunnel: Tunnel = new Tunnel({
    hostId: conf.hostId,
    supernet: conf.supernet,
    hostPrefix: conf.hostPrefix,
    device: {
      read: (buf) => device.read(buf),
      write: (buf) => device.write(buf),
      requestUso: (want) => device.requestUso(want),
      start(given) {
        sink = given
      },
    },
    failed: () => {},
    keepsOut,
    other: (channel, head, payload) => channels.onFrame(channel, head, payload),
  })
  const channels: ChannelTable = new ChannelTable({
    tunnel,
    scheduler,
    log,
    takesUso: () => device.tun?.takesUso ?? false,
  })
  const noTunnel = (): string | undefined => device.why
  const relays = new RelayedChannels({ cluster, channels, scheduler, metrics, log, noTunnel, keepsOut })
  let problem: string | undefined
  const apply = (hostIds: ReadonlySet<number>): void => {
    const { tun } = device
    const wanted = [...hostIds].map((id): PeerRoute => ({ slice: slices.sliceOf(id), src: address }))
    const ensure = (tun: Tun | undefined): void =>
      withRoutes((route) => {
        // Also without a device: then packets of containers for other hosts have nowhere else to go than astray.
        supernetGuardEnsure(route, conf.supernet)
        if (tun !== undefined) peerRoutesEnsure(route, tun.ifindex, wanted)
      })
    try {
      try {
        ensure(tun)
      } catch (err) {
        // Somebody has set it down, or taken its address away; routes of ours go with either.
        if (tun === undefined || !isUnfit(err)) throw err
        configureTun(link())
        log.warn({ ifname: TUN_IFNAME }, 'tunnel device was set up again')
        ensure(tun)
      }
      problem = undefined
    } catch (err) {
      // Tried again every few seconds, said once.
      const what = err instanceof Error ? err.message : String(err)
      if (what !== problem) log.error({ err }, 'routes to other hosts could not be set')
      problem = what
    }
  }
  const forget = (hostId: number): void => {
    channels.directDown(hostId)
    routes.forget(hostId)
    tunnel.forgetPeer(hostId)
  }
  /** The link stays, for what a person's release needs. */
  const keepOut = (hostId: number): void => {
    routes.forget(hostId)
    cluster.links.streams.cut(hostId, 'the host is in quarantine')
    relays.refresh()
  }
  const stops = [
    cluster.listen({
      dataUp: (hostId, socket) => channels.directUp(hostId, socket),
      dataDown: (hostId) => channels.directDown(hostId),
    }),
    events.listen(({ event }) => {
      if (event.type === 'hostLeft' || event.type === 'hostRevoked') forget(event.host.hostId)
      if (event.type === 'pathChanged' && event.path.state === 'QUARANTINED') keepOut(event.path.hostId)
    }),
  ]
  tunnelGauges(metrics, tunnel)
  // Last, when all that it tells stands.
  if (sink !== undefined) device.start(sink)
  routes.refresh()
  return {
    channels,
    setRoute(hostId, via) {
      channels.choose(hostId, via)
      relays.choose(hostId, via)
      routes.set(hostId)
    },
    clearRoute(hostId) {
      channels.unchoose(hostId)
      relays.choose(hostId, undefined)
      routes.clear(hostId)
    },
    noTunnel,
    freePairs: () => relays.freePairs(),
    relayProblem: (hostId, relay) => relays.problem(hostId, relay),
    onRelayProblem: (decide) => relays.onProblem(decide),
    hasChannel: (hostId) => channels.has(hostId),
    channelRttMs: (hostId, relay) => channels.rttMs(hostId, relay),
    status: () => ({
      device: TUN_IFNAME,
      offloads: device.tun?.offloads ?? null,
      problem: device.why ?? problem ?? null,
    }),
    drain: () => relays.drain(),
    close() {
      for (const stop of stops) stop()
      relays.close()
      routes.close()
      channels.close()
      device.close()
    },
  }
}

function withRoutes<T>(use: (route: NetlinkSocket) => T): T {
  using route = NetlinkSocket.open(NETLINK_ROUTE)
  return use(route)
}

/** What the kernel says of a route over a device that is down, or from an address that nobody bears. */
const isUnfit = (err: unknown): boolean =>
  err instanceof NetlinkError && (err.errno === Errno.ENETDOWN || err.errno === Errno.EINVAL)

/** Hosts that an earlier run had routes to. */
const hostsRouted = (ifindex: number, slices: Slices): number[] =>
  withRoutes((route) => peerRouteList(route, ifindex)).flatMap(({ slice }) => slices.hostOf(slice.base) ?? [])
