/** Doctor, addresses: routes and VPNs that overlap the supernet, the bridge's own address, and MTUs. */
import { formatPrefix } from '../../../core/addr.ts'
import { type Host, runJson } from '../host.ts'
import { bridgeCidr, type FlatnetNetwork } from '../networks.ts'
import { cidrsOverlap } from '../ranges.ts'
import { type Check, fail, ok, warn } from './check.ts'

export interface Route {
  readonly dst: string
  readonly dev?: string
  readonly type?: string
}

export interface Link {
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

/** The overlay's own routes to the other hosts' slices (DESIGN 10). */
const OUR_DEVICES = ['flatnet-gw', 'flatnet-p2p']

function vpnOf(dev: string): string {
  if (/^(tailscale|ts)\d/.test(dev)) return ' (Tailscale)'
  if (/^wg/.test(dev)) return ' (WireGuard)'
  if (/^(tun|tap|ppp|utun|nebula|zt|vpn)/.test(dev)) return ' (a VPN)'
  if (/^(docker|br-)/.test(dev)) return ' (Docker)'
  if (/^(podman|cni)/.test(dev)) return ' (Podman)'
  return ''
}

function judgeOverlap(f: RouteFacts, n: FlatnetNetwork): Check {
  const supernet = formatPrefix(n.conf.ipam.supernet)
  const ours = [n.conf.bridge, ...OUR_DEVICES]
  const clash = (f.routes ?? []).filter(
    (r) =>
      r.dst !== 'default' &&
      r.dst !== '0.0.0.0/0' &&
      r.type !== 'broadcast' &&
      !(r.dev !== undefined && ours.includes(r.dev)) &&
      cidrsOverlap(r.dst, supernet),
  )
  // A VPN that takes everything says so with the two halves of the Internet, which is no claim on our network.
  const claims = clash.filter((r) => r.dst !== '0.0.0.0/1' && r.dst !== '128.0.0.0/1')
  if (claims.length === 0) return ok('route-overlap', `no other route leads into ${supernet}`)
  const named = claims
    .slice(0, 4)
    .map((r) => `${r.dst} ${r.dev === undefined ? (r.type ?? '') : `dev ${r.dev}${vpnOf(r.dev)}`}`)
  const more = claims.length > 4 ? ` and ${claims.length - 4} more` : ''
  return fail(
    'route-overlap',
    `${supernet} of ${n.name} overlaps ${named.join(', ')}${more}`,
    'the longer prefix wins: either containers or what that route leads to cannot be reached',
    `choose a supernet that is free on every host and VPN: flatnet install --supernet 10.${pickFree(f)}.0.0/16 ` +
      '(before the first container runs; every host of a cluster has the same)',
  )
}

/** A second octet of 10/8 that no route of this host uses. */
function pickFree(f: RouteFacts): number {
  const used = (octet: number): boolean =>
    (f.routes ?? []).some(
      (r) => /\./.test(r.dst) && !r.dst.endsWith('/1') && cidrsOverlap(r.dst, `10.${octet}.0.0/16`),
    )
  for (let octet = 100; octet < 255; octet++) if (!used(octet)) return octet
  return 99
}

function judgeBridge(f: RouteFacts, n: FlatnetNetwork): Check[] {
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
        'it was made for another slice, and containers would get a next hop that nobody answers for',
        `stop the containers of the network, then: ip link del ${n.conf.bridge} (the next start makes it anew)`,
      ),
    ]
  }
  const state = link.addresses.includes(want)
    ? `has ${want}`
    : 'has no address yet; the next container gives it one'
  return [ok('bridge', `${n.conf.bridge} ${state}`), ...judgeMtu(f, n, link)]
}

function judgeMtu(f: RouteFacts, n: FlatnetNetwork, bridge: Link): Check[] {
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

export function judgeRoutes(f: RouteFacts): Check[] {
  if (f.routes === undefined) {
    return [
      warn('route-overlap', 'ip cannot list the routes', 'overlaps stay unseen', 'apt-get install iproute2'),
    ]
  }
  return f.networks.flatMap((n) => [judgeOverlap(f, n), ...judgeBridge(f, n)])
}
