/** Wires the gateway: constructs every part once with all that it needs, in the order to start. */

import { hostname } from 'node:os'
import type { Assignment } from '../core/api.ts'
import { attachmentKey } from '../core/attachment.ts'
import { ensureNameServers } from '../kernel/gateway-ports.ts'
import { LanWatch } from '../kernel/lan.ts'
import { EventStreams } from './api/events.ts'
import { apiListener } from './api/listener.ts'
import type { ApiDeps } from './api/server.ts'
import { statusOf } from './api/status.ts'
import type { Events } from './base/events.ts'
import { processGauges } from './base/metrics.ts'
import type { Part } from './base/part.ts'
import { ClusterFiles } from './cluster/identity/files.ts'
import { type Base, type ClusterParts, composeBase, type GatewayDeps, NO_CLUSTER } from './compose-base.ts'
import { removeDataPlane } from './dataplane/remove.ts'
import { NameServers } from './dns/name-servers.ts'
import { namedNetworks } from './dns/networks.ts'
import { answerCounter } from './ingress/answers.ts'
import type { IngressDeps } from './ingress/deps.ts'
import { type HostNames, hostNames, withoutReserved } from './ingress/host-names.ts'
import { IngressListener } from './ingress/listener.ts'
import { RETRIES_HELP } from './ingress/retry.ts'
import { dialMethod } from './ingress/upstream/dial-method.ts'
import { Forwarder } from './ingress/upstream/forwarder.ts'
import { Pool } from './ingress/upstream/pool.ts'
import { TCP } from './ingress/upstream/stream-dial.ts'
import { LeaseFeed } from './leases/feed.ts'
import { dropGauges, reconcileGauges } from './leases/metrics.ts'
import { Reconciler, type Repair } from './leases/reconciler.ts'
import { RulesWatch } from './leases/rules-watch.ts'
import { publishedNames } from './mdns/published-names.ts'
import { MdnsPublisher } from './mdns/publisher.ts'
import { openLinkSocket } from './mdns/socket.ts'
import type { PathTable } from './paths/table.ts'
import { addressesOf } from './registry/registry.ts'

export interface Gateway {
  readonly api: ApiDeps
  readonly ingress: IngressDeps
  readonly ingressListener: IngressListener
  /** Everything but what takes requests. */
  readonly parts: readonly Part[]
  /** What takes requests; started last, stopped first. */
  readonly listeners: readonly Part[]
  /** What is carried for other hosts moves away or ends, within `ingress.drainMs`. */
  drainTransit(): Promise<void>
  close(): void
}

export async function compose(deps: GatewayDeps): Promise<Gateway> {
  const base = composeBase(deps)
  return composeGateway(base, await clusterParts(base))
}

/** A host alone loads neither the cluster's code nor TLS: 7 MiB (docs/decisions/0011-memory-of-the-gateway.md). */
async function clusterParts(base: Base): Promise<ClusterParts> {
  const { conf, log } = base
  if (new ClusterFiles(conf.dataDir).isComplete) {
    const { composeCluster } = await import('./compose-cluster.ts')
    const found = await composeCluster(base)
    if (found !== undefined) return found
  }
  return { ...NO_CLUSTER, parts: [{ start: () => removeDataPlane(conf.supernet, log), stop() {} }] }
}

export function composeGateway(base: Base, cluster: ClusterParts): Gateway {
  const { conf, isDamaged, log, metrics, scheduler } = base
  const names = hostNames(hostname(), servedDomains(conf))
  const dns = nameServers(base, names)
  const mdns = mdnsPublisher(base, names)
  const reconciler = new Reconciler({ ...base, repair: repairWith(base.repair, dns) })
  const pool = makePool(base, cluster)
  const forwarder = new Forwarder(base)
  cluster.streams.handle(TCP, (offer) => void forwarder.accept(offer))
  follow(base, pool, forwarder)
  const ingress: IngressDeps = {
    ...base,
    pool,
    names,
    keptListeners: base.keptListeners,
    browserCertificates: cluster.browserCertificates(),
    messages: cluster.messages,
    lookup: withoutReserved(base.registry, names),
    countAnswer: answerCounter(metrics),
    endless: new Set(),
  }
  const ingressListener = new IngressListener(ingress)
  const api = apiDeps(base, { cluster, dns, mdns, ingress: ingressListener, reconciler })
  const stopGauges = gauges(base, api)
  const feed = new LeaseFeed({ conf, reconciler, scheduler, log })
  const rules = isDamaged === undefined ? [] : [new RulesWatch({ isDamaged, reconciler, scheduler, log })]
  return {
    api,
    ingress,
    ingressListener,
    parts: [feed, ...cluster.parts, ...rules],
    listeners: [dns, ingressListener, mdns, apiListener(conf, scheduler, api)],
    async drainTransit() {
      await Promise.all([cluster.drain(), forwarder.drain(conf.ingress.drainMs)])
    },
    close() {
      stopGauges()
      pool.close()
    },
  }
}

