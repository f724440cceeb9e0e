/** The TUN device as a network interface: its sysctls, MTU and address, and its end. */

import { AF_INET, addrAddRequest, addrDelRequest, addrList } from 'netlink-ts/route/addr.ts'
import { linkByName, linkDelRequest, linkSetRequest } from 'netlink-ts/route/link.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { type Ipv4, ipv4Bytes } from '../core/addr.ts'
import { FlatnetError } from '../core/errors.ts'
import { sysctlEnsure, sysctlGet } from './sysctl.ts'

/** The part of TunOptions that is the interface's. */
interface TunLink {
  readonly ifname: string
  readonly mtu: number
  readonly address?: Ipv4
  readonly txQueueLen?: number
}

/** Sets it up and brings it up. @returns the index */
export function configureTun({ ifname, mtu, address, txQueueLen = 500 }: TunLink): number {
  // Before it goes up: the kernel would send router solicitations of its own into the tunnel.
  const noIpv6 = `net/ipv6/conf/${ifname}/disable_ipv6`
  if (sysctlGet(noIpv6) !== undefined) sysctlEnsure(noIpv6, '1', ['0'])
  // Loose: while the paths of the two directions differ, strict filtering loses every packet
  // (docs/architecture/dataplane.md#reverse-path).
  sysctlEnsure(`net/ipv4/conf/${ifname}/rp_filter`, '2', ['0'])
  using route = NetlinkSocket.open(NETLINK_ROUTE)
  route.execute(linkSetRequest({ name: ifname, mtu, txQueueLen, up: true }))
  const link = linkByName(route, ifname)
  if (link === undefined) throw new FlatnetError('ERR_FLATNET_KERNEL', `${ifname} is gone again`)
  if (address !== undefined) ensureAddress(route, link.index, address)
  return link.index
}

/** Makes it the only one: a device of an earlier membership may bear another host's. */
function ensureAddress(route: NetlinkSocket, index: number, address: Ipv4): void {
  const of = (bytes: Uint8Array, prefixLen: number) => ({ index, family: AF_INET, address: bytes, prefixLen })
  const wanted = ipv4Bytes(address)
  const present = addrList(route, { index, family: AF_INET })
  for (const { address: other, prefixLen } of present)
    if (Buffer.compare(other, wanted) !== 0) route.execute(addrDelRequest(of(other, prefixLen)))
  if (present.some((a) => Buffer.compare(a.address, wanted) === 0)) return
  route.execute(addrAddRequest(of(wanted, 32)))
}

export function isTun(ifname: string): boolean {
  using route = NetlinkSocket.open(NETLINK_ROUTE)
  return linkByName(route, ifname)?.kind === 'tun'
}

/** Deletes the device and with it all routes over it. @returns whether there was one */
export function deleteTun(ifname: string): boolean {
  using route = NetlinkSocket.open(NETLINK_ROUTE)
  const link = linkByName(route, ifname)
  if (link?.kind !== 'tun') return false
  route.execute(linkDelRequest({ index: link.index }))
  return true
}
