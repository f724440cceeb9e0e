/** What every gateway has, in a cluster or not, and what being in a cluster adds. */

import type { DaemonConf } from '../conf/daemon.ts'
import type { Clock } from '../core/clock.ts'
import type { Log } from '../core/log.ts'
import { type ClusterAccess, noCluster } from './api/cluster-access.ts'
import { Events } from './base/events.ts'
import { Metrics } from './base/metrics.ts'
import type { Part } from './base/part.ts'
import { type Scheduler, systemScheduler } from './base/scheduler.ts'
import type { Launched } from './dataplane/p2p/launch.ts'
import type { KeptDnsListeners } from './dns/kept-listeners.ts'
import type { KeptListeners } from './ingress/kept-listeners.ts'
import type { LateMessages } from './ingress/late.ts'
import type { KernelView } from './leases/kernel-view.ts'
import type { Repair } from './leases/reconciler.ts'
import type { LeaseSource } from './leases/source.ts'
import { StreamError } from './links/streams/stream-frame.ts'
import type { Streams } from './links/streams/streams.ts'
import type { KeptLinks } from './mdns/kept-links.ts'
import { PathTable } from './paths/table.ts'
import { Tiers } from './paths/tiers.ts'
import { Registry } from './registry/registry.ts'
import { Slices } from './registry/slices.ts'

/** What the command that runs the gateway gives it, besides its configuration. */
export interface GivenByCommand {
  /** Called with the live leases after each comparison: the place to put nftables and routes right again. */
  readonly repair?: Repair
  /** Asked every second: whether another program took away what `repair` looks after. */
  readonly isDamaged?: () => boolean
  /** Without it the files alone say which containers live. */
  readonly kernelView?: KernelView
  /** Shown by `GET /v1/status`. */
  readonly version?: string
  /**
   * What `POST /v1/reload` does: the command that runs the gateway stops it and starts it with the new flatnet.yaml.
   */
  readonly reload?: () => void
  /** Keeps the listeners of ingress over a reload. */
  readonly keptListeners?: KeptListeners
  /** Keeps the sockets for containers' questions over a reload. */
  readonly keptDnsListeners?: KeptDnsListeners
  /** Keeps names on the LAN over a reload. */
  readonly keptLinks?: KeptLinks
  /** Starts the P2P process where none runs; absent: a service manager does. */
  readonly launchP2p?: () => Launched
}

export interface GatewayDeps extends GivenByCommand {
  readonly conf: DaemonConf
  readonly log: Log
  readonly clock: Clock
  readonly leases: LeaseSource
  readonly epoch: number
  /** Packets that the rules dropped, by reason. */
  readonly dropped?: () => ReadonlyMap<string, number>
}

/** What a gateway has with or without a cluster. */
export interface Base extends GatewayDeps {
  readonly scheduler: Scheduler
  readonly events: Events
  readonly metrics: Metrics
  readonly slices: Slices
  readonly registry: Registry
  readonly paths: PathTable
  readonly tiers: Tiers
}

/** What being in a cluster adds: `NO_CLUSTER`, or the parts of compose-cluster.ts. */
export interface ClusterParts extends ClusterAccess {
  /** In the order to start. */
  readonly parts: readonly Part[]
  readonly streams: Pick<Streams, 'open' | 'handle'>
  readonly messages: LateMessages | undefined
  /** Why this host carries no packets; undefined: it does, or there are no other hosts. */
  noTunnel(): string | undefined
  /** Tells peers that this gateway stops; resolves when the pairs that it relays have had the time to move. */
  drain(): Promise<void>
}

/** Of a host that is in no cluster: it has no peers. */
export const NO_CLUSTER: ClusterParts = {
  parts: [],
  streams: {
    open: async () => {
      throw new StreamError('this host is in no cluster')
    },
    handle() {},
  },
  messages: undefined,
  noTunnel: () => undefined,
  drain: async () => {},
  demand() {
    throw noCluster()
  },
  status: () => null,
  tunnel: () => null,
  relay: () => null,
  messagesStatus: () => null,
  p2pProcess: () => null,
  portMapping: () => null,
  members: () => [],
  browserCertificates: () => undefined,
  link: () => undefined,
  alarms: () => [],
  p2p: () => undefined,
  nebula: () => undefined,
  nebulaStatus: () => null,
  retry: (hostId) => (hostId === undefined ? [] : undefined),
  quarantineOf: () => undefined,
  release: () => false,
}

export function composeBase(deps: GatewayDeps): Base {
  const { conf, clock, epoch } = deps
  const events = new Events()
  const slices = new Slices(conf.supernet, conf.hostPrefix)
  return {
    ...deps,
    scheduler: systemScheduler(clock),
    events,
    metrics: new Metrics(),
    slices,
    registry: new Registry(conf.hostId, epoch, events, slices, clock),
    paths: new PathTable(conf.hostId, clock, events),
    tiers: new Tiers(conf.paths.tiers, conf.paths.nebula.enabled),
  }
}