/** Containers' names, without those that no container may take, and without hosts that are gone. */
function nameServers(base: Base, names: HostNames): NameServers {
  const { conf, registry } = base
  const lookup = withoutReserved(registry, names)
  const isGone = ({ hostId }: Assignment): boolean => registry.freshness(hostId) === 'gone'
  return new NameServers({
    ...base,
    zone: {
      domain: conf.dns.domain,
      supernet: conf.supernet,
      lookup: {
        byName: (name) => lookup.byName(name),
        byIp(ip) {
          const holder = lookup.byIp(ip)
          return holder === undefined || isGone(holder) ? undefined : holder
        },
      },
    },
    networks: () => namedNetworks(conf.dataDir),
    openPorts: (places) => void ensureNameServers(places),
  })
}

/** A name that this host publishes is served, whatever other names are. No stranger's domain is in `.local`. */
const servedDomains = ({ ingress: { domains }, mdns }: Base['conf']): readonly string[] =>
  mdns.enabled && domains.length > 0 ? [...domains, '*.local'] : domains

function mdnsPublisher(base: Base, names: HostNames): MdnsPublisher {
  const { registry } = base
  const lookup = withoutReserved(registry, names)
  return new MdnsPublisher({
    ...base,
    names: () => publishedNames(registry.all(registry.hostId), registry.hostId, lookup),
    watch: () => new LanWatch(),
    open: openLinkSocket,
  })
}

/** What a firewall flushed of the way to names comes back with all else. */
const repairWith =
  (repair: Repair | undefined, dns: NameServers): Repair =>
  async (leases) => {
    await repair?.(leases)
    dns.restore()
  }

interface Shown {
  readonly cluster: ClusterParts
  readonly dns: NameServers
  readonly mdns: MdnsPublisher
  readonly ingress: IngressListener
  readonly reconciler: Reconciler
}

function apiDeps(base: Base, { cluster, dns, ingress, mdns, reconciler }: Shown): ApiDeps {
  const startedAt = base.clock.now()
  return {
    ...base,
    reload: base.reload,
    cluster,
    reconciler,
    streams: new EventStreams(base.events, base.epoch, () =>
      base.metrics.count('flatnet_api_slow_readers_total', 'Readers of events that were disconnected'),
    ),
    status: () =>
      statusOf({
        ...base,
        startedAt,
        reconciler,
        ingress: ingress.listening,
        cluster,
        dns: dns.status,
        mdns: mdns.status,
      }),
  }
}

function makePool({ clock, conf, metrics, paths, registry }: Base, cluster: ClusterParts): Pool {
  const ownHostId = conf.hostId
  return new Pool({
    connectTimeoutMs: conf.ingress.connectTimeoutMs,
    isRegistered: (key, ip) => {
      const holder = registry.byIp(ip)
      return holder !== undefined && attachmentKey(holder) === key
    },
    dialMethod: (ip) => {
      const hostId = registry.byIp(ip)?.hostId ?? ownHostId
      const noTunnel = cluster.noTunnel()
      return dialMethod({ ownHostId, hostId, noTunnel, path: paths.path(hostId), now: clock.now() })
    },
    streams: cluster.streams,
    onRetry: () => metrics.count('flatnet_ingress_retries_total', RETRIES_HELP, { phase: 'connect' }),
  })
}

/** Connections to containers that are gone end; those to a host that is reached another way are not kept. */
function follow({ events, metrics, paths, registry }: Base, pool: Pool, forwarder: Forwarder): void {
  onContainerGone(events, (key) => {
    pool.drop(key)
    forwarder.drop(key)
  })
  onReachChanged(events, paths, (hostId) => {
    for (const assignment of registry.all(hostId)) pool.dropIdle(attachmentKey(assignment))
  })
  events.listen(({ event }) => {
    if (event.type !== 'alarm') return
    metrics.count('flatnet_alarms_total', 'Alarms about hosts', { host: String(event.hostId) })
  })
}

/** A container that is gone, or has another address, keeps no connection. */
function onContainerGone(events: Events, drop: (key: string) => void): void {
  events.listen(({ event }) => {
    if (event.type === 'assignmentRemoved') drop(attachmentKey(event.assignment))
    if (event.type !== 'assignmentChanged') return
    const now = addressesOf(event.assignment)
    if (addressesOf(event.before).some((ip) => !now.includes(ip))) drop(attachmentKey(event.assignment))
  })
}

/**
 * Whether packets reach the host has changed: its gateway dials for this one, or nothing does. A request on a kept
 * connection would wait 8 s for a host that is out of reach, and on a new one has its answer within 2.
 */
function onReachChanged(events: Events, paths: PathTable, drop: (hostId: number) => void): void {
  const reached = new Map<number, string>()
  events.listen(({ event }) => {
    if (event.type !== 'pathChanged') return
    const { hostId, state } = event.path
    const isAway = state === 'ISOLATED' || state === 'QUARANTINED'
    const reach = isAway ? 'none' : paths.decision(hostId)?.isWebOnly === true ? 'web' : 'packets'
    const before = reached.get(hostId) ?? 'packets'
    reached.set(hostId, reach)
    if (reach !== before) drop(hostId)
  })
}

/** @returns how to stop measuring */
function gauges({ dropped, metrics, registry }: Base, { reconciler, streams }: ApiDeps): () => void {
  metrics.gauge('flatnet_assignments', 'Registered assignments', () => registry.size)
  metrics.gauge('flatnet_api_event_readers', 'Open event streams', () => streams.readers)
  reconcileGauges(metrics, reconciler)
  if (dropped !== undefined) dropGauges(metrics, dropped)
  return processGauges(metrics)
}
