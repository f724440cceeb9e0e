/** The links by which this host is on a LAN with others, each with the address that they know it by. */

import { type Addr, addrList } from 'netlink-ts/route/addr.ts'
import { type Link, linkList } from 'netlink-ts/route/link.ts'
import { type Route, RT_TABLE_MAIN, routeList } from 'netlink-ts/route/route.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { formatIpv4, ipv4FromBytes } from '../core/addr.ts'
import { KernelWatch, reachingLinks } from './underlay.ts'

export interface LanLink {
  readonly ifname: string
  readonly index: number
  /** IPv4, its first. */
  readonly address: string
  readonly prefixLen: number
  /** All of IPv4. */
  readonly addresses: readonly string[]
}

/** include/uapi/linux/if.h. */
const IFF_UP = 0x1
const IFF_POINTOPOINT = 0x10
const IFF_RUNNING = 0x40
const IFF_MULTICAST = 0x1000
const AF_INET = 2
/** include/uapi/linux/if_addr.h: another address of a network that the link has one of already. */
const IFA_F_SECONDARY = 0x1

/** RFC 3927. */
const isLinkLocal = ({ address }: Addr): boolean => address[0] === 169 && address[1] === 254

/** Pure. In order of index. */
export function lanLinks(
  links: readonly Link[],
  addrs: readonly Addr[],
  routes: readonly Route[],
): LanLink[] {
  const reaching = reachingLinks(links, addrs, routes)
  return reaching.links
    .filter(({ flags }) => {
      const wanted = IFF_UP | IFF_RUNNING | IFF_MULTICAST
      return (flags & (wanted | IFF_POINTOPOINT)) === wanted
    })
    .sort((a, b) => a.index - b.index)
    .flatMap(({ index, name }) => {
      const own = reaching.addrs.filter((a) => a.index === index && a.family === AF_INET)
      const primary = own.filter((a) => (a.flags & IFA_F_SECONDARY) === 0)
      // The kernel lists 169.254.x.x, of link scope, before the address that all others use.
      const first = primary.find((a) => a.scope === 0 && !isLinkLocal(a)) ?? primary[0]
      if (first === undefined) return []
      const addresses = own.map((a) => formatIpv4(ipv4FromBytes(a.address)))
      const address = formatIpv4(ipv4FromBytes(first.address))
      return [{ ifname: name, index, address, prefixLen: first.prefixLen, addresses }]
    })
}

function readLan(): LanLink[] {
  using route = NetlinkSocket.open(NETLINK_ROUTE)
  return lanLinks(linkList(route), addrList(route), routeList(route, { table: RT_TABLE_MAIN }))
}

/** Notices that links, addresses or routes changed. */
export class LanWatch {
  readonly #kernel = new KernelWatch()

  /** Since it was asked last. */
  hasChanged(): boolean {
    return this.#kernel.read(undefined).isUnderlay
  }

  links(): LanLink[] {
    return readLan()
  }

  close(): void {
    this.#kernel.close()
  }
}
