/** The MTU of the way out of this host: what containers get when the configuration says 0. */

import { linkByIndex } from 'netlink-ts/route/link.ts'
import { routeGet } from 'netlink-ts/route/route.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'

/** Ethernet's, for a host without a default route. */
const FALLBACK_MTU = 1_500
/** TEST-NET-1 (RFC 5737): on no host's own network, so its route is the default one. A lookup sends nothing. */
const FAR_AWAY = Uint8Array.of(192, 0, 2, 1)

export function uplinkMtu(host: NetlinkSocket): number {
  const oif = routeGet(host, FAR_AWAY)?.oif
  return (oif === undefined ? undefined : linkByIndex(host, oif)?.mtu) ?? FALLBACK_MTU
}
