/** The bridge of a network: created when absent, address and sysctls ensured, a foreign one refused. */

import { Errno } from 'netlink-ts/errors.ts'
import { type Addr, AF_INET, addrAddRequest, addrList } from 'netlink-ts/route/addr.ts'
import { linkIndex } from 'netlink-ts/route/ifreq.ts'
import {
  bridgeAddRequest,
  type Link,
  linkByIndex,
  linkByName,
  linkDelRequest,
  linkList,
  linkSetRequest,
} from 'netlink-ts/route/link.ts'
import { RT_TABLE_MAIN, routeGet, routeList } from 'netlink-ts/route/route.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import {
  contains,
  formatIpv4,
  formatPrefix,
  type Ipv4,
  ipv4Bytes,
  ipv4FromBytes,
  prefixBase,
} from '../core/addr.ts'
import { FlatnetError } from '../core/errors.ts'
import { ensureLearning, hasIpv6 } from '../kernel/bridge.ts'
import { ensureBridgeSysctls } from '../kernel/sysctl.ts'
import type { Undo } from './undo.ts'

export interface BridgePlan {
  readonly bridge: string
  readonly bridgeIp: Ipv4
  readonly bridgeMac: string
  readonly prefixLen: number
  readonly mtu: number
  /** Whose leases the bridge's containers hold: two stores on one bridge would give an address twice. */
  readonly dataDir: string
}

/** What `ip link` shows for a bridge of ours: `flatnet-bridge <dataDir>`, cut where an alias ends (IFALIASZ). */
const aliasOf = (dataDir: string): string => `${ALIAS_TAG}${dataDir}`.slice(0, 255)
const ALIAS_TAG = 'flatnet-bridge '

/**
 * Safe when several plugins run at once: the loser of a race finds what the winner made.
 * @param known the bridge, if this process has just found it complete
 * @throws {FlatnetError} ERR_FLATNET_CONFIG: the name is taken by something else, or by a bridge of another network
 */
export function ensureBridge(
  host: NetlinkSocket,
  plan: BridgePlan,
  undo: Undo,
  known: Link | undefined,
): Link {
  // The kernel does not reuse an index, so the name still belongs to the link that was checked.
  const isSame = known !== undefined && linkIndex(host, plan.bridge) === known.index
  const link = isSame ? known : (presentBridge(host, plan) ?? createBridge(host, plan, undo))
  if (!isSame && !refuseBridge(host, link, plan)) addAddress(host, link, plan)
  if (link.alias !== aliasOf(plan.dataDir)) {
    host.execute(linkSetRequest({ index: link.index, alias: aliasOf(plan.dataDir) }))
  }
  ensureLearning(host, link)
  // Before it is up: it would listen for routers and take an IPv6 address.
  ensureBridgeSysctls(plan.bridge, () => hasIpv6(host, link.index))
  if (!link.isUp) host.execute(linkSetRequest({ index: link.index, up: true }))
  return link
}

/** The present bridge. An unused one of ours with the address of an earlier slice is deleted. */
function presentBridge(host: NetlinkSocket, plan: BridgePlan): Link | undefined {
  const link = linkByName(host, plan.bridge)
  const present = link === undefined ? [] : addrList(host, { index: link.index, family: AF_INET })
  if (link === undefined || present.length === 0 || hasAddress(present, plan)) return link
  if (!isIdleOwn(host, link, plan)) return link
  const [outcome] = host.executeAll([linkDelRequest({ index: link.index })])
  if (outcome instanceof Error && outcome.errno !== Errno.ENODEV) throw outcome
  return undefined
}

/** A bridge of ours without ports carries no packets, and the next ADD creates it again. */
const isIdleOwn = (host: NetlinkSocket, link: Link, plan: BridgePlan): boolean =>
  link.alias === aliasOf(plan.dataDir) && linkList(host, { master: link.index }).length === 0

const hasAddress = (present: readonly Addr[], { bridgeIp, prefixLen }: BridgePlan): boolean =>
  present.some((a) => ipv4FromBytes(a.address) === bridgeIp && a.prefixLen === prefixLen)

function createBridge(host: NetlinkSocket, plan: BridgePlan, undo: Undo): Link {
  // The MAC is fixed here: a bridge without one takes that of its lowest port, which cuts every container off (cni
  // #285).
  const [outcome] = host.executeAll([
    bridgeAddRequest({ name: plan.bridge, address: plan.bridgeMac, mtu: plan.mtu }),
  ])
  if (outcome instanceof Error) {
    if (outcome.errno !== Errno.EEXIST) throw outcome
  } else {
    undo.push(`bridge ${plan.bridge}`, () => removeIfEmpty(host, plan.bridge))
  }
  const link = linkByName(host, plan.bridge)
  if (link === undefined) {
    throw new FlatnetError(
      'ERR_FLATNET_KERNEL',
      `bridge ${plan.bridge} vanished while it was set up; try again`,
    )
  }
  return link
}

