/** Whether flatnet.yaml and the cluster's files speak of the same host. */

import type { DaemonConf } from '../../../conf/daemon.ts'
import { formatPrefix } from '../../../core/addr.ts'
import { FlatnetError } from '../../../core/errors.ts'
import type { ClusterState } from '../members/state.ts'

/**
 * Two configurations that disagree would have containers with addresses of another host.
 * @throws {FlatnetError} ERR_FLATNET_CONFIG with every difference
 */
export function judgeConf(conf: DaemonConf, { identity, document }: ClusterState): void {
  const problems: string[] = []
  if (conf.hostId !== identity.hostId)
    problems.push(`hostId is ${conf.hostId} and the certificate is that of host ${identity.hostId}`)
  if (formatPrefix(conf.supernet) !== document.supernet)
    problems.push(`supernet is ${formatPrefix(conf.supernet)} and the cluster's ${document.supernet}`)
  if (conf.hostPrefix !== document.hostPrefix)
    problems.push(`hostPrefix is ${conf.hostPrefix} and the cluster's ${document.hostPrefix}`)
  if (problems.length === 0) return
  throw new FlatnetError(
    'ERR_FLATNET_CONFIG',
    `flatnet.yaml does not fit the cluster: ${problems.join('; ')}. Run flatnet join again, it ends what was begun`,
  )
}
