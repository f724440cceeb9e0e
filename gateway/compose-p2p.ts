/** Wires the UDP path: its process, its messages with peers, and what paths and API see of it. */

import { randomBytes } from 'node:crypto'
import type { P2pInfo } from '../core/api.ts'
import type { Part } from './base/part.ts'
import type { Cluster } from './cluster/cluster.ts'
import { memberOf } from './cluster/members/document.ts'
import type { Base } from './compose-base.ts'
import { gatewayPaths, validUntil } from './compose-gateway-paths.ts'
import { composeMemberSignalling } from './compose-member-signalling.ts'
import { makeSupervisor, stopLeftover } from './compose-p2p-process.ts'
import { composePortMapping, type PortMappingParts } from './compose-port-mapping.ts'
import type { DataPlane } from './dataplane/dataplane.ts'
import type { MemberSignalling } from './dataplane/p2p/letters/member-signalling.ts'
import { countP2p, p2pGauges } from './dataplane/p2p/metrics.ts'
import { OwnAddresses } from './dataplane/p2p/own-addresses.ts'
import { p2pInfoOf } from './dataplane/p2p/p2p-info.ts'
import { P2pTransport } from './dataplane/p2p/p2p-transport.ts'
import type { P2pProcessStatus } from './dataplane/p2p/process-status.ts'
import { Signalling } from './dataplane/p2p/signalling.ts'
import { lookUp, stunServersOf } from './dataplane/p2p/stun-servers.ts'
import type { ProcessSupervisor } from './dataplane/p2p/supervisor.ts'
import { findTurnServer } from './dataplane/p2p/turn-lookup.ts'
import { TurnServers } from './dataplane/p2p/turn-servers.ts'
import type { Reports } from './paths/reports.ts'
import type { Replication } from './replication/replication.ts'

export interface P2pParts {
  readonly transport: P2pTransport
  /** To be started after links and paths. */
  readonly part: Part
  info(hostId: number): P2pInfo | undefined
  process(): P2pProcessStatus | null
  readonly portMapping: PortMappingParts['status']
  /** @returns to which hosts UDP is tried; undefined: no such host is known */
  retry(hostId: number | undefined): readonly number[] | undefined
}

export interface Around {
  readonly base: Base
  readonly cluster: Cluster
  readonly replication: Replication
  readonly dataplane: Pick<DataPlane, 'carried' | 'signals'>
  readonly reports: Reports
}

export function composeP2p(around: Around): P2pParts {
  const { base, cluster } = around
  const { conf, metrics, scheduler } = base
  const mapping = composePortMapping(base, () => transport.addressesChanged())
  const supervisor = makeSupervisor(base, {
    connected(hello) {
      transport.processConnected(hello)
      mapping.processConnected(hello)
      turn.connected(hello.features.turn === true)
    },
    message(message) {
      transport.processSaid(message)
      mapping.processSaid(message)
      turn.said(message)
    },
    disconnected: () => transport.processDisconnected(),
  })
  const turn: TurnServers = makeTurnServers(base, supervisor)
  const memberSignalling = composeMemberSignalling(base, cluster, around.reports, around.dataplane.signals)
  const signalling = makeSignalling(around, memberSignalling, {
    up: (hostId) => transport.linkUp(hostId),
    down: (hostId) => transport.linkDown(hostId),
    message: (hostId, message) => transport.receive(hostId, message),
  })
  const transport: P2pTransport = makeTransport(around, supervisor, signalling, mapping)
  cluster.links.handle('p2p.', (hostId, message) => signalling.receive(hostId, message))
  p2pGauges(metrics, transport, () => scheduler.monotonic())
  const stopListening = cluster.listen({
    up(hostId) {
      memberSignalling.callAgain()
      signalling.linkUp(hostId)
    },
    down: (hostId) => signalling.linkDown(hostId),
  })
  let forget = (): void => {}
  return {
    transport,
    part: {
      start() {
        transport.start()
        void mapping.part.start()
        memberSignalling.start()
        void turn.part.start()
        if (conf.p2p.enabled) supervisor.start()
        else forget = stopLeftover(base, cluster)
      },
      stop() {
        const unmapped = mapping.part.stop()
        forget()
        void turn.part.stop()
        stopListening()
        memberSignalling.stop()
        signalling.stop()
        transport.stop()
        supervisor.stop()
        return unmapped
      },
    },
    info(hostId) {
      const view = transport.view(hostId)
      const wallOf = (at: number): number => scheduler.now() + at - scheduler.monotonic()
      return view && p2pInfoOf(view, transport.session(hostId), wallOf, transport.tier(hostId))
    },
    portMapping: () => mapping.status(),
    process() {
      const { process } = transport.status
      return process === null || conf.paths.turn.length === 0 ? process : { ...process, turn: turn.status }
    },
    retry(hostId) {
      const known = transport.hostIds()
      if (hostId !== undefined && !known.includes(hostId)) return undefined
      const those = hostId === undefined ? known : [hostId]
      memberSignalling.callAgain(true)
      for (const id of those) transport.reset(id, 'operator')
      return those.filter((id) => transport.view(id)?.state !== 'P2P_ACTIVE')
    },
  }
}

