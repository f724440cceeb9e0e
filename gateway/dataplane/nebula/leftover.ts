/** Takes away what Nebula leaves in the kernel, and the process of a gateway that was killed. */

import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import type { Log } from '../../../core/log.ts'
import { ensureCarrier } from '../../../kernel/carriers.ts'
import { barriersEnsure, carrierRoutesDel } from '../../../kernel/peer-routes.ts'
import { endLeftover } from './launch.ts'

/** Idempotent. @param record `process` of the files */
export async function cleanUp(record: string, log: Log): Promise<void> {
  try {
    using route = NetlinkSocket.open(NETLINK_ROUTE)
    // Packets go by the gateway path before the device goes.
    carrierRoutesDel(route)
    const pid = await endLeftover(record)
    if (pid !== undefined) log.info({ pid }, 'nebula of a gateway that was killed has ended')
    barriersEnsure(route, [])
    ensureCarrier(undefined)
  } catch (err) {
    log.warn({ err }, 'what nebula left could not be removed')
  }
}
