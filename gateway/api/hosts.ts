/** What an operator does about a host. */

import type { ServerResponse } from 'node:http'
import type { Sharing } from '../sync/share.ts'
import { ApiProblem, sendJson } from './answer.ts'

export interface HostCallParts {
  /** undefined: this host is in no cluster. */
  readonly sharing: () => Sharing | undefined
}

/** Ends the quarantine of a host on this gateway. `{ released: false }`: there was none. */
export function postRelease({ sharing }: HostCallParts, host: string, res: ServerResponse): void {
  if (!/^\d{1,5}$/.test(host)) {
    throw new ApiProblem('ERR_FLATNET_API_INVALID', 'the host must be a hostId, e.g. /v1/hosts/7/release')
  }
  const released = sharing()?.sync.release(Number(host)) ?? false
  sendJson(res, 200, { hostId: Number(host), released })
}