/** Another ADD may have attached a container to the bridge that a failing ADD created: then the bridge stays. */
function removeIfEmpty(host: NetlinkSocket, name: string): void {
  const link = linkByName(host, name)
  if (link === undefined || linkList(host, { master: link.index }).length > 0) return
  host.execute(linkDelRequest({ index: link.index }))
}

/**
 * Reads only; STATUS calls it too.
 * @returns whether the bridge has its address
 * @throws {FlatnetError} ERR_FLATNET_CONFIG: no bridge, another dataDir's, another address, or a foreign route into the
 *   slice
 */
export function refuseBridge(host: NetlinkSocket, link: Link, plan: BridgePlan): boolean {
  if (link.kind !== 'bridge') {
    throw new FlatnetError(
      'ERR_FLATNET_CONFIG',
      `bridge is ${JSON.stringify(plan.bridge)}: ` +
        `an interface of that name exists and is ${link.kind ?? 'no bridge'}; choose another name`,
    )
  }
  if (link.alias?.startsWith(ALIAS_TAG) && link.alias !== aliasOf(plan.dataDir)) {
    throw new FlatnetError(
      'ERR_FLATNET_CONFIG',
      `bridge ${plan.bridge} belongs to a network with dataDir ` +
        `${link.alias.slice(ALIAS_TAG.length)}, not ${plan.dataDir}: ` +
        'give this network another bridge and another slice, or the same dataDir',
    )
  }
  const present = addrList(host, { index: link.index, family: AF_INET })
  const isThere = hasAddress(present, plan)
  const other = present[0]
  if (isThere || other === undefined || isIdleOwn(host, link, plan)) {
    if (!isThere) refuseForeignRoutes(host, plan)
    return isThere
  }
  throw new FlatnetError(
    'ERR_FLATNET_CONFIG',
    `bridge ${plan.bridge} has the address ${formatIpv4(ipv4FromBytes(other.address))}/${other.prefixLen}, not ` +
      `${formatIpv4(plan.bridgeIp)}/${plan.prefixLen}: choose another bridge name, or remove the old bridge with ` +
      `"ip link del ${plan.bridge}" once no container uses it`,
  )
}

function addAddress(host: NetlinkSocket, link: Link, plan: BridgePlan): void {
  const [outcome] = host.executeAll([
    addrAddRequest({
      index: link.index,
      family: AF_INET,
      address: ipv4Bytes(plan.bridgeIp),
      prefixLen: plan.prefixLen,
    }),
  ])
  if (outcome instanceof Error && outcome.errno !== Errno.EEXIST) throw outcome
}

/**
 * A narrower foreign route takes this one address away from the bridge; it may be younger than the bridge.
 * @throws {FlatnetError} ERR_FLATNET_CONFIG naming the interface that has it
 */
export function refuseDetour(host: NetlinkSocket, bridge: Link, ip: Ipv4): void {
  const oif = routeGet(host, ipv4Bytes(ip))?.oif
  if (oif === bridge.index) return
  const dev = oif === undefined ? 'nowhere' : `by ${linkByIndex(host, oif)?.name ?? `interface ${oif}`}`
  throw new FlatnetError(
    'ERR_FLATNET_CONFIG',
    `this host routes ${formatIpv4(ip)} ${dev}, not by ${bridge.name}: ` +
      'choose another ipam.hostId or ipam.supernet, or remove that route',
  )
}

/**
 * A foreign route into our slice (a VPN, another bridge) would take our containers' packets. Wider ones do not:
 * the slice's own route is more specific.
 * @throws {FlatnetError} ERR_FLATNET_CONFIG naming the route
 */
export function refuseForeignRoutes(
  host: NetlinkSocket,
  plan: Pick<BridgePlan, 'bridge' | 'bridgeIp' | 'prefixLen'>,
): void {
  const slice = { base: prefixBase(plan.bridgeIp, plan.prefixLen), prefixLen: plan.prefixLen }
  const own = linkByName(host, plan.bridge)?.index
  for (const { dst, oif } of routeList(host, { family: AF_INET, table: RT_TABLE_MAIN })) {
    if (dst === undefined || oif === own || dst.prefixLen < plan.prefixLen) continue
    const prefix = { base: ipv4FromBytes(dst.address), prefixLen: dst.prefixLen }
    if (!contains(slice, prefix.base)) continue
    const dev = oif === undefined ? undefined : linkByIndex(host, oif)?.name
    throw new FlatnetError(
      'ERR_FLATNET_CONFIG',
      `the route ${formatPrefix(prefix)}${dev === undefined ? '' : ` dev ${dev}`} ` +
        `lies in this host's slice ${formatPrefix(slice)}: ` +
        'choose another ipam.hostId or ipam.supernet, or remove that route',
    )
  }
}
