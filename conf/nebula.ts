/** The section `paths.nebula` of flatnet.yaml: Nebula as one more way to other hosts. */

import {
  contains,
  formatPrefix,
  type Ipv4,
  overlaps,
  type Prefix4,
  parseIpv4,
  parsePrefix4,
  sizeOf,
} from '../core/addr.ts'
import { isObject } from '../core/json.ts'
import { refuseUnknown } from './daemon-values.ts'
import type { Reader } from './reader.ts'
import { isServer } from './server.ts'

export interface NebulaConf {
  readonly enabled: boolean
  /**
   * Who tells hosts the others' addresses: its own address inside Nebula, and where it is reached, `name:port` or
   * `address:port`. Empty: hosts are sought where they announce that their gateways are.
   */
  readonly lighthouses: ReadonlyMap<Ipv4, readonly string[]>
  /** Of the addresses that hosts have inside Nebula: its base plus their hostId. */
  readonly network: Prefix4
  /** UDP port of Nebula on this host, and on others as long as there is no lighthouse. */
  readonly port: number
  /** Of Nebula's device. */
  readonly mtu: number
  /** The device of a Nebula that a service of its own runs; undefined: the gateway runs Nebula. */
  readonly device?: string
}

const KEYS = ['enabled', 'lighthouses', 'network', 'port', 'mtu', 'device']
const NETWORK = '10.101.0.0/16'
/** Nebula's own default, which fits through nearly every network. */
const MTU = 1_300
const MIN_MTU = 576
/** 1,500 less IPv4, UDP, and the 32 bytes that Nebula adds, would be 1,440; larger ones are for jumbo frames. */
const MAX_MTU = 8_900
/** More addresses than a host has that others could use. */
const MAX_ADDRESSES = 8

/** @param host the slice that this host has, which the network must have a number for, and stay outside of */
export function readNebula(
  paths: Reader,
  host: { readonly hostId: number; readonly supernet: Prefix4 },
): NebulaConf {
  const nebula = paths.object('nebula')
  refuseUnknown(nebula, paths.get('nebula'), KEYS)
  const enabled = nebula.boolean('enabled', false)
  const device = readDevice(nebula)
  const network = readNetwork(nebula, host, enabled && device === undefined)
  return {
    enabled,
    lighthouses: readLighthouses(nebula, network),
    network,
    port: nebula.integer('port', 4_242, 1, 65_535),
    mtu: nebula.integer('mtu', MTU, MIN_MTU, MAX_MTU),
    ...(device !== undefined && { device }),
  }
}

function readDevice(nebula: Reader): string | undefined {
  if (!nebula.has('device')) return undefined
  const device = nebula.get('device')
  // What the kernel takes as a name, and no device of Flatnet's own.
  if (typeof device === 'string' && /^(?!flatnet|fn)[\w.-]{1,15}$/.test(device)) return device
  nebula.problem(
    'device',
    "must be the name of Nebula's device, as in tun.dev of its configuration, e.g. nebula1",
  )
  return undefined
}

/** Where it is not used, an overlap of the default does no harm. */
function readNetwork(
  nebula: Reader,
  { hostId, supernet }: { readonly hostId: number; readonly supernet: Prefix4 },
  isUsed: boolean,
): Prefix4 {
  const example = `e.g. "${NETWORK}"`
  const allowed = `must be an IPv4 network without host bits, ${example}`
  const network = nebula.parsed('network', NETWORK, allowed, parsePrefix4) ?? {
    base: 0x0a650000,
    prefixLen: 16,
  }
  if (!isUsed) return network
  if (overlaps(network, supernet))
    nebula.problem(
      'network',
      `must not overlap the supernet, ${formatPrefix(supernet)}`,
      formatPrefix(network),
    )
  if (hostId > sizeOf(network.prefixLen) - 2)
    nebula.problem('network', `must have an address for host ${hostId}`, formatPrefix(network))
  return network
}

/** By hostId, or by address where Nebula had lighthouses before Flatnet came. */
function readLighthouses(nebula: Reader, network: Prefix4): ReadonlyMap<Ipv4, readonly string[]> {
  const given = nebula.has('lighthouses') ? nebula.get('lighthouses') : {}
  const entries = isObject(given) ? Object.entries(given) : []
  const lighthouses = entries.map(([key, value]) => {
    const address = /^[1-9]\d{0,9}$/.test(key) ? network.base + Number(key) : (parseIpv4(key) ?? -1)
    return [address, Array.isArray(value) ? value : [value]] as const
  })
  const isRight =
    isObject(given) &&
    lighthouses.every(([address]) => contains(network, address)) &&
    lighthouses.every(([, at]) => at.length > 0 && at.length <= MAX_ADDRESSES && at.every(isServer))
  if (!isRight)
    nebula.problem(
      'lighthouses',
      `must be hostIds, or addresses in ${formatPrefix(network)}, with addresses and ports, e.g. { 1: ["192.0.2.1:4242"] }`,
    )
  return new Map(isRight ? lighthouses : [])
}
