/**
 * Restores what a bridge with containers has lost: itself, its address, its ports, its sysctls
 * (docs/architecture/cni.md#p24).
 */

import { Errno } from 'netlink-ts/errors.ts'
import { AF_INET, AF_INET6, addrAddRequest, addrList } from 'netlink-ts/route/addr.ts'
import { BR_BOOLOPT_NO_LL_LEARN } from 'netlink-ts/route/kinds.ts'
import {
  bridgeAddRequest,
  bridgeSetRequest,
  type Link,
  linkByName,
  linkList,
  linkSetRequest,
} from 'netlink-ts/route/link.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import {
  contains,
  formatIpv4,
  type Ipv4,
  ipv4Bytes,
  ipv4FromBytes,
  macOf,
  type Prefix4,
  parseCidr4,
} from '../core/addr.ts'
import { parseAlias } from '../core/attachment.ts'
import { FlatnetError } from '../core/errors.ts'
import { ensureBridgeSysctls } from './sysctl.ts'

export interface BridgeOf {
  readonly bridge: string
  readonly slice: Prefix4
}

/** A host's bridge has the first address of its slice. */
const bridgeIpOf = (slice: Prefix4): Ipv4 => slice.base + 1

/**
 * Without containers there is nothing to do: the first one makes the bridge. Only reads when all is well.
 * @returns how many things were restored
 * @throws {FlatnetError} ERR_FLATNET_CONFIG: another kind of link has the name, which is not ours to change
 */
export function repairBridge(host: NetlinkSocket, network: BridgeOf): number {
  const ports = portsOf(host, network.slice)
  if (ports.length === 0) return 0
  const found = linkByName(host, network.bridge)
  const bridge = found ?? createBridge(host, network, Math.min(...ports.map((port) => port.mtu)))
  if (bridge.kind !== 'bridge') throw refused(network.bridge, `is ${bridge.kind ?? 'no bridge'}`)
  let repaired = found === undefined ? 1 : 0
  repaired += ensureAddress(host, bridge, network)
  if (!bridge.isUp) {
    host.execute(linkSetRequest({ index: bridge.index, up: true }))
    repaired++
  }
  for (const port of ports) repaired += attach(host, bridge, port)
  repaired += ensureLearning(host, bridge)
  return repaired + ensureBridgeSysctls(network.bridge, () => hasIpv6(host, bridge.index))
}

/**
 * A bridge learns the sender of frames that it does not forward, such as LLDP, before any rule sees them: a container
 * would get its neighbour's packets. Kernels before 5.0, which do not show the option, cannot be told.
 * @returns how much was changed
 */
export function ensureLearning(host: NetlinkSocket, { index, bridge }: Link): number {
  const bit = BR_BOOLOPT_NO_LL_LEARN
  if (bridge?.boolOptions === undefined || (bridge.boolOptions.values & bit) !== 0) return 0
  const [outcome] = host.executeAll([
    bridgeSetRequest({ index, bridge: { boolOptions: { values: bit, mask: bit } } }),
  ])
  return outcome instanceof Error ? 0 : 1
}

/** Whether the bridge was given an IPv6 address: its link-local one it has by itself. */
export const hasIpv6 = (host: NetlinkSocket, index: number): boolean =>
  addrList(host, { index, family: AF_INET6 }).some(
    ({ address: [a = 0, b = 0] }) => a !== 0xfe || (b & 0xc0) !== 0x80,
  )

/** Host ends whose alias says that their container has an address of the slice. */
function portsOf(host: NetlinkSocket, slice: Prefix4): Link[] {
  return linkList(host, { kind: 'veth' }).filter((link) => {
    const cidr = parseCidr4(parseAlias(link.alias ?? '')?.cidr ?? '')
    return cidr !== undefined && cidr.prefixLen === slice.prefixLen && contains(slice, cidr.ip)
  })
}

/** With the MAC that it had: containers keep it in their neighbour tables. */
function createBridge(host: NetlinkSocket, { bridge, slice }: BridgeOf, mtu: number): Link {
  const [outcome] = host.executeAll([
    bridgeAddRequest({ name: bridge, address: macOf(bridgeIpOf(slice)), mtu }),
  ])
  if (outcome instanceof Error && outcome.errno !== Errno.EEXIST) throw outcome
  const link = linkByName(host, bridge)
  if (link === undefined) throw refused(bridge, 'vanished again')
  return link
}

function ensureAddress(host: NetlinkSocket, bridge: Link, { slice }: BridgeOf): number {
  const address = bridgeIpOf(slice)
  const [present] = addrList(host, { index: bridge.index, family: AF_INET })
  if (present !== undefined) {
    if (ipv4FromBytes(present.address) === address) return 0
    throw refused(bridge.name, `has the address ${formatIpv4(ipv4FromBytes(present.address))}`)
  }
  const [outcome] = host.executeAll([
    addrAddRequest({
      index: bridge.index,
      family: AF_INET,
      address: ipv4Bytes(address),
      prefixLen: slice.prefixLen,
    }),
  ])
  if (outcome instanceof Error && outcome.errno !== Errno.EEXIST) throw outcome
  return 1
}

function attach(host: NetlinkSocket, bridge: Link, port: Link): number {
  if (port.master === bridge.index && port.isUp) return 0
  const [outcome] = host.executeAll([linkSetRequest({ index: port.index, master: bridge.index, up: true })])
  // Its container ended meanwhile.
  if (outcome instanceof Error && outcome.errno === Errno.ENODEV) return 0
  if (outcome instanceof Error) throw outcome
  return 1
}

const refused = (bridge: string, what: string): FlatnetError =>
  new FlatnetError(
    'ERR_FLATNET_CONFIG',
    `interface ${bridge} ${what}, ` +
      'and containers of this network are attached to a bridge of that name; see flatnet doctor',
  )
