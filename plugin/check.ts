/**
 * CHECK: is what ADD made still there? Only our own objects; what later plugins changed is theirs
 * (docs/architecture/cni.md#k1 to #k6).
 */

import { AF_INET, addrList } from 'netlink-ts/route/addr.ts'
import { linkIndex } from 'netlink-ts/route/ifreq.ts'
import { type Link, linkByName } from 'netlink-ts/route/link.ts'
import { type Route, routeList } from 'netlink-ts/route/route.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { formatIpv4, formatPrefix, ipOfCidr, ipv4FromBytes, parseCidr4, parseIpv4 } from '../core/addr.ts'
import { FlatnetError } from '../core/errors.ts'
import { find } from '../ipam/ipam.ts'
import type { Lease } from '../ipam/lease.ts'
import { hasIpv6 } from '../kernel/bridge.ts'
import { isArmed, ownGroup } from '../kernel/guard.ts'
import { Netfilter } from '../kernel/netfilter.ts'
import { missingPorts } from '../kernel/ports/publish.ts'
import { isWithoutBridge, rulesState } from '../kernel/rules.ts'
import { ipv6Faults, needsLoopback, sysctlFaults } from '../kernel/sysctl.ts'
import type { Context } from './context.ts'
import { storeOf } from './lease-store.ts'
import { enterable } from './netns.ts'
import { rulesOf } from './network-rules.ts'
import { type CniResult, readPrevResult } from './result.ts'

/** @throws {FlatnetError} with everything that is missing or different, each named */
export function check(context: Context): void {
  const { attachment, conf, env } = context
  const prev = readPrevResult(conf.prevResult)
  if (prev === undefined) throw new FlatnetError('ERR_FLATNET_CONFIG', 'required prevResult missing')
  using netns = enterable(env.netns)
  using host = NetlinkSocket.open(NETLINK_ROUTE)
  const lease = find(storeOf(context, conf.role === 'plugin' ? host : undefined), attachment)
  if (lease === undefined) {
    throw new FlatnetError(
      'ERR_FLATNET_CONTAINER_UNKNOWN',
      `no lease of container ${attachment.containerId} for ${attachment.ifname}`,
    )
  }
  const problems = lists(prev, lease.ip) ? [] : [`prevResult does not list the leased address ${lease.ip}`]
  if (conf.role === 'plugin') {
    using container = NetlinkSocket.open(NETLINK_ROUTE, { netns: netns.fd })
    problems.push(...checkHost(context, host, lease), ...checkContainer(context, container, prev, lease))
    problems.push(...checkPorts(host, lease), ...checkSysctls(host, conf.bridge, lease))
  }
  const [first, ...rest] = problems
  if (first === undefined) return
  throw new FlatnetError('ERR_FLATNET_KERNEL', first, rest.length > 0 ? { details: rest.join('; ') } : {})
}

const lists = (result: CniResult, ip: string): boolean =>
  result.ips.some(({ address }) => ipOfCidr(address) === ip)

function checkHost(context: Context, host: NetlinkSocket, lease: Lease): string[] {
  const { conf, slice } = context
  const problems: string[] = []
  const bridge = linkByName(host, conf.bridge)
  if (bridge === undefined || bridge.kind !== 'bridge') problems.push(`bridge ${conf.bridge} is missing`)
  else if (!bridge.isUp) problems.push(`bridge ${conf.bridge} is down`)
  else if (!addresses(host, bridge).some((cidr) => parseCidr4(cidr)?.ip === slice?.bridge)) {
    problems.push(`bridge ${conf.bridge} has lost its address ${formatIpv4(slice?.bridge ?? 0)}`)
  }
  const port = linkByName(host, lease.hostIfname)
  // Not its MAC: udev may have changed it (plugins #805).
  if (port === undefined) problems.push(`host interface ${lease.hostIfname} is missing`)
  else if (port.master !== bridge?.index)
    problems.push(`host interface ${port.name} is no port of ${conf.bridge}`)
  else if (!port.isUp) problems.push(`host interface ${port.name} is down`)
  if (rulesState(rulesOf(context)) !== 'ready')
    problems.push('the nftables rules are missing; any ADD or the gateway restores them')
  else if (port !== undefined) problems.push(...checkGuard(context, lease, port))
  return problems
}

/**
 * A port without a group is of an older release, or of a time without antiSpoof: no container is worse off than then.
 */
