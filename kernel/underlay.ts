/**
 * What this host has to reach other hosts by: links, addresses and routes that are not Flatnet's own, and their
 * changes.
 */

import { SyscallError } from 'netlink-ts/errors.ts'
import type { Reply } from 'netlink-ts/message.ts'
import { type Addr, addrFrom, addrList } from 'netlink-ts/route/addr.ts'
import { type Link, linkList } from 'netlink-ts/route/link.ts'
import { linkFrom } from 'netlink-ts/route/linkmsg.ts'
import { type Route, RT_TABLE_MAIN, routeFrom, routeList } from 'netlink-ts/route/route.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'

/** RTNLGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV6_IFADDR, IPV6_ROUTE. include/uapi/linux/rtnetlink.h. */
const GROUPS = [1, 5, 7, 9, 11] as const
/** RTM_NEWLINK, DELLINK, NEWADDR, DELADDR, NEWROUTE, DELROUTE. */
export const RTM_NEWLINK = 16
export const RTM_DELLINK = 17
const RTM_NEWADDR = 20
export const RTM_DELADDR = 21
const RTM_NEWROUTE = 24
const RTM_DELROUTE = 25
/** include/uapi/linux/if.h and if_addr.h. */
const IFF_LOOPBACK = 0x8
export const IFF_RUNNING = 0x40
const IFA_F_TENTATIVE = 0x40
const IFA_F_DEPRECATED = 0x20
const AF_INET = 2
const OWN_NAME = /^(?:flatnet|fn)/
/** IFLA_INFO_KIND of VPNs and overlays. ppp is none of them: DSL and mobile links are of this kind. */
const TUNNELS: ReadonlySet<string> = new Set(
  'tun wireguard ovpn ipip sit gre gretap ip6gre ip6gretap ip6tnl vti vti6 xfrm vxlan geneve'.split(' '),
)

/** Links of Flatnet, of VPNs and of other overlays: what goes there does not go by this host's own network. Pure. */
export const isOwnOrTunnel = ({ name, kind = '' }: Pick<Link, 'name' | 'kind'>): boolean =>
  OWN_NAME.test(name) || TUNNELS.has(kind)

/** Pure: what matters of it, as text to compare. */
export interface Underlay {
  readonly links: readonly string[]
  readonly addresses: readonly string[]
  readonly routes: readonly string[]
  /** Networks of its addresses: what is in them is LAN. */
  readonly networks: readonly { readonly address: Uint8Array; readonly prefixLen: number }[]
  /**
   * Addresses at which others may reach this host by UDP: none of a tunnel, where a direct path would only seem direct
   * (netbird#3924), and none that is link-local or about to expire.
   */
  readonly hosts: readonly Uint8Array[]
}

/** Links that reach other hosts, and addresses that are certain. */
interface Reaching {
  readonly links: readonly Link[]
  readonly addrs: readonly Addr[]
}

/**
 * Leaves out what comes and goes with containers: Flatnet's own links, ports of bridges, bridges that no default route
 * goes over, and links that no other host is reached by, as a container's end is on its way there. Pure.
 */
export function reachingLinks(
  links: readonly Link[],
  addrs: readonly Addr[],
  routes: readonly Route[],
): Reaching {
  const defaults = new Set(routes.flatMap(({ dst, oif }) => (dst === undefined ? [oif] : [])))
  const certain = addrs.filter(({ flags }) => (flags & IFA_F_TENTATIVE) === 0)
  const reaching = new Set([
    ...defaults,
    ...certain.filter((a) => !isLinkLocal(a.address)).map((a) => a.index),
  ])
  const used = links.filter(({ flags, index, kind, master, name }) => {
    if (OWN_NAME.test(name) || (flags & IFF_LOOPBACK) !== 0 || master !== undefined) return false
    if (!reaching.has(index)) return false
    return kind !== 'bridge' || defaults.has(index)
  })
  return { links: used, addrs: certain }
}

/** A refreshed lifetime, as routers announce it every few minutes, changes nothing here. */
export function underlayOf(
  links: readonly Link[],
  addrs: readonly Addr[],
  routes: readonly Route[],
): Underlay {
  const { links: used, addrs: certain } = reachingLinks(links, addrs, routes)
  const names = new Map(used.map(({ index, name }) => [index, name]))
  const own = certain.filter(({ index }) => names.has(index))
  const tunnels = new Set(used.flatMap(({ index, kind = '' }) => (TUNNELS.has(kind) ? [index] : [])))
  const text = (bytes: Uint8Array | undefined): string => bytes?.toHex() ?? '-'
  return {
    links: used.map(({ flags, name }) => `${name} ${flags & IFF_RUNNING ? 'up' : 'down'}`).sort(),
    addresses: own.map((a) => `${names.get(a.index)} ${text(a.address)}/${a.prefixLen}`).sort(),
    routes: routes
      .filter(({ oif, type }) => oif !== undefined && names.has(oif) && type === 'unicast')
      .map(
        (r) =>
          `${text(r.dst?.address)}/${r.dst?.prefixLen ?? 0} ${text(r.gateway)} ${names.get(r.oif ?? 0)} ${r.metric}`,
      )
      .sort(),
    networks: own.map(({ address, prefixLen }) => ({ address, prefixLen })),
    hosts: own
      .filter(({ index, flags }) => !tunnels.has(index) && (flags & IFA_F_DEPRECATED) === 0)
      .filter(({ address }) => !isLinkLocal(address) && !isSelfAssigned(address))
      .map(({ address }) => address),
  }
}

