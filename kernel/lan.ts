/** The links by which this host is on a LAN with others, each with the address that they know it by. */

import type { Reply } from 'netlink-ts/message.ts'
import { type Addr, addrFrom, addrList } from 'netlink-ts/route/addr.ts'
import { type Link, linkList } from 'netlink-ts/route/link.ts'
import { linkFrom } from 'netlink-ts/route/linkmsg.ts'
import { type Route, RT_TABLE_MAIN, routeList } from 'netlink-ts/route/route.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { formatIpv4, ipv4FromBytes } from '../core/addr.ts'
import {
  changeOf,
  IFF_RUNNING,
  KernelWatch,
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_NEWLINK,
  reachingLinks,
} from './underlay.ts'

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

export interface LanChanges {
  /** Links, addresses or routes. */
  readonly hasChanged: boolean
  /** Indices of links that were down, or without an address, also where all is as before; `all`: any may have been. */
  readonly interrupted: ReadonlySet<number> | 'all'
}

/** Pure. @returns the index of a link that its network cannot reach this host by, as of this announcement */
export function interruptedBy(reply: Reply): number | undefined {
  const { type } = reply.header
  if (type === RTM_NEWLINK || type === RTM_DELLINK) {
    const { flags, index } = linkFrom(reply)
    return type === RTM_DELLINK || (flags & IFF_RUNNING) === 0 ? index : undefined
  }
  if (type !== RTM_DELADDR) return undefined
  const { family, flags, index } = addrFrom(reply)
  return family === AF_INET && (flags & IFA_F_SECONDARY) === 0 ? index : undefined
}

/** Notices that links, addresses or routes changed. */
export class LanWatch {
  readonly #kernel = new KernelWatch()

  /** Since it was asked last. */
  changes(): LanChanges {
    const replies = this.#kernel.replies()
    if (replies === undefined) return { hasChanged: true, interrupted: 'all' }
    return {
      hasChanged: replies.some((reply) => changeOf(reply, undefined).isUnderlay),
      interrupted: new Set(replies.flatMap((reply) => interruptedBy(reply) ?? [])),
    }
  }

  links(): LanLink[] {
    return readLan()
  }

  close(): void {
    this.#kernel.close()
  }
}
