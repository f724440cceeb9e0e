/** `GET /v1/hosts`: every host that is or was in the cluster, with what is known of it here. */

import { formatIpv4, parsePrefix4, sizeOf } from '../../core/addr.ts'
import type { HostState, PathInfo } from '../../core/api.ts'
import type { MemberRecord, MembersDocument } from '../cluster/members/document.ts'
import type { ClusterState } from '../cluster/members/state.ts'
import type { LinkView } from '../links/types.ts'
import type { PathTable } from '../paths/table.ts'
import type { HostSummary, Registry } from '../registry/registry.ts'
import type { Version } from '../registry/table.ts'
import type { Alarm } from '../replication/alarms.ts'
import type { Quarantine } from '../replication/deps.ts'
import type { ClusterAccess } from './cluster-access.ts'

export interface HostView {
  readonly hostId: number
  /** null: this gateway never received its table, or has forgotten it. */
  readonly state: HostState | null
  /** Since when, ISO 8601, UTC; null with `state`. */
  readonly since: string | null
  /** Why it is kept out and how that ends; null while it is not. */
  readonly quarantine: string | null
  /** What a person has to act on besides, e.g. another machine that calls itself this host. */
  readonly alarms: readonly Alarm[]
  /** null: this gateway never received its table. */
  readonly version: Version | null
  readonly assignments: number
  readonly path: PathInfo | null
  /** null: this host is in no cluster. */
  readonly member: MemberView | null
  /** null for this host, and for those that are no members. */
  readonly link: LinkView | null
}

interface MemberView extends Omit<MemberRecord, 'hostId'> {
  /** `10.100.2.0/24` */
  readonly slice: string
}

const sliceText = (
  { supernet, hostPrefix }: Pick<MembersDocument, 'supernet' | 'hostPrefix'>,
  hostId: number,
): string => `${formatIpv4((parsePrefix4(supernet)?.base ?? 0) + hostId * sizeOf(hostPrefix))}/${hostPrefix}`

/** In order of hostId. */
export function hostViews(cluster: ClusterAccess, registry: Registry, paths: PathTable): readonly HostView[] {
  const tables = new Map(registry.hosts().map((h) => [h.hostId, h]))
  const members = new Map(cluster.members().map((m) => [m.hostId, m.view]))
  const alarms = cluster.alarms()
  const ids = [...new Set([...tables.keys(), ...members.keys()])].sort((a, b) => a - b)
  return ids.map((hostId) => ({
    hostId,
    ...freshness(tables.get(hostId), cluster.quarantineOf(hostId)),
    alarms: alarms.filter((a) => a.hostId === hostId),
    version: tables.get(hostId)?.version ?? null,
    assignments: tables.get(hostId)?.assignments ?? 0,
    path: paths.get(hostId) ?? null,
    member: members.get(hostId) ?? null,
    link: cluster.link(hostId) ?? null,
  }))
}

function freshness(
  table: HostSummary | undefined,
  quarantine: Quarantine | undefined,
): Pick<HostView, 'state' | 'since' | 'quarantine'> {
  if (quarantine !== undefined) {
    return { state: 'quarantined', since: quarantine.since, quarantine: quarantine.reason }
  }
  return { state: table?.freshness ?? null, since: table?.since ?? null, quarantine: null }
}

export interface ListedMember {
  readonly hostId: number
  readonly view: MemberView
}

export const listedMembers = (state: ClusterState): ListedMember[] =>
  state.document.members.map((member) => {
    const { hostId, ...rest } = member
    const slice = sliceText(state.document, hostId)
    return { hostId, view: { ...rest, endpoints: state.endpointsOf(member), slice } }
  })
