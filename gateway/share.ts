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
import { Replication } from './replication/replication.ts'
import { ed25519Signer, ed25519Verifier } from './replication/sign.ts'
import { diskTables } from './replication/table-files.ts'

/** What carries packets between hosts: the tunnel and the relays, behind what the paths need of them. */
export interface PathTransports extends PathEffects {
  /** Why packets cannot be carried, in words; undefined when they can. */
  noTunnel(): string | undefined
  /** Pairs for which this gateway would still be a relay. */
  freePairs(): number
  /** How a relay refused or failed for a host of late; undefined: it is usable. */
  relayProblem(hostId: number, relay: number): string | undefined
  /** Whether a connection that carries packets to the host stands, straight or through a relay. */
  hasChannel(hostId: number): boolean
  /** Round trip by the connection through a relay, from end to end; undefined: not measured. */
  channelRttMs(hostId: number, relay: number): Millis | undefined
  /** Calls `decide` whenever one of these may have another answer. */
  onRelayProblem(decide: () => void): void
}

export interface ShareDeps {
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
  readonly dataplane: PathTransports
}

export interface Sharing {
  readonly replication: Replication
  readonly paths: PathController
  stop(): Promise<void>
}

/** To be called in the same turn in which the links were started, so that none comes up unseen. */
export function shareRegistry(deps: ShareDeps): Sharing {
  const { dataplane, clock, cluster, conf, events, log, paths: table, registry } = deps
  const common = { scheduler: systemScheduler(clock), random: Math.random, log, registry, events }
  const replication = new Replication({
    ...common,
    slices: new Slices(conf.supernet, conf.hostPrefix),
    signer: ed25519Signer(() => cluster.state.identity),
    verifier: ed25519Verifier(cluster.state.identity.cluster),
    newNonce: () => randomBytes(16).toString('hex'),
    saveEpoch: (epoch) => saveEpoch(conf.dataDir, epoch),
    keyIdOf: (hostId) => keyIdOf(cluster, hostId),
    send: (hostId, message) => cluster.links.send(hostId, message),
    isReached: (hostId) => paths.isReached(hostId),
    dropped: (reason) =>
      deps.metrics.count('flatnet_registry_dropped_total', 'Messages of peers not followed', { reason }),
    store: diskTables(conf.dataDir),
  })
  const paths: PathController = new PathController({
    ...common,
    hostId: conf.hostId,
    table,
    effects: dataplane,
    links: () => cluster.links.views(),
    quarantineOf: (hostId) => replication.quarantineOf(hostId)?.reason,
    noTunnel: () => dataplane.noTunnel(),
    freePairs: () => dataplane.freePairs(),
    relayProblem: (hostId, relay) => dataplane.relayProblem(hostId, relay),
    hasChannel: (hostId) => dataplane.hasChannel(hostId),
    channelRttMs: (hostId, relay) => dataplane.channelRttMs(hostId, relay),
    send: (hostId, message) => cluster.links.send(hostId, message),
    draining: (hostId) => cluster.links.draining(hostId),
    changed: () => replication.refresh(),
  })
  dataplane.onRelayProblem(() => paths.evaluateAll())
  replication.restore(deps.stored)
  cluster.links.handle('registry.', (hostId, message) => replication.receive(hostId, message))
  cluster.links.handle('paths.', (hostId, message) => paths.receive(hostId, message))
  const stops = [follow(cluster, replication, paths), ...listen(events, registry.hostId, replication, paths)]
  gauges(deps, replication)
  replication.start()
  paths.start()
  return {
    replication,
    paths,
    async stop() {
      for (const stop of stops) stop()
      paths.stop()
      await replication.stop()
    },
  }
}

function keyIdOf({ state }: Cluster, hostId: number): string | undefined {
  const member = memberOf(state.document, hostId)
  return member !== undefined && state.refusal(hostId, member.keyId) === undefined ? member.keyId : undefined
}

/** The registry first: what a link brings is in it when its path is decided. */
function follow(cluster: Cluster, replication: Replication, paths: PathController): () => void {
  return cluster.listen({
    up(hostId) {
      replication.peerUp(hostId)
      paths.linkChanged(hostId)
    },
    down(hostId, reason) {
      replication.peerDown(hostId, reason)
      paths.linkChanged(hostId)
    },
    dataUp: (hostId) => paths.linkChanged(hostId),
    dataDown: (hostId) => paths.linkChanged(hostId),
  })
}

function listen(
  events: Events,
  own: number,
  replication: Replication,
  paths: PathController,
): (() => void)[] {
  return [
    events.listen(({ event }) => {
      if ('assignment' in event && event.assignment.hostId === own) replication.localChanged()
      if (event.type === 'hostChanged') paths.evaluateAll()
    }),
  ]
}

function gauges({ metrics, registry, paths }: ShareDeps, replication: Replication): void {
  metrics.gauge(
    'flatnet_registry_lag_seconds',
    'How long a table has been known to be out of date',
    () => Math.round(replication.lagMs()) / 1000,
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
      const state = replication.quarantineOf(hostId) === undefined ? freshness : 'quarantined'
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
