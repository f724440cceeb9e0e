/** Joins registry, links and paths in a gateway that is in a cluster. */

import { randomBytes } from 'node:crypto'
import type { DaemonConf } from '../conf/daemon.ts'
import type { Clock, Millis } from '../core/clock.ts'
import type { Log } from '../core/log.ts'
import { saveEpoch } from './base/epoch.ts'
import type { Events } from './base/events.ts'
import type { Metrics } from './base/metrics.ts'
import { systemScheduler } from './base/scheduler.ts'
import type { Cluster } from './cluster/cluster.ts'
import { memberOf } from './cluster/members/document.ts'
import { PathController, type PathEffects } from './paths/controller.ts'
import type { PathTable } from './paths/table.ts'
import type { Registry } from './registry/registry.ts'
import { Slices } from './registry/slices.ts'
import type { StoredTable } from './replication/deps.ts'
import { Sync } from './replication/replication.ts'
import { ed25519Signer, ed25519Verifier } from './replication/sign.ts'
import { diskTables } from './replication/table-files.ts'

/** What carries packets between hosts: the tunnel and the relays, behind what the paths need of them. */
export interface Carrier extends PathEffects {
  /** Why packets cannot be carried, in words; undefined when they can. */
  noTunnel(): string | undefined
  /** Pairs for which this gateway would still be a relay. */
  freePairs(): number
  /** How a relay refused or failed for a host of late; undefined: it is usable. */
  relayProblem(hostId: number, relay: number): string | undefined
  /** Whether a connection that carries packets to the host stands, straight or through a relay. */
  hasLine(hostId: number): boolean
  /** Round trip by the connection through a relay, from end to end; undefined: not measured. */
  lineRttMs(hostId: number, relay: number): Millis | undefined
  /** Calls `decide` whenever one of these may have another answer. */
  onRelayProblem(decide: () => void): void
}

export interface ShareParts {
  readonly conf: DaemonConf
  readonly cluster: Cluster
  readonly registry: Registry
  readonly paths: PathTable
  readonly events: Events
  readonly metrics: Metrics
  readonly log: Log
  readonly clock: Clock
  /** From `loadTables`. */
  readonly stored: readonly StoredTable[]
  readonly carrier: Carrier
}

export interface Sharing {
  readonly sync: Sync
  readonly paths: PathController
  stop(): Promise<void>
}

/** To be called in the same turn in which the links were started, so that none comes up unseen. */
export function shareRegistry(parts: ShareParts): Sharing {
  const { carrier, clock, cluster, conf, events, log, paths: table, registry } = parts
  const common = { scheduler: systemScheduler(clock), random: Math.random, log, registry, events }
  const sync = new Sync({
    ...common,
    slices: new Slices(conf.supernet, conf.hostPrefix),
    signer: ed25519Signer(() => cluster.state.identity),
    verifier: ed25519Verifier(cluster.state.identity.cluster),
    newNonce: () => randomBytes(16).toString('hex'),
    saveEpoch: (epoch) => saveEpoch(conf.dataDir, epoch),
    keyIdOf: (hostId) => keyIdOf(cluster, hostId),
    send: (hostId, message) => cluster.peers.send(hostId, message),
    isReached: (hostId) => paths.isReached(hostId),
    dropped: (reason) =>
      parts.metrics.count('flatnet_registry_dropped_total', 'Messages of peers not followed', { reason }),
    store: diskTables(conf.dataDir),
  })
  const paths: PathController = new PathController({
    ...common,
    hostId: conf.hostId,
    table,
    effects: carrier,
    links: () => cluster.peers.views(),
    quarantineOf: (hostId) => sync.quarantineOf(hostId)?.reason,
    noTunnel: () => carrier.noTunnel(),
    freePairs: () => carrier.freePairs(),
    relayProblem: (hostId, relay) => carrier.relayProblem(hostId, relay),
    hasLine: (hostId) => carrier.hasLine(hostId),
    lineRttMs: (hostId, relay) => carrier.lineRttMs(hostId, relay),
    send: (hostId, message) => cluster.peers.send(hostId, message),
    draining: (hostId) => cluster.peers.draining(hostId),
    changed: () => sync.refresh(),
  })
  carrier.onRelayProblem(() => paths.evaluateAll())
  sync.restore(parts.stored)
  const stops = [follow(cluster, sync, paths), ...listen(events, registry.hostId, sync, paths)]
  gauges(parts, sync)
  sync.start()
  paths.start()
  return {
    sync,
    paths,
    async stop() {
      for (const stop of stops) stop()
      paths.stop()
      await sync.stop()
    },
  }
}

function keyIdOf({ state }: Cluster, hostId: number): string | undefined {
  const member = memberOf(state.document, hostId)
  return member !== undefined && state.refusal(hostId, member.keyId) === undefined ? member.keyId : undefined
}

/** The registry first: what a link brings is in it when its path is decided. */
function follow(cluster: Cluster, sync: Sync, paths: PathController): () => void {
  return cluster.listen({
    up(hostId) {
      sync.peerUp(hostId)
      paths.linkChanged(hostId)
    },
    down(hostId, reason) {
      sync.peerDown(hostId, reason)
      paths.linkChanged(hostId)
    },
    control(hostId, message) {
      if (!sync.receive(hostId, message)) paths.receive(hostId, message)
    },
    dataUp: (hostId) => paths.linkChanged(hostId),
    dataDown: (hostId) => paths.linkChanged(hostId),
  })
}

function listen(events: Events, own: number, sync: Sync, paths: PathController): (() => void)[] {
  return [
    events.listen(({ event }) => {
      if ('assignment' in event && event.assignment.hostId === own) sync.localChanged()
      if (event.type === 'hostChanged') paths.evaluateAll()
    }),
  ]
}

function gauges({ metrics, registry, paths }: ShareParts, sync: Sync): void {
  metrics.gauge(
    'flatnet_registry_lag_seconds',
    'How long a table has been known to be out of date',
    () => Math.round(sync.lagMs()) / 1000,
  )
  metrics.gaugeEach('flatnet_registry_assignments', 'Assignments by host', () =>
    registry.hosts().map((h) => [{ host: String(h.hostId) }, h.assignments]),
  )
  metrics.gaugeEach('flatnet_registry_epoch', 'Epoch of the table', () =>
    registry.hosts().map((h) => [{ host: String(h.hostId) }, h.version.epoch]),
  )
  metrics.gaugeEach('flatnet_registry_seq', 'Changes to the table in its epoch', () =>
    registry.hosts().map((h) => [{ host: String(h.hostId) }, h.version.seq]),
  )
  metrics.gaugeEach('flatnet_hosts', 'Hosts by how they are reached', () => {
    const counts = new Map([
      ['live', 0],
      ['unreachable', 0],
      ['gone', 0],
      ['quarantined', 0],
    ])
    for (const { hostId, freshness } of registry.hosts()) {
      const state = sync.quarantineOf(hostId) === undefined ? freshness : 'quarantined'
      counts.set(state, (counts.get(state) ?? 0) + 1)
    }
    return [...counts].map(([state, n]) => [{ state }, n])
  })
  metrics.gaugeEach('flatnet_paths', 'Paths by state and way', () => {
    const counts = new Map<string, number>()
    for (const { state, via } of paths.all()) {
      const key = `${state} ${via.split(':')[0]}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
    return [...counts].map(([key, n]) => {
      const [state = '', via = ''] = key.split(' ')
      return [{ state, via }, n]
    })
  })
}
