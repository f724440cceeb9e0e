/** The MTU of this host's way out: what containers and the tunnel get when `mtu` is 0. */

import { linkMtu } from 'netlink-ts/route/ifreq.ts'
import { routeGet } from 'netlink-ts/route/route.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'

/** include/uapi/linux/if.h. */
const IFF_LOOPBACK = 0x8
/** ETH_MAX_MTU, the most that veth and bridge take. */
const MAX_MTU = 65_535
/** Ethernet's, for a host without a default route. */
const FALLBACK_MTU = 1_500
/** TEST-NET-1 (RFC 5737): on no host's own network, so its route is the default one. A lookup sends nothing. */
const FAR_AWAY = Uint8Array.of(192, 0, 2, 1)

export function uplinkMtu(host: NetlinkSocket): number {
  const route = routeGet(host, FAR_AWAY)
  const link = route?.type === 'unicast' && route.oif !== undefined ? linkMtu(host, route.oif) : undefined
  // Loopback (65536) is no way out, whatever the routes say.
  return link === undefined || (link.flags & IFF_LOOPBACK) !== 0 ? FALLBACK_MTU : Math.min(link.mtu, MAX_MTU)
}