/** fe80::/10, RFC 4291 2.5.6: every link has one, and no endpoint of a host is one. */
const isLinkLocal = (address: Uint8Array): boolean =>
  address.byteLength === 16 && address[0] === 0xfe && ((address[1] ?? 0) & 0xc0) === 0x80

/** 169.254.0.0/16, RFC 3927: a link without DHCP has one, and may have nothing else. */
const isSelfAssigned = (address: Uint8Array): boolean =>
  address.byteLength === 4 && address[0] === 169 && address[1] === 254

/** @returns what changed, in words; undefined: nothing that matters */
export function underlayChange(before: Underlay, after: Underlay): string | undefined {
  const parts = (['links', 'addresses', 'routes'] as const).filter(
    (part) => before[part].join('\n') !== after[part].join('\n'),
  )
  return parts.length === 0 ? undefined : parts.join(', ')
}

export function readUnderlay(): Underlay {
  using route = NetlinkSocket.open(NETLINK_ROUTE)
  return underlayOf(linkList(route), addrList(route), routeList(route, { table: RT_TABLE_MAIN }))
}

/** What the kernel announced since the last look. */
export interface KernelChanges {
  /** The device was deleted, or set down. */
  readonly isDeviceGone: boolean
  /** A route over the device was deleted, or the device was set down and up again. */
  readonly isRouteGone: boolean
  /** Something else than Flatnet's own: `readUnderlay` tells what. */
  readonly isUnderlay: boolean
}

const NOTHING: KernelChanges = { isDeviceGone: false, isRouteGone: false, isUnderlay: false }

/** A netlink socket that hears of changes; for poll(2). */
export class KernelWatch {
  readonly #socket: NetlinkSocket

  constructor() {
    this.#socket = NetlinkSocket.open(NETLINK_ROUTE)
    for (const group of GROUPS) this.#socket.join(group)
  }

  get fd(): number {
    return this.#socket.fd
  }

  /** @param ifindex of the device of direct paths */
  read(ifindex: number | undefined): KernelChanges {
    const replies = this.replies()
    if (replies === undefined) return { isDeviceGone: false, isRouteGone: true, isUnderlay: true }
    return replies.reduce((all, reply) => merged(all, changeOf(reply, ifindex)), NOTHING)
  }

  /** @returns undefined: some of what happened is lost, and it may have been anything */
  replies(): readonly Reply[] | undefined {
    try {
      return this.#socket.notifications()
    } catch (err) {
      // ENOBUFS: so much happened that the kernel could not keep it.
      if (err instanceof SyscallError) return undefined
      throw err
    }
  }

  close(): void {
    this.#socket.close()
  }
}

const merged = (a: KernelChanges, b: KernelChanges): KernelChanges => ({
  isDeviceGone: a.isDeviceGone || b.isDeviceGone,
  isRouteGone: a.isRouteGone || b.isRouteGone,
  isUnderlay: a.isUnderlay || b.isUnderlay,
})

/** Pure. */
export function changeOf(reply: Reply, ifindex: number | undefined): KernelChanges {
  const { type } = reply.header
  if (type === RTM_NEWLINK || type === RTM_DELLINK) {
    const link = linkFrom(reply)
    const isDevice = link.index === ifindex
    return {
      isDeviceGone: isDevice && type === RTM_DELLINK,
      isRouteGone: isDevice,
      isUnderlay: !OWN_NAME.test(link.name),
    }
  }
  if (type === RTM_NEWADDR || type === RTM_DELADDR) {
    const isDevice = addrFrom(reply).index === ifindex
    return { isDeviceGone: false, isRouteGone: isDevice && type === RTM_DELADDR, isUnderlay: !isDevice }
  }
  if (type === RTM_NEWROUTE || type === RTM_DELROUTE) {
    const route = routeFrom(reply)
    const isDevice = route.oif === ifindex && route.family === AF_INET
    return {
      isDeviceGone: false,
      isRouteGone: isDevice && type === RTM_DELROUTE,
      isUnderlay: !isDevice && route.table === RT_TABLE_MAIN,
    }
  }
  return NOTHING
}