function checkGuard({ conf }: Context, lease: Lease, { name, group }: Link): string[] {
  const ip = parseIpv4(lease.ip)
  if (!conf.antiSpoof || group === 0 || ip === undefined || lease.mac === '') return []
  if (group !== ip && group !== ownGroup(ip))
    return [`host interface ${name} has the group ${group}, not ${ip}: the gateway sets it back`]
  using netfilter = new Netfilter()
  if (isArmed(netfilter, { group, mac: lease.mac, ip }) || isWithoutBridge(netfilter.socket)) return []
  return [`the nftables rules do not know what ${name} may send: the gateway puts it back`]
}

const addresses = (socket: NetlinkSocket, link: Link): string[] =>
  addrList(socket, { index: link.index, family: AF_INET }).map(
    (a) => `${formatIpv4(ipv4FromBytes(a.address))}/${a.prefixLen}`,
  )

function checkContainer(context: Context, container: NetlinkSocket, prev: CniResult, lease: Lease): string[] {
  const { env } = context
  const link = linkByName(container, env.ifname)
  if (link === undefined) return [`interface ${env.ifname} is missing in ${env.netns}`]
  const problems: string[] = []
  if (link.kind !== 'veth') problems.push(`interface ${env.ifname} is ${link.kind ?? 'no veth'}`)
  if (!link.isUp) problems.push(`interface ${env.ifname} is down`)
  const own = prev.interfaces.find(
    (i) => i.name === env.ifname && i.sandbox !== undefined && i.sandbox !== '',
  )
  if (own === undefined) problems.push(`prevResult lists no interface ${env.ifname} with a sandbox`)
  else if (own.sandbox !== env.netns)
    problems.push(`prevResult has ${env.ifname} in ${own.sandbox}, not in ${env.netns}`)
  // prevResult's MAC, not the lease's: a later plugin (tuning) may have changed both the MAC and the result.
  else if (own.mac !== undefined && own.mac.toLowerCase() !== link.address) {
    problems.push(`interface ${env.ifname} has the MAC ${link.address}, not ${own.mac}`)
  }
  const present = addresses(container, link)
  if (!present.some((cidr) => ipOfCidr(cidr) === lease.ip)) {
    problems.push(
      `interface ${env.ifname} has lost its address ${lease.ip}; it has ${present.join(', ') || 'none'}`,
    )
  }
  return [
    ...problems,
    ...checkRoutes(context, prev, routeList(container, { family: AF_INET, oif: link.index })),
  ]
}

/**
 * Those routes of ours that the result still lists, by any next hop: a later plugin may have taken or changed some
 * (K3).
 */
function checkRoutes({ conf, slice }: Context, prev: CniResult, routes: readonly Route[]): string[] {
  if (slice === undefined) return []
  const wanted = [
    conf.isDefaultGateway ? { base: 0, prefixLen: 0 } : slice.supernet,
    ...conf.ipam.routes.map((r) => r.dst),
  ]
  const has = (base: number, prefixLen: number): boolean =>
    routes.some(({ dst }) =>
      dst === undefined
        ? prefixLen === 0
        : dst.prefixLen === prefixLen && ipv4FromBytes(dst.address) === base,
    )
  const listed = new Set(prev.routes.map((route) => route.dst))
  return wanted
    .filter((p) => listed.has(formatPrefix(p)) && !has(p.base, p.prefixLen))
    .map((p) => `the route to ${formatPrefix(p)} is missing`)
}

function checkPorts(host: NetlinkSocket, lease: Lease): string[] {
  const ports = lease.ports ?? []
  const ip = parseIpv4(lease.ip)
  if (ports.length === 0 || ip === undefined) return []
  return missingPorts(host, ports, ip, lease.hostIfname).map(
    (p) => `published port ${p.protocol} ${p.hostIP || '*'}:${p.hostPort} is missing`,
  )
}

/** Of the host only: those in the container are its own to change, or a later plugin's (K3). */
function checkSysctls(host: NetlinkSocket, bridge: string, { ports = [] }: Lease): string[] {
  const isGiven = (): boolean => hasIpv6(host, linkIndex(host, bridge) ?? 0)
  return [...sysctlFaults(bridge, needsLoopback(ports)), ...ipv6Faults(bridge, isGiven)].map(
    ({ key, value, wanted }) =>
      `sysctl ${key} is ${value}, not ${wanted} as ADD left it: set it back with "sysctl -w ${key}=${wanted}"`,
  )
}
