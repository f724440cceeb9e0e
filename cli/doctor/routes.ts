/** Doctor, addresses: routes and VPNs that overlap the supernet, the bridge's address, and MTUs. */

import type { NebulaConf } from '../../conf/nebula.ts'
import { contains, formatPrefix, type Prefix4, parseCidr4, parseIpv4, prefixBase } from '../../core/addr.ts'
import { overlapping } from '../../ipam/choose/overlaps.ts'
import { type Host, runJson } from '../host/host.ts'
import { bridgeCidr, type FlatnetNetwork } from '../host/networks.ts'
import { type Finding, fail, hostCheck, ok, warn } from './check.ts'

interface Route {
  readonly dst: string
  readonly dev?: string
  /** The next hop. */
  readonly gateway?: string
  readonly type?: string
  readonly protocol?: string
}

interface Link {
  readonly ifname: string
  readonly mtu: number
  readonly kind?: string
  /** CIDR strings. */
  readonly addresses: readonly string[]
}

export interface RouteFacts {
  readonly networks: readonly FlatnetNetwork[]
  /** undefined without iproute2. */
  readonly routes: readonly Route[] | undefined
  readonly links: readonly Link[]
}

export function gatherRoutes(host: Host, networks: readonly FlatnetNetwork[]): RouteFacts {
  // All tables: Tailscale and wg-quick keep their routes out of the main one.
  const routes = runJson<Route[]>(host, 'ip', '-j', '-4', 'route', 'show', 'table', 'all')
  // biome-ignore lint/suspicious/noExplicitAny: JSON of iproute2
  const links = runJson<any[]>(host, 'ip', '-j', '-d', 'addr', 'show') ?? []
  return {
    networks,
    routes,
    links: links.map((l) => ({
      ifname: l.ifname,
      mtu: l.mtu,
      kind: l.linkinfo?.info_kind,
      addresses: (l.addr_info ?? [])
        .filter((a: { family: string }) => a.family === 'inet')
        .map((a: { local: string; prefixlen: number }) => `${a.local}/${a.prefixlen}`),
    })),
  }
}

/** The overlay's own routes to the other hosts' slices (docs/architecture/dataplane.md#routes). */
export const OUR_DEVICES = ['flatnet-gw', 'flatnet-p2p', 'flatnet-nebula']
/**
 * Of the gateway's own routes, kernel/peer-routes.ts: here that of the one without a device, which guards the supernet.
 */
const OUR_PROTOCOL = '247'

function vpnOf(dev: string): string {
  if (/^(tailscale|ts)\d/.test(dev)) return ' (Tailscale)'
  if (/^wg/.test(dev)) return ' (WireGuard)'
  if (/^(tun|tap|ppp|utun|nebula|zt|vpn)/.test(dev)) return ' (a VPN)'
  if (/^(docker|br-)/.test(dev)) return ' (Docker)'
  if (/^(podman|cni)/.test(dev)) return ' (Podman)'
  return ''
}

/** `10.0.0.0/8` or one address; undefined for `default` and for IPv6. */
function prefixOf(dst: string): Prefix4 | undefined {
  const cidr = parseCidr4(dst.includes('/') ? dst : `${dst}/32`)
  return cidr && { base: prefixBase(cidr.ip, cidr.prefixLen), prefixLen: cidr.prefixLen }
}

const describe = ({ dst, dev, type }: Route): string =>
  dev === undefined ? `${dst} (${type ?? 'route'})` : `${dst} dev ${dev}${vpnOf(dev)}`

/** Foreign routes. A VPN for all traffic routes the two halves of the Internet, which claims no one network. */
export function foreignRoutes(f: RouteFacts, ...bridges: string[]): { name: string; prefix: Prefix4 }[] {
  return (f.routes ?? []).flatMap((r) => {
    const prefix = prefixOf(r.dst)
    if (prefix === undefined || prefix.prefixLen < 2 || r.type === 'broadcast') return []
    if (r.protocol === OUR_PROTOCOL) return []
    if (r.dev !== undefined && [...bridges, ...OUR_DEVICES].includes(r.dev)) return []
    return [{ name: describe(r), prefix }]
  })
}

function judgeOverlap(f: RouteFacts, n: FlatnetNetwork): Finding {
  const supernet = formatPrefix(n.conf.ipam.supernet)
  const foreign = foreignRoutes(f, n.conf.bridge)
  const clash = [...new Set(overlapping(n.conf.ipam.supernet, foreign).map((r) => r.name))]
  if (clash.length === 0) return ok('route-overlap', `no other route leads into ${supernet}`)
  const more = clash.length > 4 ? ` and ${clash.length - 4} more` : ''
  return fail(
    'route-overlap',
    `${supernet} of ${n.name} overlaps ${clash.slice(0, 4).join(', ')}${more}`,
    'the longer prefix wins: either containers or what that route leads to cannot be reached',
    `choose a supernet that is free on every host and VPN: flatnet install --supernet ${freeSupernet(foreign)} ` +
      '(before the first container runs; every host of a cluster has the same)',
  )
}

