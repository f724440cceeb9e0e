/** The section `ipam` of a network configuration: the sizes of the slice, and routes. */

import {
  type Ipv4,
  overlaps,
  type Prefix4,
  parseCidr4,
  parseIpv4,
  parsePrefix4,
  prefixBase,
  sizeOf,
} from '../core/addr.ts'
import { isObject } from '../core/json.ts'
import { Reader } from './reader.ts'

export interface RouteConf {
  readonly dst: Prefix4
  /** Next hop; absent: the bridge address. */
  readonly gw?: number
  readonly mtu?: number
  readonly advmss?: number
  readonly priority?: number
  readonly table?: number
  readonly scope?: number
}

export interface IpamConf {
  readonly hostId: number
  readonly supernet: Prefix4
  /** Its length as far as it can be read; 0: not at all, and `supernet` is the default. */
  readonly supernetLen: number
  readonly hostPrefix: number
  readonly firstOffset: number
  readonly routes: readonly RouteConf[]
}

const IPAM_KEYS = ['type', 'hostId', 'supernet', 'hostPrefix', 'firstOffset', 'routes', 'dataDir']
const DEFAULT_SUPERNET = '10.100.0.0/16'
const ROUTE_KEYS = ['dst', 'gw', 'mtu', 'advmss', 'priority', 'table', 'scope']

export function readIpam(ipam: Reader): IpamConf {
  ipam.refuseUnknown(IPAM_KEYS)
  const supernet = ipam.parsed(
    'supernet',
    DEFAULT_SUPERNET,
    'must be a unicast IPv4 network without host bits, e.g. "10.100.0.0/16"',
    readSupernet,
  )
  const sizes = {
    ...(supernet === undefined ? meantSupernet(ipam) : { supernet, supernetLen: supernet.prefixLen }),
    hostPrefix: ipam.integer('hostPrefix', 24, 12, 30),
    hostId: readHostId(ipam),
    firstOffset: ipam.integer('firstOffset', 10, 2, 65_534),
  }
  const bridge = sizes.supernet.base + sizes.hostId * sizeOf(sizes.hostPrefix) + 1
  return { ...sizes, routes: readRoutes(ipam, bridge) }
}

/** In the place of a supernet that is refused: the network around it, by which the other sizes can be judged. */
function meantSupernet(ipam: Reader): Pick<IpamConf, 'supernet' | 'supernetLen'> {
  const value = ipam.get('supernet')
  const cidr = typeof value === 'string' ? parseCidr4(value) : undefined
  if (cidr === undefined || cidr.prefixLen === 0)
    return { supernet: { base: 0x0a640000, prefixLen: 16 }, supernetLen: 0 }
  const { prefixLen } = cidr
  return { supernet: { base: prefixBase(cidr.ip, prefixLen), prefixLen }, supernetLen: prefixLen }
}

/** Its upper bound follows from the sizes and is judged with them (ipam/choose/slice.ts). */
function readHostId(ipam: Reader): number {
  const value = ipam.get('hostId')
  if (typeof value === 'number' && Number.isInteger(value)) return value
  ipam.problem('hostId', "must be this host's number, unique in the cluster: 1 to 254 with the default sizes")
  return 0
}

/** No host can own loopback, link-local, multicast and reserved addresses (RFC 6890). */
const UNUSABLE: readonly Prefix4[] = [
  { base: 0, prefixLen: 8 },
  { base: 0x7f000000, prefixLen: 8 },
  { base: 0xa9fe0000, prefixLen: 16 },
  { base: 0xe0000000, prefixLen: 3 },
]

function readSupernet(text: string): Prefix4 | undefined {
  const prefix = parsePrefix4(text)
  if (prefix === undefined) return undefined
  for (const bad of UNUSABLE) if (overlaps(bad, prefix)) return undefined
  return prefix
}

function readRoutes(ipam: Reader, bridge: Ipv4): RouteConf[] {
  const routes: RouteConf[] = []
  const places = new Map<string, number>()
  for (const [i, entry] of ipam.array('routes').entries()) {
    for (const route of readRoute(entry, `ipam.routes[${i}].`, ipam.problems)) {
      const place = kernelKey(route, bridge)
      const first = places.get(place)
      if (first !== undefined)
        ipam.problem(`routes[${i}]`, `the same as routes[${first}]; take one of them out`, entry)
      else places.set(place, i)
      routes.push(route)
    }
  }
  return routes
}

/** RT_TABLE_MAIN, in which the kernel puts a route of table 0 (linux/rtnetlink.h). */
const MAIN_TABLE = 254

/** Equal for routes of which the kernel takes the first alone: EEXIST for the second (fib_table_insert). */
function kernelKey(route: RouteConf, bridge: Ipv4): string {
  const { dst, gw = bridge, mtu = 0, advmss = 0, priority = 0, table = 0, scope = 0 } = route
  return [dst.base, dst.prefixLen, gw, mtu, advmss, priority, table || MAIN_TABLE, scope].join()
}

function readRoute(route: unknown, prefix: string, problems: string[]): RouteConf[] {
  const reader = new Reader(isObject(route) ? route : {}, prefix, problems)
  const dst = reader.parsed('dst', undefined, 'must be an IPv4 network, e.g. "192.168.7.0/24"', parsePrefix4)
  const gw = reader.has('gw')
    ? reader.parsed('gw', undefined, 'must be an IPv4 address', parseIpv4)
    : undefined
  reader.refuseUnknown(ROUTE_KEYS)
  const optional = (key: string, max: number): Record<string, number> =>
    reader.has(key) ? { [key]: reader.integer(key, 0, 0, max) } : {}
  if (dst === undefined) return []
  return [
    {
      dst,
      ...(gw !== undefined && { gw }),
      ...optional('mtu', 65_535),
      ...optional('advmss', 65_535),
      ...optional('priority', 0xffff_ffff),
      ...optional('table', 0xffff_ffff),
      ...optional('scope', 255),
    },
  ]
}
