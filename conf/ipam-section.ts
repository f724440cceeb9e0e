/** The section `ipam` of a network configuration: the sizes of the slice, and routes. */

import { overlaps, type Prefix4, parseIpv4, parsePrefix4 } from '../core/addr.ts'
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
  readonly hostPrefix: number
  readonly firstOffset: number
  readonly routes: readonly RouteConf[]
}

const IPAM_KEYS = ['type', 'hostId', 'supernet', 'hostPrefix', 'firstOffset', 'routes', 'dataDir']
const ROUTE_KEYS = ['dst', 'gw', 'mtu', 'advmss', 'priority', 'table', 'scope']

export function readIpam(ipam: Reader): IpamConf {
  ipam.refuseUnknown(IPAM_KEYS)
  const supernet = ipam.parsed(
    'supernet',
    '10.100.0.0/16',
    'must be a unicast IPv4 network without host bits, e.g. "10.100.0.0/16"',
    readSupernet,
  ) ?? { base: 0x0a640000, prefixLen: 16 }
  return {
    supernet,
    hostPrefix: ipam.integer('hostPrefix', 24, 12, 30),
    hostId: readHostId(ipam),
    firstOffset: ipam.integer('firstOffset', 10, 2, 65_534),
    routes: readRoutes(ipam),
  }
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

function readRoutes(ipam: Reader): RouteConf[] {
  const routes: RouteConf[] = []
  for (const [i, route] of ipam.array('routes').entries())
    routes.push(...readRoute(route, `ipam.routes[${i}].`, ipam.problems))
  return routes
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