/** The first 10.x.0.0/16 that no route of this host uses. */
function freeSupernet(foreign: readonly { name: string; prefix: Prefix4 }[]): string {
  for (let octet = 100; octet < 255; octet++) {
    const prefix = { base: 0x0a000000 + octet * 0x10000, prefixLen: 16 }
    if (overlapping(prefix, foreign).length === 0) return formatPrefix(prefix)
  }
  return '172.30.0.0/16'
}

/** The network between hosts must not lie inside the supernet: every host would dial itself. */
function judgeUnderlay(f: RouteFacts, n: FlatnetNetwork): Finding {
  const { supernet } = n.conf.ipam
  const isInside = (address = ''): boolean => contains(supernet, parseIpv4(address) ?? -1)
  const own = f.links
    .filter(({ ifname }) => ![n.conf.bridge, ...OUR_DEVICES].includes(ifname))
    .flatMap((l) => l.addresses.filter((a) => isInside(a.split('/')[0])).map((a) => `${a} of ${l.ifname}`))
  const hops = (f.routes ?? []).filter((r) => r.dst === 'default' && isInside(r.gateway))
  const inside = [...own, ...hops.map((r) => `the default route by ${r.gateway}`)]
  if (inside.length === 0)
    return ok('underlay', `this host's own network is outside of ${formatPrefix(supernet)}`)
  return fail(
    'underlay',
    `${inside.join(', ')} lies inside ${formatPrefix(supernet)} of ${n.name}`,
    'other hosts cannot dial this one, and packets to the Internet or the LAN may go to a container instead',
    'another supernet on every host: flatnet install --supernet ' +
      `${freeSupernet(foreignRoutes(f, n.conf.bridge))}; or another address for this host`,
  )
}

function judgeBridge(f: RouteFacts, n: FlatnetNetwork): Finding[] {
  if (n.conf.role !== 'plugin' || n.slice === undefined) return []
  const link = f.links.find((l) => l.ifname === n.conf.bridge)
  const want = bridgeCidr(n.slice)
  if (link === undefined)
    return [ok('bridge', `${n.conf.bridge} does not exist yet; the first container makes it`)]
  if (link.kind !== 'bridge') {
    return [
      fail(
        'bridge',
        `${n.conf.bridge} exists and is no bridge (${link.kind ?? 'a plain device'})`,
        'no container can be attached to it',
        `ip link del ${n.conf.bridge}, or write another name as "bridge" in ${n.file}`,
      ),
    ]
  }
  const others = link.addresses.filter((a) => a !== want)
  if (others.length > 0) {
    return [
      fail(
        'bridge',
        `${n.conf.bridge} has ${others.join(', ')}; it should have ${want} only`,
        'it was made for another slice, and containers would get a next hop that does not answer',
        `stop the containers of the network, then: ip link del ${n.conf.bridge} (the next start makes it anew)`,
      ),
    ]
  }
  const state = link.addresses.includes(want)
    ? `has ${want}`
    : 'has no address yet; the next container gives it one'
  return [ok('bridge', `${n.conf.bridge} ${state}`), ...judgeMtu(f, n, link)]
}

function judgeMtu(f: RouteFacts, n: FlatnetNetwork, bridge: Link): Finding[] {
  const dev = f.routes?.find((r) => r.dst === 'default' && r.dev !== undefined)?.dev
  const uplink = f.links.find((l) => l.ifname === dev)
  if (uplink === undefined) return []
  if (bridge.mtu <= uplink.mtu)
    return [ok('mtu', `${bridge.ifname} ${bridge.mtu}, uplink ${uplink.ifname} ${uplink.mtu}`)]
  return [
    warn(
      'mtu',
      `${bridge.ifname} has MTU ${bridge.mtu}, the uplink ${uplink.ifname} only ${uplink.mtu}`,
      'large packets are dropped on the way out where ICMP is filtered: TLS handshakes and downloads hang',
      `write "mtu": 0 (follow the uplink) in ${n.file} and restart the containers`,
    ),
  ]
}

export function judgeRoutes(f: RouteFacts): Finding[] {
  if (f.routes === undefined) {
    return [
      warn('route-overlap', 'ip cannot list the routes', 'overlaps stay unseen', 'apt-get install iproute2'),
    ]
  }
  return f.networks.flatMap((n) => [judgeOverlap(f, n), judgeUnderlay(f, n), ...judgeBridge(f, n)])
}

/** The gateway puts its own routes before those of a Nebula that it uses. */
function withoutCarrier(f: RouteFacts, nebula: NebulaConf | undefined): RouteFacts {
  if (nebula?.enabled !== true || nebula.device === undefined || f.routes === undefined) return f
  return { ...f, routes: f.routes.filter(({ dev }) => dev !== nebula.device) }
}

export const check = hostCheck({
  name: 'routes',
  gather: ({ host, places }) =>
    withoutCarrier(gatherRoutes(host, places.networks), places.conf?.paths.nebula),
  judge: judgeRoutes,
})