function makeSignalling(
  { cluster: { links }, dataplane }: Around,
  memberSignalling: MemberSignalling,
  events: ConstructorParameters<typeof Signalling>[0]['events'],
): Signalling {
  return new Signalling({
    relayed: dataplane.signals,
    memberSignalling,
    events,
    links: {
      isUp: (hostId) => links.view(hostId)?.state === 'up',
      send: (hostId, message) => links.send(hostId, message),
      exportKey: (hostId, bytes, label, context) => links.get(hostId)?.exportKey(bytes, label, context),
      addresses: (hostId) => links.get(hostId)?.addresses,
      peerValidTo: (hostId) => links.get(hostId)?.peerValidTo,
    },
  })
}

function makeTransport(
  around: Around,
  supervisor: ProcessSupervisor,
  signalling: Signalling,
  mapping: PortMappingParts,
): P2pTransport {
  const { base, cluster, replication } = around
  const { conf, log, metrics, scheduler } = base
  const { links } = cluster
  return new P2pTransport({
    hostId: conf.hostId,
    overlay: conf.supernet,
    conf: conf.p2p,
    tiers: conf.paths.tiers,
    scheduler,
    random: Math.random,
    newAttempt: () => randomBytes(8).toString('hex'),
    log,
    links: signalling,
    process: supervisor,
    members: () => links.views().map((view) => view.hostId),
    refusalOf: (hostId) => replication.quarantineOf(hostId)?.reason,
    gatewayPath: gatewayPaths(around),
    validUntil: (hostId) => validUntil(around, signalling.peerValidTo(hostId)),
    addresses: makeOwnAddresses(base, cluster, supervisor, mapping),
    count: (name, _hostId, reason) => countP2p(metrics, name, reason),
  })
}

function makeOwnAddresses(
  { conf, log, scheduler }: Base,
  { links, state }: Cluster,
  supervisor: ProcessSupervisor,
  mapping: PortMappingParts,
): OwnAddresses {
  const { ice, punch } = conf.paths.tiers
  return new OwnAddresses({
    overlay: conf.supernet,
    scheduler,
    log,
    // Members are asked for `punch` as well: without a hub there are still members that see either side.
    stun: ice.enabled ? conf.paths.stun : [],
    resolve: lookUp,
    // Nearer members answer sooner; who is far says the same.
    members: () =>
      stunServersOf(
        (ice.enabled || punch.enabled ? links.views() : [])
          .toSorted((a, b) => (a.rttMs ?? Infinity) - (b.rttMs ?? Infinity))
          .flatMap(({ hostId }) => memberOf(state.document, hostId) ?? [])
          .map((member) => state.endpointsOf(member)),
      ),
    announced() {
      const own = memberOf(state.document, conf.hostId)
      return own === undefined ? [] : state.endpointsOf(own)
    },
    advertised: conf.peers.advertise,
    portMapped: () => mapping.external(),
    toProcess: (message) => supervisor.send(message),
  })
}

const makeTurnServers = ({ conf, log, scheduler }: Base, supervisor: ProcessSupervisor): TurnServers =>
  new TurnServers({
    conf: conf.paths.tiers.ice.enabled ? conf.paths.turn : [],
    scheduler,
    log,
    find: findTurnServer,
    toProcess: (message) => supervisor.send(message),
  })
