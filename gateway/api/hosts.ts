/** What an operator does about a host. */

import type { ServerResponse } from 'node:http'
import { memberOf } from '../cluster/members/document.ts'
import type { Registry } from '../registry/registry.ts'
import { ApiProblem, sendJson } from './answer.ts'
import type { ClusterCallDeps } from './cluster.ts'

export interface HostCallDeps extends ClusterCallDeps {
  readonly registry: Registry
}

/** Ends the quarantine of a host on this gateway. `{ released: false }`: there was none. */
export function postRelease(deps: HostCallDeps, host: string, res: ServerResponse): void {
  if (!/^\d{1,5}$/.test(host)) {
    throw new ApiProblem('ERR_FLATNET_API_INVALID', 'the host must be a hostId, e.g. /v1/hosts/7/release')
  }
  const hostId = Number(host)
  const { document } = deps.cluster.demand().state
  if (memberOf(document, hostId) === undefined && deps.registry.version(hostId) === undefined) {
    throw new ApiProblem(
      'ERR_FLATNET_API_NOT_FOUND',
      `there is no host ${hostId} in this cluster: flatnet hosts lists them`,
    )
  }
  sendJson(res, 200, { hostId, released: deps.cluster.release(hostId) })
}
