/** Wires what a host in a cluster has besides: links to peers, the data plane, replication and paths. */

import { randomBytes } from 'node:crypto'
import { FlatnetError } from '../core/errors.ts'
import { listedMembers } from './api/host-view.ts'
import { clusterStatus } from './api/status.ts'
import { saveEpoch } from './base/epoch.ts'
import type { Part } from './base/part.ts'
import { Cluster } from './cluster/cluster.ts'
import { ClusterFiles } from './cluster/identity/files.ts'
import type { Base, ClusterParts } from './compose-base.ts'
import { composeMessages } from './compose-messages.ts'
import { composeNebula, type NebulaParts } from './compose-nebula.ts'
import { composeP2p, type P2pParts } from './compose-p2p.ts'
import { DataPlane } from './dataplane/dataplane.ts'
import type { Messages } from './gossip/messages.ts'
import { PathController } from './paths/controller.ts'
import { pathGauges } from './paths/metrics.ts'
import { Reports } from './paths/reports.ts'
import { replicationGauges } from './replication/metrics.ts'
import { Replication } from './replication/replication.ts'
import { ed25519Signer, ed25519Verifier } from './replication/sign.ts'
import { diskTables, loadTables } from './replication/table-files.ts'

/**
 * A cluster that cannot be used leaves a gateway for this host alone: its containers are served, and what has to be
 * done is in the log, in `GET /v1/status` and in the answer when a person joins the host again.
 * @returns undefined: it cannot be used
 */
export async function composeCluster(base: Base): Promise<ClusterParts | undefined> {
  const { conf, log, metrics, paths: table, registry } = base
  const cluster = makeCluster(base)
  if (cluster === undefined) return undefined
  const reports = new Reports(base.conf.relay.region)
  const dataplane = new DataPlane({ ...base, cluster, reports })
  const replication = makeReplication(base, cluster)
  const stored = await loadTables(conf.dataDir, (endpoint, err) =>
    log.warn({ endpoint, err }, 'table of a host could not be read'),
  )
  const restored: Part = { start: () => replication.restore(stored), stop() {} }
  const around = { base, cluster, replication, dataplane, reports }
  const p2p = composeP2p(around)
  const nebula = await composeNebula(around)
  const paths = makePaths({ base, cluster, dataplane, nebula, p2p, reports, replication })
  cluster.links.handle('registry.', (hostId, message) => replication.receive(hostId, message))
  cluster.links.handle('paths.', (hostId, message) => paths.receive(hostId, message))
  replicationGauges(metrics, registry, replication)
  pathGauges(metrics, table, base.tiers)
  const messages = composeMessages(base, cluster)
  const follower = follow({ base, cluster, messages, replication, paths })
  return {
    ...access(cluster, dataplane, replication, p2p, nebula),
    messages,
    messagesStatus: () => messages.status,
    parts: [restored, cluster, dataplane, replication, paths, messages, follower, p2p.part, ...nebula.parts],
    streams: cluster.links.streams,
    noTunnel: () => dataplane.noTunnel(),
    async drain() {
      paths.drain()
      await Promise.all([dataplane.drain(), messages.drain(base.conf.ingress.drainMs)])
    },
  }
}

function makeCluster(base: Base): Cluster | undefined {
  const { conf, log, paths, version = '' } = base
  const isQuarantined = (hostId: number): boolean => paths.isQuarantined(hostId)
  try {
    return new Cluster({ ...base, version, isQuarantined }, new ClusterFiles(conf.dataDir))
  } catch (err) {
    if (!(err instanceof FlatnetError)) throw err
    log.error({ err }, 'cluster could not be used, peers are left alone')
    return undefined
  }
}

