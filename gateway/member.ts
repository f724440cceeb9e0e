/** What the gateway of a host in a cluster has besides: peers, the data plane and the shared registry. A host alone does not load it, nor TLS. */

import type { Clock } from '../core/clock.ts'
import type { Assembly } from './assemble.ts'
import { openCluster } from './cluster/open.ts'
import { openDataPlane } from './dataplane/dataplane.ts'
import { type ShareDeps, shareRegistry } from './share.ts'

interface MemberDeps {
  readonly clock: Clock
  readonly stored: ShareDeps['stored']
  readonly version: string | undefined
}

/**
 * @param opened what is closed in the end, in reverse order
 * @returns false where the cluster cannot be used; then this host is alone
 */
export async function openMember(
  deps: Assembly,
  opened: AsyncDisposableStack,
  { clock, stored, version = '' }: MemberDeps,
): Promise<boolean> {
  const cluster = await openCluster({ ...deps, clock, version })
  if (cluster === undefined) return false
  opened.defer(() => cluster.stop())
  deps.setCluster(cluster)
  const dataplane = openDataPlane({ ...deps, clock, cluster })
  opened.defer(() => dataplane.close())
  deps.setDataPlane(dataplane)
  const sharing = shareRegistry({ ...deps, clock, cluster, stored, dataplane })
  opened.defer(() => sharing.stop())
  deps.setSharing(sharing)
  return true
}
