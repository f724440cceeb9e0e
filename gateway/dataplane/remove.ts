/** Takes away what a gateway that was in a cluster left in the kernel: device, routes, guard. */
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import type { Prefix4 } from '../../core/addr.ts'
import type { Log } from '../../core/log.ts'
import { hasSupernetGuard, supernetGuardDel } from '../../kernel/peer-routes.ts'
import { deleteUnusedTun } from '../../kernel/tun.ts'
import { isTun } from '../../kernel/tun-link.ts'
import { TUN_IFNAME } from './device.ts'

/** For a gateway that is in no cluster (any more). Another gateway's device, on the same host, is in use and stays. */
export function removeDataPlane(supernet: Prefix4, log: Log): void {
  try {
    const isRemoved = deleteUnusedTun(TUN_IFNAME)
    if (isRemoved) log.info({ ifname: TUN_IFNAME }, 'tunnel device of an earlier membership was removed')
    else if (isTun(TUN_IFNAME)) return
    using route = NetlinkSocket.open(NETLINK_ROUTE)
    if (hasSupernetGuard(route, supernet)) supernetGuardDel(route, supernet)
  } catch (err) {
    log.warn({ err }, 'tunnel device of an earlier membership could not be removed')
  }
}