function makeReplication(base: Base, { links, state }: Cluster): Replication {
  const { conf, metrics, paths } = base
  return new Replication({
    ...base,
    random: Math.random,
    signer: ed25519Signer(() => state.identity),
    verifier: ed25519Verifier(state.identity.cluster),
    newNonce: () => randomBytes(16).toString('hex'),
    saveEpoch: (epoch) => saveEpoch(conf.dataDir, epoch),
    keyIdOf: (hostId) => state.keyIdOf(hostId),
    send: (hostId, message) => links.send(hostId, message),
    isReached: (hostId) => paths.isReached(hostId),
    dropped: (reason) =>
      metrics.count('flatnet_registry_dropped_total', 'Messages of peers not followed', { reason }),
    store: diskTables(conf.dataDir),
  })
}

interface Made {
  readonly base: Base
  readonly cluster: Cluster
  readonly dataplane: DataPlane
  readonly nebula: NebulaParts
  readonly p2p: P2pParts
  readonly reports: Reports
  readonly messages: Messages
  readonly replication: Replication
  readonly paths: PathController
}

function makePaths({
  base,
  cluster,
  dataplane,
  nebula,
  p2p,
  reports,
  replication,
}: Omit<Made, 'paths' | 'messages'>): PathController {
  const { links } = cluster
  return new PathController({
    ...base,
    hostId: base.conf.hostId,
    random: Math.random,
    table: base.paths,
    reports,
    transports: [p2p.transport, ...nebula.transports, ...dataplane.transports],
    carriage: dataplane,
    carriesLetters: base.conf.paths.tiers.punch.enabled,
    links: () => links.views(),
    quarantineOf: (hostId) => replication.quarantineOf(hostId)?.reason,
    send: (hostId, message) => links.send(hostId, message),
    draining: (hostId) => links.draining(hostId),
    changed: () => replication.refresh(),
  })
}

/** Events of links and registry. The registry goes first: what a link brings is in it when its path is decided. */
function follow({
  base,
  cluster,
  messages,
  replication,
  paths,
}: Pick<Made, 'base' | 'cluster' | 'messages' | 'replication' | 'paths'>): Part {
  const own = base.conf.hostId
  const stops = [
    cluster.listen({
      up(hostId) {
        replication.peerUp(hostId)
        messages.linkUp(hostId)
        paths.linkChanged(hostId)
      },
      down(hostId) {
        replication.peerDown(hostId)
        messages.linkDown(hostId)
        paths.linkChanged(hostId)
      },
      rival: (hostId, message) => replication.rival(hostId, message),
      overspent: (hostId, reason) => replication.overspent(hostId, reason),
      refused({ hostId, keyId, endpoint, isDuplicate }) {
        if (isDuplicate) replication.duplicate(hostId, keyId, endpoint)
      },
    }),
    base.events.listen(({ event }) => {
      if ('assignment' in event && event.assignment.hostId === own) replication.localChanged()
      if (event.type === 'hostChanged') paths.evaluateAll()
    }),
  ]
  return {
    start() {},
    stop() {
      for (const stop of stops) stop()
    },
  }
}

const access = (
  cluster: Cluster,
  dataplane: DataPlane,
  replication: Replication,
  p2p: P2pParts,
  nebula: NebulaParts,
): Omit<ClusterParts, 'parts' | 'streams' | 'messages' | 'messagesStatus' | 'noTunnel' | 'drain'> => ({
  demand: () => cluster,
  status: () => clusterStatus(cluster),
  tunnel: () => dataplane.status(),
  relay: () => dataplane.relayLoad(),
  members: () => listedMembers(cluster.state),
  browserCertificates: () => cluster.browserCertificates,
  link: (hostId) => cluster.links.view(hostId),
  alarms: () => replication.alarms(),
  p2p: (hostId) => p2p.info(hostId),
  p2pProcess: () => p2p.process(),
  portMapping: () => p2p.portMapping(),
  nebula: (hostId) => nebula.info(hostId),
  nebulaStatus: () => nebula.status(),
  retry(hostId) {
    const retried = p2p.retry(hostId)
    if (retried !== undefined) nebula.retry(hostId === undefined ? p2p.transport.hostIds() : [hostId])
    return retried
  },
  quarantineOf: (hostId) => replication.quarantineOf(hostId),
  release: (hostId) => replication.release(hostId),
})
