/** Wires Nebula: its service, its messages with peers, and what paths and API see of it. */

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import type { P2pInfo } from '../core/api.ts'
import type { Part } from './base/part.ts'
import { memberOf } from './cluster/members/document.ts'
import { gatewayPaths, validUntil } from './compose-gateway-paths.ts'
import type { Around } from './compose-p2p.ts'
import { nebulaFiles, nebulaFolder } from './dataplane/nebula/overlay.ts'
import type { NebulaService, NebulaStatus } from './dataplane/nebula/service.ts'
import type { NebulaLinks, NebulaTransport } from './dataplane/nebula/transport.ts'

export interface NebulaParts {
  /** None: this gateway does not use Nebula. */
  readonly transports: readonly NebulaTransport[]
  readonly parts: readonly Part[]
  info(hostId: number): P2pInfo | undefined
  status(): NebulaStatus | null
  /** A person asks to try now. */
  retry(hostIds: readonly number[]): void
}

/** Where it is off, its code is not loaded. */
export async function composeNebula(around: Around): Promise<NebulaParts> {
  const { conf, log } = around.base
  if (conf.paths.nebula.enabled) return wire(around)
  // Peers that use it ask; they learn from the silence that this host does not.
  around.cluster.links.handle('nebula.', () => {})
  const { process: record } = nebulaFiles(nebulaFolder(conf.dataDir))
  const leftover: Part = {
    async start() {
      if (!existsSync(record)) return
      const { cleanUp } = await import('./dataplane/nebula/leftover.ts')
      await cleanUp(record, log)
    },
    stop() {},
  }
  return { transports: [], parts: [leftover], info: () => undefined, status: () => null, retry() {} }
}

async function wire(around: Around): Promise<NebulaParts> {
  const { base, cluster } = around
  const { scheduler } = base
  const [{ NebulaService: Service }, { NebulaTransport: Way }] = await Promise.all([
    import('./dataplane/nebula/service.ts'),
    import('./dataplane/nebula/transport.ts'),
  ])
  const service: NebulaService = new Service({
    ...base,
    peers: () => peersOf(around),
    events: {
      connected: (hello) => transport.inner.processConnected(hello),
      message: (message) => transport.inner.processSaid(message),
      disconnected: () => transport.inner.processDisconnected(),
    },
  })
  const transport: NebulaTransport = new Way(transportDeps(around, service))
  cluster.links.handle('nebula.', (hostId, message) => transport.receive(hostId, message))
  const stopListening = cluster.listen({
    up: (hostId) => transport.inner.linkUp(hostId),
    down: (hostId) => transport.inner.linkDown(hostId),
  })
  const part: Part = {
    start() {
      transport.inner.start()
      return service.start()
    },
    stop() {
      stopListening()
      transport.inner.stop()
      return service.stop()
    },
  }
  const wallOf = (at: number): number => scheduler.now() + at - scheduler.monotonic()
  return {
    transports: [transport],
    parts: [part],
    info: (hostId) => transport.info(hostId, wallOf),
    status: () => service.status,
    retry(hostIds) {
      for (const hostId of hostIds) transport.inner.reset(hostId, 'operator')
    },
  }
}

function transportDeps(
  around: Around,
  service: NebulaService,
): ConstructorParameters<typeof NebulaTransport>[0] {
  const { base, cluster, replication } = around
  const { conf, log, metrics, scheduler } = base
  const { links } = cluster
  return {
    hostId: conf.hostId,
    overlay: conf.supernet,
    conf: { enabled: true, off: new Set() },
    scheduler,
    random: Math.random,
    newAttempt: () => randomBytes(8).toString('hex'),
    log,
    links: linksOf(around),
    process: {
      get problem() {
        return service.problem
      },
      send: (message) => service.plane.send(message),
    },
    members: () => links.views().map((view) => view.hostId),
    refusalOf: (hostId) => replication.quarantineOf(hostId)?.reason,
    gatewayPath: gatewayPaths(around),
    validUntil: (hostId) => validUntil(around, links.get(hostId)?.peerValidTo),
    ownAddress: () => service.ownAddress,
    count(name, _hostId, reason) {
      if (name === 'promoted')
        metrics.count('flatnet_nebula_promotions_total', 'Times that packets of a pair moved to Nebula')
      if (name === 'demoted')
        metrics.count(
          'flatnet_nebula_demotions_total',
          'Times that packets of a pair left Nebula, by reason',
          {
            reason: reason ?? '',
          },
        )
    },
  }
}

const linksOf = ({ cluster: { links } }: Around): NebulaLinks => ({
  isUp: (hostId) => links.view(hostId)?.state === 'up',
  send: (hostId, message) => links.send(hostId, message),
  exportKey: (hostId, bytes, label, context) => links.get(hostId)?.exportKey(bytes, label, context),
  addresses: (hostId) => links.get(hostId)?.addresses,
})

function peersOf({ base, cluster: { links, state } }: Around) {
  return links
    .views()
    .map(({ hostId }) => {
      const member = memberOf(state.document, hostId)
      return { hostId, endpoints: member === undefined ? [] : state.endpointsOf(member) }
    })
    .filter(({ hostId }) => hostId !== base.conf.hostId)
    .toSorted((a, b) => a.hostId - b.hostId)
}
