/** Makes the gateway's deps and hands each what it needs; nothing listens or reads yet. */

import { hostname } from 'node:os'
import type { DaemonConf } from '../conf/daemon.ts'
import { attachmentKey } from '../core/attachment.ts'
import type { Clock } from '../core/clock.ts'
import type { Log } from '../core/log.ts'
import { EventStreams } from './api/events.ts'
import type { ApiDeps } from './api/server.ts'
import { type ListeningIngress, statusOf } from './api/status.ts'
import { Events } from './base/events.ts'
import { Metrics, processGauges } from './base/metrics.ts'
import type { Cluster } from './cluster/cluster.ts'
import type { DataPlane } from './dataplane/dataplane.ts'
import { answerCounter } from './ingress/answers.ts'
import type { IngressDeps } from './ingress/deps.ts'
import { RETRIES_HELP } from './ingress/retry.ts'
import { Forwarder } from './ingress/upstream/forwarder.ts'
import { Pool } from './ingress/upstream/pool.ts'
import { TCP } from './ingress/upstream/stream-dial.ts'
import { wayTo } from './ingress/upstream/way.ts'
import type { KernelView } from './leases/kernel-view.ts'
import { Reconciler, type Repair } from './leases/reconciler.ts'
import type { LeaseSource } from './leases/source.ts'
import { PathTable } from './paths/table.ts'
import { addressesOf, Registry } from './registry/registry.ts'
import { Slices } from './registry/slices.ts'
import type { Sharing } from './share.ts'

export interface Materials {
  readonly conf: DaemonConf
  readonly log: Log
  readonly clock: Clock
  readonly leases: LeaseSource
  readonly epoch: number
  readonly repair?: Repair
  readonly kernelView?: KernelView
  readonly version?: string
  readonly reload?: (() => void) | undefined
}

export interface Assembly extends ApiDeps, IngressDeps {
  readonly events: Events
  setCluster(cluster: Cluster): void
  setDataPlane(dataplane: DataPlane): void
  setSharing(sharing: Sharing): void
  setIngress(ingress: ListeningIngress): void
  /** What is carried for other hosts moves away or ends, within `ingress.drainMs`. */
  drainTransit(): Promise<void>
  close(): void
}

export function assemble(materials: Materials): Assembly {
  const { conf, log, clock, leases, epoch, repair, kernelView } = materials
  const events = new Events()
  const slices = new Slices(conf.supernet, conf.hostPrefix)
  const registry = new Registry(conf.hostId, epoch, events, slices, clock)
  const paths = new PathTable(conf.hostId, clock, events)
  const metrics = new Metrics()
  const reconciler = new Reconciler({ conf, registry, leases, clock, log, repair, kernelView })
  const pool = new Pool({
    connectTimeoutMs: conf.ingress.connectTimeoutMs,
    isRegistered: (key, ip) => {
      const holder = registry.byIp(ip)
      return holder !== undefined && attachmentKey(holder) === key
    },
    wayTo: (ip) => {
      const hostId = registry.byIp(ip)?.hostId ?? conf.hostId
      const noTunnel = dataplane?.noTunnel()
      return wayTo({ ownHostId: conf.hostId, hostId, noTunnel, path: paths.path(hostId), now: clock.now() })
    },
    streams: () => cluster?.links.streams,
    onRetry: () => metrics.count('flatnet_ingress_retries_total', RETRIES_HELP, { phase: 'connect' }),
  })
  const forwarder = new Forwarder({ registry, slices, paths, metrics, log })
  onContainerGone(events, (key) => {
    pool.drop(key)
    forwarder.drop(key)
  })
  onOtherWay(events, paths, (hostId) => {
    for (const assignment of registry.all(hostId)) pool.dropIdle(attachmentKey(assignment))
  })
  const streams = new EventStreams(events, epoch, () =>
    metrics.count('flatnet_api_slow_readers_total', 'Readers of events that were disconnected'),
  )
  const startedAt = clock.now()
  let ingress: ListeningIngress | undefined
  let cluster: Cluster | undefined
  let dataplane: DataPlane | undefined
  let sharing: Sharing | undefined
  gauges(metrics, registry, reconciler, streams)
  events.listen(({ event }) => {
    if (event.type !== 'alarm') return
    metrics.count('flatnet_alarms_total', 'Alarms about hosts', { host: String(event.hostId) })
  })
  const stopGauges = processGauges(metrics)
  return {
    conf,
    log,
    leases,
    registry,
    paths,
    metrics,
    reconciler,
    pool,
    streams,
    events,
    reload: materials.reload,
    cluster: () => cluster,
    sharing: () => sharing,
    ownNames: new Set([hostname().toLowerCase(), 'localhost']),
    countAnswer: answerCounter(metrics),
    endless: new Set(),
    status() {
      const alarms = sharing?.replication.alarms() ?? []
      const running = { startedAt, registry, reconciler, paths, ingress, cluster, dataplane, alarms }
      return statusOf({ ...materials, ...running })
    },
    setCluster(opened) {
      cluster = opened
      const { streams } = opened.links
      streams.handle(TCP, (offer) => void forwarder.accept(offer))
      metrics.gauge('flatnet_peer_streams', 'Streams to and from other gateways', () => streams.count)
    },
    setDataPlane(opened) {
      dataplane = opened
    },
    setSharing(started) {
      sharing = started
      cluster?.setSuspicious((hostId) => started.replication.quarantineOf(hostId) !== undefined)
      cluster?.listen({
        rival: (hostId, message) => started.replication.rival(hostId, message),
        refused({ hostId, keyId, endpoint, isDuplicate }) {
          if (isDuplicate) started.replication.duplicate(hostId, keyId, endpoint)
        },
      })
      metrics.gauge(
        'flatnet_alarms',
        'What somebody has to act on now, besides quarantine',
        () => started.replication.alarms().length,
      )
    },
    setIngress(listening) {
      ingress = listening
    },
    async drainTransit() {
      sharing?.paths.drain()
      await Promise.all([forwarder.drain(conf.ingress.drainMs), dataplane?.drain()])
    },
    close() {
      stopGauges()
      pool.close()
    },
  }
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

/** Packets get to the host, or they do not any more, and its gateway dials instead. */
function onOtherWay(events: Events, paths: PathTable, drop: (hostId: number) => void): void {
  const webOnly = new Set<number>()
  events.listen(({ event }) => {
    if (event.type !== 'pathChanged') return
    const { hostId } = event.path
    const isWebOnly = paths.decision(hostId)?.isWebOnly === true
    if (isWebOnly === webOnly.has(hostId)) return
    if (isWebOnly) webOnly.add(hostId)
    else webOnly.delete(hostId)
    drop(hostId)
  })
}

function gauges(metrics: Metrics, registry: Registry, reconciler: Reconciler, streams: EventStreams): void {
  metrics.gauge('flatnet_assignments', 'Registered assignments', () => registry.size)
  metrics.gauge('flatnet_api_event_readers', 'Open event streams', () => streams.readers)
  metrics.gauge(
    'flatnet_reconcile_runs',
    'Comparisons with the leases since start',
    () => reconciler.report?.runs ?? 0,
  )
  metrics.gauge('flatnet_reconcile_failures', 'Of them failed', () => reconciler.report?.failures ?? 0)
  metrics.gauge(
    'flatnet_reconcile_seconds',
    'How long the last one took',
    () => (reconciler.report?.durationMs ?? 0) / 1000,
  )
  metrics.gauge('flatnet_leases_stale', 'Leases whose container is gone', () => reconciler.report?.stale ?? 0)
}
