/** `GET /v1/status`: what a person wants to know who asks whether all is well. */

import type { Server } from 'node:http'
import type { DaemonConf } from '../../conf/daemon.ts'
import { formatPrefix } from '../../core/addr.ts'
import type { PathInfo } from '../../core/api.ts'
import type { Clock, Millis } from '../../core/clock.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { CertificateStatus } from '../cluster/identity/life.ts'
import type { TunnelStatus } from '../dataplane/dataplane.ts'
import type { PortMappingStatus } from '../dataplane/nat/port-mapping/port-mapping.ts'
import type { NebulaStatus } from '../dataplane/nebula/service.ts'
import type { P2pProcessStatus } from '../dataplane/p2p/process-status.ts'
import type { RelayLoad } from '../dataplane/relay/capacity.ts'
import type { DnsStatus } from '../dns/name-servers.ts'
import type { MessagesStatus } from '../gossip/messages.ts'
import type { ListeningIngress } from '../ingress/listener.ts'
import type { TlsStatus } from '../ingress/tls/listener.ts'
import type { ReconcileReport, Reconciler } from '../leases/reconciler.ts'
import type { MdnsStatus } from '../mdns/status.ts'
import type { PathTable } from '../paths/table.ts'
import type { Registry } from '../registry/registry.ts'
import type { Alarm } from '../replication/alarms.ts'
import type { ClusterAccess } from './cluster-access.ts'
import { listPaths } from './paths.ts'

export interface Status {
  readonly hostId: number
  /** Of Flatnet; absent when the caller of the daemon gave none. */
  readonly version?: string
  readonly pid: number
  /** `10.100.0.0/16` */
  readonly supernet: string
  /** `10.100.1.0/24` */
  readonly slice: string
  readonly epoch: number
  readonly seq: number
  /** ISO 8601, UTC. */
  readonly startedAt: string
  readonly uptimeMs: Millis
  readonly assignments: number
  /** null: switched off. */
  readonly ingress: IngressStatus | null
  /** null: not yet. */
  readonly reconcile: ReconcileReport | null
  /** null: this host is in no cluster, or cannot use it and the log says why. */
  readonly cluster: ClusterStatus | null
  /** null: switched off. */
  readonly dns: DnsStatus | null
  /** null: switched off. */
  readonly mdns: MdnsStatus | null
  /** null: in no cluster. */
  readonly tunnel: TunnelStatus | null
  /** What this host carries for pairs of others. null: in no cluster. */
  readonly relay: RelayLoad | null
  /** Small messages for hosts that no path leads to. null: in no cluster. */
  readonly messages: MessagesStatus | null
  /** null: there is none, or the gateway is not connected to it. */
  readonly p2p: P2pProcessStatus | null
  /** Whether the router lets UDP in. null: in no cluster. */
  readonly portMapping: PortMappingStatus | null
  /** null: it is not used (paths.nebula.enabled). */
  readonly nebula: NebulaStatus | null
  readonly paths: readonly PathInfo[]
  /** What a person has to act on, besides hosts in quarantine, which `paths` shows. */
  readonly alarms: readonly Alarm[]
  readonly memory: { readonly rssBytes: number; readonly heapUsedBytes: number }
}

interface IngressStatus {
  readonly address: string
  readonly port: number
  readonly connections: number
  /** null: not configured. */
  readonly tls: TlsStatus | null
}

export interface ClusterStatus {
  readonly name: string
  /** Of the list of members. */
  readonly version: number
  /** Active ones, this host included. */
  readonly members: number
  readonly linksUp: number
  /** Where peers connect to. */
  readonly port: number
  /** Why this host is no member any more; null while it is one. */
  readonly expelled: string | null
  readonly certificate: CertificateStatus
}

export interface StatusFacts {
  readonly conf: DaemonConf
  readonly clock: Clock
  readonly epoch: number
  readonly version?: string
  readonly startedAt: number
  readonly registry: Registry
  readonly reconciler: Reconciler
  readonly paths: PathTable
  readonly ingress: ListeningIngress | undefined
  readonly cluster: ClusterAccess
  readonly dns: DnsStatus | null
  readonly mdns: MdnsStatus | null
}

export async function statusOf({
  conf,
  clock,
  epoch,
  version,
  startedAt,
  registry,
  reconciler,
  paths,
  ingress,
  cluster,
  dns,
  mdns,
}: StatusFacts): Promise<Status> {
  const { rss, heapUsed } = process.memoryUsage()
  return {
    hostId: conf.hostId,
    ...(version !== undefined && { version }),
    pid: process.pid,
    supernet: formatPrefix(conf.supernet),
    slice: formatPrefix(conf.slice),
    epoch,
    seq: registry.version(conf.hostId)?.seq ?? 0,
    startedAt: new Date(startedAt).toISOString(),
    uptimeMs: Math.max(0, Math.round(clock.now() - startedAt)),
    assignments: registry.size,
    ingress: ingress === undefined ? null : await ingressStatus(ingress),
    reconcile: reconciler.report ?? null,
    cluster: cluster.status(),
    dns,
    mdns,
    tunnel: cluster.tunnel(),
    relay: cluster.relay(),
    messages: cluster.messagesStatus(),
    p2p: cluster.p2pProcess(),
    portMapping: cluster.portMapping(),
    nebula: cluster.nebulaStatus(),
    paths: listPaths({ paths, cluster }),
    alarms: cluster.alarms(),
    memory: { rssBytes: rss, heapUsedBytes: heapUsed },
  }
}

export function clusterStatus(cluster: Cluster): ClusterStatus {
  const { state, links } = cluster
  return {
    name: state.document.cluster,
    version: state.document.version,
    members: state.document.members.filter((m) => m.state === 'active').length,
    linksUp: links.views().filter((v) => v.state === 'up').length,
    port: links.port,
    expelled: state.removedWhy ?? null,
    certificate: cluster.certificateStatus(),
  }
}

const ingressStatus = async ({ address, port, server, tls }: ListeningIngress): Promise<IngressStatus> => ({
  address,
  port,
  connections: await connectionsOf(server),
  tls: tls() ?? null,
})

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_err, count) => resolve(count ?? 0)))
}
