/** The veth pair: made in one message, its container end addressed and routed, its host end in the bridge. */

import { Errno, type NetlinkError } from 'netlink-ts/errors.ts'
import { inNetns } from 'netlink-ts/netns.ts'
import { AF_INET, addrAddRequest } from 'netlink-ts/route/addr.ts'
import { linkIndex } from 'netlink-ts/route/ifreq.ts'
import {
  bridgePortSetRequest,
  type Link,
  linkAltNameAddRequest,
  linkByName,
  linkDelRequest,
  linkSetRequest,
  vethAddRequest,
} from 'netlink-ts/route/link.ts'
import { routeAddRequest } from 'netlink-ts/route/route.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import { formatIpv4, formatPrefix, ipv4Bytes } from '../core/addr.ts'
import { type Attachment, addressName, parseAlias, sameAttachment } from '../core/attachment.ts'
import { monotonic, sleepSync } from '../core/clock.ts'
import { FlatnetError } from '../core/errors.ts'
import { isCommon } from '../kernel/guard.ts'
import { refuseRouters, sysctlEnsure } from '../kernel/sysctl.ts'
import type { Plan } from './plan.ts'
import type { Undo } from './undo.ts'
import { takenMeanwhile } from './veth-conflict.ts'

const LOOPBACK_INDEX = 1
/**
 * include/uapi/linux/if.h. Not IFF_RUNNING, which is also set while the state is unknown: the bridge forwards by then,
 * but until the kernel's linkwatch has run the port has no queue, and what is sent to the container is lost.
 */
const IF_OPER_UP = 6
const IF_OPER_UNKNOWN = 0
/** Linkwatch reports a carrier within a second at the worst (LW_DELAY); the reference bridge waits 2.5 s in all. */
const PORT_UP_TIMEOUT_MS = 2_500
/** Mostly it is up at the first query, or a moment later on a busy machine. */
const PORT_UP_POLL_MS = 0.2

/** Both ends of one attachment's namespaces. */
export interface Sockets {
  readonly host: NetlinkSocket
  readonly container: NetlinkSocket
}

/** @throws {FlatnetError} CNI A1: the interface exists already */
export function refuseExisting(container: NetlinkSocket, ifname: string, netns: string): void {
  if (linkIndex(container, ifname) === undefined) return
  throw new FlatnetError(
    'ERR_FLATNET_KERNEL',
    `an interface named ${JSON.stringify(ifname)} exists in ${netns}: choose another CNI_IFNAME or delete it`,
  )
}

/**
 * A host end that an ADD left behind when it was killed: its container end is gone or half made, so it goes too.
 * @throws {FlatnetError} the name belongs to another attachment (a collision of the 40-bit hash) or is not ours
 */
export function removeLeftover(host: NetlinkSocket, attachment: Attachment, hostIfname: string): void {
  if (linkIndex(host, hostIfname) === undefined) return
  const link = linkByName(host, hostIfname)
  if (link === undefined) return
  const owner = parseAlias(link.alias ?? '')?.attachment
  if (owner === undefined || !sameAttachment(owner, attachment)) {
    throw new FlatnetError(
      'ERR_FLATNET_KERNEL',
      `the host interface ${hostIfname} belongs to ` +
        `${owner === undefined ? 'something else' : `container ${owner.containerId}`}: ` +
        'start the container under another id',
    )
  }
  host.execute(linkDelRequest({ index: link.index }))
}

/** Another link of this host has the address, so the leases are those of an old store (ipam/from-kernel.ts). */
export class AddressHeld extends FlatnetError {
  constructor(ip: string, holder: Link | undefined) {
    const owner = parseAlias(holder?.alias ?? '')?.attachment
    const who = owner === undefined ? '' : ` of container ${owner.containerId} in network ${owner.network}`
    super(
      'ERR_FLATNET_ADDRESS_NOT_AVAILABLE',
      `address ${ip} is held by the host interface ${holder?.name ?? addressName(ip)}${who}, ` +
        'which has no lease here: ' +
        'stop it, or ask for another address',
    )
  }
}

/**
 * Makes the pair, with everything that the kernel takes in one message; the peer cannot be created up (ENOTCONN).
 * @throws {AddressHeld} what was made is for `undo` to take away
 */
