/** Puts the cluster into a gateway that starts, where this host is in one. */

import { FlatnetError } from '../../core/errors.ts'
import { Cluster, type ClusterDeps } from './cluster.ts'
import { ClusterFiles } from './identity/files.ts'

/**
 * A cluster that cannot be used leaves a gateway for this host alone: its containers are served, and what has to be
 * done is in the log, in `GET /v1/status` and in the answer to whoever joins again.
 * @returns undefined without a cluster; otherwise it is started and the caller stops it
 * @throws {FlatnetError} ERR_FLATNET_IO: the port for peers is taken
 */
export async function openCluster(deps: ClusterDeps): Promise<Cluster | undefined> {
  const files = new ClusterFiles(deps.conf.dataDir)
  if (!files.isComplete) return undefined
  let cluster: Cluster
  try {
    cluster = new Cluster(deps, files)
  } catch (err) {
    if (!(err instanceof FlatnetError)) throw err
    deps.log.error({ err }, 'cluster could not be used, peers are left alone')
    return undefined
  }
  await cluster.start()
  return cluster
}
