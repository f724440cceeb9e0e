/** Finds the router of this host's IPv4 default route, and the address that this host has there. */

import { linkList } from 'netlink-ts/route/link.ts'
import { routeGet } from 'netlink-ts/route/route.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { isOwnOrTunnel } from './underlay.ts'

/** TEST-NET-3 (RFC 5737): on no host's own network, so its route is the default one. A lookup sends nothing. */
const FAR_AWAY = Uint8Array.of(203, 0, 113, 1)

export interface DefaultGateway {
  readonly gateway: string
  readonly ownAddress: string
}

/** `problem`: there is no router, in words. */
export function defaultGateway(): DefaultGateway | { readonly problem: string } {
  using host = NetlinkSocket.open(NETLINK_ROUTE)
  const route = routeGet(host, FAR_AWAY)
  if (route?.type !== 'unicast' || route.gateway === undefined || route.src === undefined)
    return { problem: 'this host has no default route by a router' }
  const link = linkList(host).find(({ index }) => index === route.oif)
  if (link === undefined || isOwnOrTunnel(link))
    return { problem: 'the default route leads into a VPN or a tunnel' }
  // RTA_VIA, an IPv6 router for IPv4, is none that these protocols can be spoken with.
  if (route.gateway.byteLength !== 4)
    return { problem: 'the router of the default route has no IPv4 address' }
  return { gateway: route.gateway.join('.'), ownAddress: route.src.join('.') }
}