export function createVeth(host: NetlinkSocket, netnsFd: number, bridge: Link, plan: Plan, undo: Undo): void {
  const ip = formatIpv4(plan.ip)
  const [made, named, ...changed] = host.executeAll([
    vethAddRequest({
      name: plan.hostIfname,
      address: plan.hostMac,
      mtu: plan.mtu,
      master: bridge.index,
      group: plan.antiSpoof && isCommon(plan) ? plan.ip : undefined,
      up: true,
      peer: { name: plan.ifname, address: plan.mac, mtu: plan.mtu, netns: netnsFd },
    }),
    linkAltNameAddRequest({ name: plan.hostIfname, altName: addressName(ip) }),
    // The kernel ignores an alias at creation. One send, so that no signal comes between the two.
    linkSetRequest({ name: plan.hostIfname, alias: plan.alias }),
    ...(plan.hairpin ? [bridgePortSetRequest({ name: plan.hostIfname, hairpin: true })] : []),
  ])
  if (made instanceof Error) {
    throw made.errno === Errno.EEXIST ? takenMeanwhile(host, plan, !(named instanceof Error), made) : made
  }
  undo.push(`veth ${plan.hostIfname}`, () => {
    const link = linkByName(host, plan.hostIfname)
    if (link !== undefined) host.execute(linkDelRequest({ index: link.index }))
  })
  if (named instanceof Error) {
    if (named.errno === Errno.EEXIST) throw new AddressHeld(ip, linkByName(host, addressName(ip)))
    if (!hasNoAltNames(named)) throw named
  }
  for (const outcome of changed) if (outcome instanceof Error) throw outcome
}

/** Linux before 5.5: then the leases alone say who has an address. */
const hasNoAltNames = ({ errno }: NetlinkError): boolean =>
  errno === Errno.EOPNOTSUPP || errno === Errno.EINVAL

/** Of the container's end. */
export function containerIndex(container: NetlinkSocket, { ifname }: Plan): number {
  const index = linkIndex(container, ifname)
  if (index === undefined) throw gone(ifname)
  return index
}

/** Address, `lo`, interface and routes, in one send: the kernel takes them in order. */
export function configureContainer(
  container: NetlinkSocket,
  netnsFd: number,
  index: number,
  plan: Plan,
): void {
  inNetns(netnsFd, () => {
    sysctlEnsure(`net/ipv4/conf/${plan.ifname}/rp_filter`, '2', ['0'])
    // Announces the address when the interface comes up: for a MAC that was asked for, neighbours may hold another.
    sysctlEnsure(`net/ipv4/conf/${plan.ifname}/arp_notify`, '1', ['0'])
    refuseRouters(plan.ifname)
  })
  const { prefixLen } = plan
  const requests = [
    linkSetRequest({ index: LOOPBACK_INDEX, up: true }),
    addrAddRequest({ index, family: AF_INET, address: ipv4Bytes(plan.ip), prefixLen }),
    linkSetRequest({ index, up: true }),
  ]
  for (const route of plan.routes) requests.push(routeRequest(index, route))
  for (const outcome of container.executeAll(requests)) if (outcome instanceof Error) throw outcome
}

const gone = (ifname: string): FlatnetError =>
  new FlatnetError('ERR_FLATNET_KERNEL', `interface ${ifname} vanished while it was set up; try again`)

function routeRequest(oif: number, { dst, gw, priority, ...rest }: Plan['routes'][number]) {
  return routeAddRequest({
    family: AF_INET,
    ...(dst.prefixLen > 0 && { dst: { address: ipv4Bytes(dst.base), prefixLen: dst.prefixLen } }),
    gateway: ipv4Bytes(gw),
    oif,
    // For a second attachment of one container: the default route of the first stays in use.
    append: true,
    ...(priority !== undefined && { metric: priority }),
    ...rest,
  })
}

/**
 * Waits for the port: a container must not start while its bridge port does not forward.
 * @throws {FlatnetError} ERR_FLATNET_KERNEL when the port does not come up in time
 */
export function openPort(host: NetlinkSocket, bridge: Link, plan: Plan): void {
  if (!comesUp(host, plan.hostIfname)) {
    throw new FlatnetError(
      'ERR_FLATNET_KERNEL',
      `bridge port ${plan.hostIfname} of ${formatPrefix({ base: plan.ip, prefixLen: 32 })} did not come up within ` +
        `${PORT_UP_TIMEOUT_MS} ms; look at "bridge link" and the kernel log`,
    )
  }
  // Its first port brings a bridge up. When it does not (spanning tree), its administrator wanted that.
  if (bridge.operstate !== IF_OPER_UP && bridge.operstate !== IF_OPER_UNKNOWN) comesUp(host, bridge.name)
}

function comesUp(host: NetlinkSocket, name: string): boolean {
  const deadline = monotonic() + PORT_UP_TIMEOUT_MS
  for (;;) {
    // On kernels from 6.8 this query makes linkwatch run.
    const link = linkByName(host, name)
    if (link === undefined) throw gone(name)
    if (link.operstate === IF_OPER_UP) return true
    if (monotonic() > deadline) return false
    sleepSync(PORT_UP_POLL_MS)
  }
}
