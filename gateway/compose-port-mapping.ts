/**
 * Wires the router's port mapping to the process of direct paths: its port, changes of the network, what is offered.
 */

import { randomBytes } from 'node:crypto'
import { defaultGateway } from '../kernel/default-gateway.ts'
import type { Part } from './base/part.ts'
import type { Base } from './compose-base.ts'
import { listenForAnnouncements } from './dataplane/nat/port-mapping/announcements.ts'
import { PortMapping, type PortMappingStatus } from './dataplane/nat/port-mapping/port-mapping.ts'
import { diskRecord } from './dataplane/nat/port-mapping/record.ts'
import { askEpoch, askForMapping, isMapped } from './dataplane/nat/port-mapping/router.ts'
import type { RouterPlace } from './dataplane/nat/port-mapping/types.ts'
import { endpointOf, isEndpoint, isPublic, mayBeHost } from './dataplane/p2p/endpoints.ts'
import type { ProcessHello } from './dataplane/p2p/process-client.ts'
import type { FromProcess } from './dataplane/p2p/protocol.ts'

export interface PortMappingParts {
  readonly part: Part
  /** `192.0.2.1:7443`, where the router lets others in; undefined: nowhere. */
  external(): string | undefined
  status(): PortMappingStatus
  processConnected(hello: Pick<ProcessHello, 'udp'>): void
  processSaid(message: FromProcess): void
}

/** @param made there is a mapped address that was not there before */
export function composePortMapping(base: Base, made: () => void): PortMappingParts {
  const { conf, log, metrics, scheduler } = base
  const { enabled, protocols } = conf.paths.portMapping
  const mapping = new PortMapping({
    protocols: enabled && conf.p2p.enabled ? protocols : [],
    scheduler,
    random: Math.random,
    log,
    record: diskRecord(conf.dataDir, log),
    newNonce: () => randomBytes(12).toString('hex'),
    place: () => routerPlace(conf.p2p.listen.host),
    mayOffer: (external) => isEndpoint(external) && mayBeHost(external, conf.supernet),
    ask: askForMapping,
    askEpoch,
    isMapped,
    hear: listenForAnnouncements,
    made,
  })
  metrics.gauge('flatnet_port_mapped', 'Whether the router lets UDP in by a port mapping', () =>
    mapping.external === undefined ? 0 : 1,
  )
  const listens = ({ port, problem }: ProcessHello['udp']): void =>
    mapping.listens(problem === undefined && port > 0 ? port : undefined)
  return {
    part: mapping,
    external: () => mapping.external,
    status: () => mapping.status,
    processConnected: ({ udp }) => listens(udp),
    processSaid(message) {
      if (message.type === 'udp') listens(message)
      else if (message.type === 'networkChanged') mapping.networkChanged()
    },
  }
}

/**
 * A host with a public address needs no mapping, and its router is the provider's.
 * @param listen where direct paths receive: the router sends to no other address than this host's on its network
 */
function routerPlace(listen: string): RouterPlace | { readonly problem: string } {
  try {
    const found = defaultGateway()
    if ('problem' in found) return found
    if (!['::', '0.0.0.0', found.ownAddress].includes(listen))
      return { problem: `direct paths do not listen at ${found.ownAddress} (p2p.listen)` }
    const isOutside = isPublic(endpointOf(found.ownAddress, 1) ?? '')
    return isOutside ? { problem: 'none is needed: this host has a public address' } : found
  } catch (err) {
    return { problem: `the default route could not be read (${err instanceof Error ? err.message : err})` }
  }
}
