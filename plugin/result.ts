/** The ADD result: built in the newest shape, merged with `prevResult`, cut to the asked version. */

import { show } from '../conf/reader.ts'
import { FlatnetError } from '../core/errors.ts'
import { foldKeys, isObject, type JsonObject } from '../core/json.ts'
import { atLeast, type CniVersion } from './versions.ts'

interface ResultInterface {
  readonly name: string
  readonly mac?: string
  readonly mtu?: number
  readonly sandbox?: string
  readonly socketPath?: string
  readonly pciID?: string
}

interface ResultIp {
  /** CIDR, e.g. `10.100.1.10/24`. */
  readonly address: string
  readonly gateway?: string
  /** Index into `interfaces`; 0 is an index, not absence. */
  readonly interface?: number
}

export interface ResultRoute {
  readonly dst: string
  readonly gw?: string
  readonly mtu?: number
  readonly advmss?: number
  readonly priority?: number
  readonly table?: number
  readonly scope?: number
}

export interface CniResult {
  readonly interfaces: readonly ResultInterface[]
  readonly ips: readonly ResultIp[]
  readonly routes: readonly ResultRoute[]
  readonly dns: JsonObject
}

export const EMPTY_RESULT: CniResult = { interfaces: [], ips: [], routes: [], dns: {} }

const RESULT_KEYS = ['interfaces', 'ips', 'routes', 'dns', 'ip4', 'ip6']
const KEYS = {
  interfaces: ['name', 'mac', 'mtu', 'sandbox', 'socketPath', 'pciID'],
  ips: ['version', 'address', 'gateway', 'interface'],
  routes: ['dst', 'gw', 'mtu', 'advmss', 'priority', 'table', 'scope'],
} as const
const DNS_KEYS = ['nameservers', 'domain', 'search', 'options']

const listOf = (value: unknown, key: keyof typeof KEYS): JsonObject[] => {
  if (value === undefined || value === null) return []
  if (Array.isArray(value) && value.every(isObject)) return value.map((entry) => foldKeys(entry, KEYS[key]))
  throw new FlatnetError('ERR_FLATNET_DECODE', `prevResult.${key} must be a list of objects`)
}

/** Reads a `prevResult` of any version from 0.3.0; the `version` field of old `ips` is dropped, unknown fields stay. */
export const readPrevResult = (value: unknown): CniResult | undefined =>
  value === undefined || value === null ? undefined : readResult(value)

/** Apart from `readPrevResult`, as most runs have no prevResult and the engine would compile this for them too. */
function readResult(given: unknown): CniResult {
  if (!isObject(given)) throw new FlatnetError('ERR_FLATNET_DECODE', 'prevResult must be an object')
  const value = foldKeys(given, RESULT_KEYS)
  const ips = listOf(value['ips'], 'ips').map(({ version: _, ...ip }) => ip)
  for (const [i, ip] of ips.entries()) {
    if (typeof ip['address'] !== 'string') {
      throw new FlatnetError('ERR_FLATNET_DECODE', `prevResult.ips[${i}].address must be a string`)
    }
  }
  const interfaces = listOf(value['interfaces'], 'interfaces')
  for (const [i, entry] of interfaces.entries()) {
    if (typeof entry['name'] !== 'string') {
      throw new FlatnetError('ERR_FLATNET_DECODE', `prevResult.interfaces[${i}].name must be a string`)
    }
  }
  for (const [i, { interface: index }] of ips.entries()) {
    if (
      index === undefined ||
      (Number.isInteger(index) && Number(index) >= 0 && Number(index) < interfaces.length)
    )
      continue
    throw new FlatnetError(
      'ERR_FLATNET_DECODE',
      `prevResult.ips[${i}].interface is ${show(index)}: must be an index into interfaces`,
    )
  }
  if (value['ip4'] !== undefined || value['ip6'] !== undefined) {
    throw new FlatnetError(
      'ERR_FLATNET_DECODE',
      'prevResult has the shape of CNI 0.2.0: ip4 and ip6 are not read',
    )
  }
  return {
    interfaces: interfaces as unknown as ResultInterface[],
    ips: ips as unknown as ResultIp[],
    routes: listOf(value['routes'], 'routes') as unknown as ResultRoute[],
    dns: isObject(value['dns']) ? foldKeys(value['dns'], DNS_KEYS) : {},
  }
}

/** Ours after theirs; our `ips` point at our interfaces, which moved behind theirs. */
export function mergeResults(prev: CniResult | undefined, own: CniResult): CniResult {
  if (prev === undefined) return own
  const shift = prev.interfaces.length
  const moved = own.ips.map((ip) =>
    ip.interface === undefined ? ip : { ...ip, interface: ip.interface + shift },
  )
  return {
    interfaces: [...prev.interfaces, ...own.interfaces],
    ips: [...prev.ips, ...moved],
    routes: [...prev.routes, ...own.routes],
    dns: Object.keys(own.dns).length > 0 ? own.dns : prev.dns,
  }
}

const isIpv6 = (address: string): boolean => address.includes(':')

/** The JSON text for stdout. Fields that a version does not know are left out: strict readers refuse them. */
export function formatResult(result: CniResult, version: CniVersion): string {
  const v110 = atLeast(version, '1.1.0')
  const v100 = atLeast(version, '1.0.0')
  // Loops instead of callbacks, here and in netlink-ts/libc.ts: 40 functions less, 0.4 ms (docs/speed/plugin.md).
  const interfaces: object[] = []
  for (const i of result.interfaces) {
    interfaces.push({
      name: i.name,
      ...(i.mac !== undefined && { mac: i.mac }),
      ...(v110 && i.mtu !== undefined && { mtu: i.mtu }),
      ...(i.sandbox !== undefined && { sandbox: i.sandbox }),
      ...(v110 && i.socketPath !== undefined && { socketPath: i.socketPath }),
      ...(v110 && i.pciID !== undefined && { pciID: i.pciID }),
    })
  }
  const ips: object[] = []
  for (const ip of result.ips) {
    ips.push({
      ...(!v100 && { version: isIpv6(ip.address) ? '6' : '4' }),
      ...(ip.interface !== undefined && { interface: ip.interface }),
      address: ip.address,
      ...(ip.gateway !== undefined && { gateway: ip.gateway }),
    })
  }
  const routes: object[] = []
  for (const { dst, gw, ...rest } of result.routes) {
    routes.push({ dst, ...(gw !== undefined && { gw }), ...(v110 && rest) })
  }
  return JSON.stringify({
    cniVersion: version,
    ...(interfaces.length > 0 && { interfaces }),
    ...(ips.length > 0 && { ips }),
    ...(routes.length > 0 && { routes }),
    // The Go types of 0.3 and 0.4 always print it; 1.x leaves it out when empty.
    ...((!v100 || Object.keys(result.dns).length > 0) && { dns: result.dns }),
  })
}
