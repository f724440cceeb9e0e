/** What the gateway of a host in a cluster has besides: peers, the carrier and the shared registry. A host alone does not load it, nor TLS. */

import type { Clock } from '../core/clock.ts'
import type { Assembly } from './assemble.ts'
import { openCluster } from './cluster/open.ts'
import { openCarrier } from './dataplane/dataplane.ts'
import { type ShareParts, shareRegistry } from './share.ts'

interface MemberParts {
  readonly clock: Clock
  readonly stored: ShareParts['stored']
  readonly version: string | undefined
}

/**
 * @param opened what is closed in the end, in reverse order
 * @returns false where the cluster cannot be used; then this host is alone
 */
export async function openMember(
  parts: Assembly,
  opened: AsyncDisposableStack,
  { clock, stored, version = '' }: MemberParts,
): Promise<boolean> {
  const cluster = await openCluster({ ...parts, clock, version })
  if (cluster === undefined) return false
  opened.defer(() => cluster.stop())
  parts.setCluster(cluster)
  const carrier = openCarrier({ ...parts, clock, cluster })
  opened.defer(() => carrier.close())
  parts.setCarrier(carrier)
  const sharing = shareRegistry({ ...parts, clock, cluster, stored, carrier })
  opened.defer(() => sharing.stop())
  parts.setSharing(sharing)
  return true
}
