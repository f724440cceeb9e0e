/** What the API asks of the cluster that this host is in; a host in none answers by the same interface. */

import type { P2pInfo } from '../../core/api.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { BrowserCertificates } from '../cluster/identity/browser-certificates.ts'
import type { TunnelStatus } from '../dataplane/dataplane.ts'
import type { PortMappingStatus } from '../dataplane/nat/port-mapping/port-mapping.ts'
import type { NebulaStatus } from '../dataplane/nebula/service.ts'
import type { P2pProcessStatus } from '../dataplane/p2p/process-status.ts'
import type { RelayLoad } from '../dataplane/relay/capacity.ts'
import type { MessagesStatus } from '../gossip/messages.ts'
import type { LinkView } from '../links/types.ts'
import type { Alarm } from '../replication/alarms.ts'
import type { Quarantine } from '../replication/deps.ts'
import { ApiProblem } from './answer.ts'
import type { ListedMember } from './host-view.ts'
import type { ClusterStatus } from './status.ts'

export interface ClusterAccess {
  /** @throws {ApiProblem} this host is in no cluster */
  demand(): Cluster
  /** null: this host is in no cluster. */
  status(): ClusterStatus | null
  /** null: in no cluster. */
  tunnel(): TunnelStatus | null
  /** What this host carries for pairs of others. null: in no cluster. */
  relay(): RelayLoad | null
  /** Small messages for hosts that no path leads to. null: in no cluster. */
  messagesStatus(): MessagesStatus | null
  members(): readonly ListedMember[]
  /** For HTTPS; undefined: in no cluster. */
  browserCertificates(): BrowserCertificates | undefined
  /** Undefined for this host, and for those that are no members. */
  link(hostId: number): LinkView | undefined
  alarms(): readonly Alarm[]
  /** The UDP path to a host; undefined: there is no such member. */
  p2p(hostId: number): P2pInfo | undefined
  /** null: there is none, or this gateway is not connected to it. */
  p2pProcess(): P2pProcessStatus | null
  /** null: in no cluster. */
  portMapping(): PortMappingStatus | null
  /** The way through Nebula to a host; undefined: there is no such member, or Nebula is not used. */
  nebula(hostId: number): P2pInfo | undefined
  /** null: it is not used. */
  nebulaStatus(): NebulaStatus | null
  /**
   * Tries for UDP paths again now: to the host, or to all.
   * @returns to which; undefined: no such host is known
   */
  retry(hostId: number | undefined): readonly number[] | undefined
  quarantineOf(hostId: number): Quarantine | undefined
  /** Ends a quarantine on this gateway. @returns false: there was none */
  release(hostId: number): boolean
}

export const noCluster = (): ApiProblem =>
  new ApiProblem(
    'ERR_FLATNET_API_CLUSTER',
    'this host is in no cluster: flatnet init makes one, flatnet join enters one; ' +
      'if it should be in one, the log says why it is not',
  )
