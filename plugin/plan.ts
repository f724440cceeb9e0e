/**
 * What ADD is going to make, decided before anything is made.
 *
 * Pure: configuration, slice and lease in, plan out.
 */

import type { RouteConf } from '../conf/ipam-section.ts'
import type { NetConf } from '../conf/netconf.ts'
import { formatIpv4, formatPrefix, type Ipv4, macOf, type Prefix4, parseIpv4 } from '../core/addr.ts'
import { type Attachment, formatAlias } from '../core/attachment.ts'
import { FlatnetError } from '../core/errors.ts'
import type { Slice } from '../ipam/choose/slice.ts'
import type { Lease } from '../ipam/lease.ts'
import type { BridgePlan } from './bridge.ts'
import type { CniResult, ResultRoute } from './result.ts'

export interface Plan extends BridgePlan {
  readonly hostIfname: string
  readonly hostMac: string
  readonly alias: string
  readonly ifname: string
  readonly mac: string
  readonly ip: Ipv4
  readonly hairpin: boolean
  /** Its port passes its own MAC and address alone. */
  readonly antiSpoof: boolean
  readonly routes: readonly (RouteConf & { readonly gw: Ipv4 })[]
}

const ANYWHERE: Prefix4 = { base: 0, prefixLen: 0 }

/**
 * The host end's MAC: nothing reads it, but it is set, so that udev's MACAddressPolicy leaves it alone
 * (plugins #805). `fe` keeps it above every container's in the bridge's lowest-MAC choice.
 */
const hostMacOf = (ip: Ipv4): string => `fe${macOf(ip).slice(2)}`

export const bridgePlanOf = (conf: NetConf, slice: Slice, mtu: number): BridgePlan => ({
  dataDir: conf.dataDir,
  bridge: conf.bridge,
  bridgeIp: slice.bridge,
  bridgeMac: macOf(slice.bridge),
  prefixLen: slice.prefix.prefixLen,
  mtu,
})

export function planOf(conf: NetConf, slice: Slice, lease: Lease, mtu: number): Plan {
  const ip = parseIpv4(lease.ip)
  if (ip === undefined) {
    throw new FlatnetError(
      'ERR_FLATNET_STORE',
      `the lease of ${lease.containerId} holds no address: ${lease.ip}`,
    )
  }
  const prefixLen = slice.prefix.prefixLen
  return {
    ...bridgePlanOf(conf, slice, mtu),
    hostIfname: lease.hostIfname,
    hostMac: hostMacOf(ip),
    alias: formatAlias(lease, `${lease.ip}/${prefixLen}`),
    ifname: lease.ifname,
    mac: lease.mac,
    ip,
    hairpin: conf.hairpinMode,
    antiSpoof: conf.antiSpoof,
    routes: routesOf(conf, slice),
  }
}

/** With a default route the rest of the supernet goes the same way; without it the supernet needs its own. */
function routesOf(conf: NetConf, slice: Slice): Plan['routes'] {
  const dst = conf.isDefaultGateway ? ANYWHERE : slice.supernet
  if (conf.ipam.routes.length === 0) return [{ dst, gw: slice.bridge }]
  const own = conf.ipam.routes.map((route) => ({ gw: slice.bridge, ...route }))
  const has = own.some((r) => r.dst.base === dst.base && r.dst.prefixLen === dst.prefixLen)
  return has ? own : [{ dst, gw: slice.bridge }, ...own]
}

const resultRoute = ({ dst, gw, ...rest }: Plan['routes'][number]): ResultRoute => ({
  dst: formatPrefix(dst),
  gw: formatIpv4(gw),
  ...rest,
})

/** The plan's result: bridge, host end, container end, in this order. An older bridge keeps its own MTU. */
export function resultOf(
  plan: Plan,
  bridge: { readonly address: string; readonly mtu: number },
  a: Attachment,
  netns: string,
  dns: CniResult['dns'],
): CniResult {
  const routes: ResultRoute[] = []
  for (const route of plan.routes) routes.push(resultRoute(route))
  return {
    interfaces: [
      { name: plan.bridge, mac: bridge.address, mtu: bridge.mtu },
      { name: plan.hostIfname, mac: plan.hostMac, mtu: plan.mtu },
      { name: a.ifname, mac: plan.mac, mtu: plan.mtu, sandbox: netns },
    ],
    ips: [
      {
        address: `${formatIpv4(plan.ip)}/${plan.prefixLen}`,
        gateway: formatIpv4(plan.bridgeIp),
        interface: 2,
      },
    ],
    routes,
    dns,
  }
}

/** The result of delegated IPAM: no interfaces, the caller makes them. */
export function ipamResultOf(conf: NetConf, slice: Slice, ip: string): CniResult {
  const gateway = formatIpv4(slice.bridge)
  return {
    interfaces: [],
    ips: [{ address: `${ip}/${slice.prefix.prefixLen}`, gateway }],
    routes: conf.ipam.routes.map((r) => resultRoute({ gw: slice.bridge, ...r })),
    dns: {},
  }
}
