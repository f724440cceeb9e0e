/** The paths as the API shows them, and what an operator does about one. */

import type { ServerResponse } from 'node:http'
import type { PathInfo, RetryReply, TierInfo } from '../../core/api.ts'
import type { PathTable } from '../paths/table.ts'
import type { Tiers } from '../paths/tiers.ts'
import { ApiProblem, sendJson } from './answer.ts'
import type { ClusterAccess } from './cluster-access.ts'

interface PathCallDeps {
  readonly paths: PathTable
  readonly cluster: Pick<ClusterAccess, 'nebula' | 'p2p' | 'retry'>
}

/** Figures of UDP change all the time, so they are read when they are asked for. */
function shown({ cluster }: PathCallDeps, path: PathInfo): PathInfo {
  const p2p = cluster.p2p(path.hostId)
  const nebula = cluster.nebula(path.hostId)
  return { ...path, ...(p2p !== undefined && { p2p }), ...(nebula !== undefined && { nebula }) }
}

export const listPaths = (deps: PathCallDeps): PathInfo[] => deps.paths.all().map((path) => shown(deps, path))

/** How each kind of path fares, since the gateway started. */
export const listTiers = ({
  paths,
  tiers,
}: {
  readonly paths: PathTable
  readonly tiers: Tiers
}): TierInfo[] => tiers.view(paths.all().map(({ tier }) => tier))

const noSuchHost = (): ApiProblem => new ApiProblem('ERR_FLATNET_API_NOT_FOUND', 'no such host is known')

/** @throws {ApiProblem} 404 */
export function pathOf(deps: PathCallDeps, host: string): PathInfo {
  const path = /^\d{1,5}$/.test(host) ? deps.paths.get(Number(host)) : undefined
  if (path === undefined) throw noSuchHost()
  return shown(deps, path)
}

/** @param host as in the path of the call; undefined: all */
export function postRetry({ cluster }: PathCallDeps, host: string | undefined, res: ServerResponse): void {
  const isHost = host === undefined || /^\d{1,5}$/.test(host)
  const retried = isHost ? cluster.retry(host === undefined ? undefined : Number(host)) : undefined
  if (retried === undefined) throw noSuchHost()
  sendJson(res, 202, { retried } satisfies RetryReply)
}
