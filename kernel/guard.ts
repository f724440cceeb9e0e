/**
 * What may leave a container's port of the bridge: the sets `armed` and `sources` of table `bridge flatnet`.
 *
 * An element of `sources` is a device group, a MAC and an address. A port's group is the address of its container, and
 * nearly every MAC is made of the address (`macOf`), so what 256 neighbouring ports may send is known before they are
 * there: the first ADD among them puts it in, and it stays. From then on ADD sets the group in the message that makes
 * the pair and looks one element up, and DEL does nothing. With elements that came and went with each container ADD
 * took 1.07 of its time, and DEL 1.20: each waited for a transaction.
 *
 * A port with elements of its own, for a MAC that was asked for or because its container is on several networks, has
 * another group (`ownGroup`).
 *
 * A port whose group is not in `armed` passes everything: it is of an older release, or a firewall was flushed and the
 * gateway has not been there yet. Containers go on meanwhile.
 */

import { Errno, NetlinkError } from 'netlink-ts/errors.ts'
import { type ElementKey, elementsGet } from 'netlink-ts/netfilter/elemget.ts'
import { concat, devgroup, devgroupFrom, split } from 'netlink-ts/netfilter/keys.ts'
import { NFPROTO_BRIDGE, nftTransaction } from 'netlink-ts/netfilter/nfnetlink.ts'
import { setElemAddRequest, setElemDelRequest, setElemList } from 'netlink-ts/netfilter/set.ts'
import { linkList, linkSetRequest } from 'netlink-ts/route/link.ts'
import { formatMac, macBytes } from 'netlink-ts/route/mac.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import { type Ipv4, ipv4Bytes, ipv4FromBytes, macOf, parseCidr4 } from '../core/addr.ts'
import { parseAlias } from '../core/attachment.ts'
import type { Netfilter } from './netfilter.ts'
import { TABLE } from './rules-text.ts'

/** How many addresses get their elements together. */
const BLOCK = 256

/** What a container sends as. */
export interface Source {
  readonly mac: string
  readonly ip: Ipv4
}

/** One element of `sources`. */
export interface Passed extends Source {
  readonly group: number
}

/** Whether its port has no elements of its own, as long as its container is on one network. */
export const isCommon = ({ mac, ip }: Source): boolean => mac === macOf(ip)

/** Of a port with elements of its own: its address with each bit the other way round, which no container has. */
export const ownGroup = (ip: Ipv4): number => ~ip >>> 0

const keyOf = ({ group, mac, ip }: Passed): Uint8Array =>
  concat(devgroup(group), macBytes(mac), ipv4Bytes(ip))

export const passedElement = (passed: Passed): ElementKey => ({
  family: NFPROTO_BRIDGE,
  table: TABLE,
  set: 'sources',
  key: keyOf(passed),
})

const at = (set: 'armed' | 'sources', keys: readonly Uint8Array[]) => ({
  family: NFPROTO_BRIDGE,
  table: TABLE,
  set,
  elements: keys.map((key) => ({ key })),
})

/** The first address of those whose elements are put in together. */
export const blockOf = (ip: Ipv4): Ipv4 => ip - (ip % BLOCK)

/** What an address and its neighbours may send, whose MACs are made of them. */
export function addBlock(socket: NetlinkSocket, ip: Ipv4): void {
  const base = blockOf(ip)
  const addresses = Array.from({ length: BLOCK }, (_, i) => base + i)
  const passed = addresses.map((address) => ({ group: address, mac: macOf(address), ip: address }))
  nftTransaction(socket, [
    setElemAddRequest(at('sources', passed.map(keyOf))),
    setElemAddRequest(at('armed', addresses.map(devgroup))),
  ])
}

/** None when there is no table. */
export function listPassed(socket: NetlinkSocket): Passed[] {
  return orIfAbsent([], () =>
    setElemList(socket, NFPROTO_BRIDGE, TABLE, 'sources').map(({ key }) => {
      const [group, mac, ip] = split(key, 4, 6, 4) as [Uint8Array, Uint8Array, Uint8Array]
      return { group: devgroupFrom(group), mac: formatMac(mac), ip: ipv4FromBytes(ip) }
    }),
  )
}

function orIfAbsent<T>(fallback: T, run: () => T): T {
  try {
    return run()
  } catch (err) {
    if (err instanceof NetlinkError && err.errno === Errno.ENOENT) return fallback
    throw err
  }
}

/** A port of ours as the kernel has it. */
export interface Port {
  readonly index: number
  readonly name: string
  readonly group: number
  readonly containerId: string
  readonly ip: Ipv4
}

export function listPorts(host: NetlinkSocket): Port[] {
  return linkList(host, { kind: 'veth' }).flatMap(({ index, name, group, alias }) => {
    const parsed = parseAlias(alias ?? '')
    const ip = parseCidr4(parsed?.cidr ?? '')?.ip
    if (parsed === undefined || ip === undefined) return []
    return [{ index, name, group, containerId: parsed.attachment.containerId, ip }]
  })
}

/** What a port with elements of its own passes: its MAC with each address of its container. */
export const ownPassed = (port: Source, ips: readonly Ipv4[]): Passed[] =>
  ips.map((ip) => ({ group: ownGroup(port.ip), mac: port.mac, ip }))

/** Makes the elements of these groups exactly these; the groups are in force from then on. */
export function replacePassed(
  socket: NetlinkSocket,
  present: readonly Passed[],
  wanted: readonly Passed[],
): void {
  const groups = [...new Set(wanted.map(({ group }) => group))]
  const old = present.filter(({ group }) => groups.includes(group))
  nftTransaction(socket, [
    ...(old.length > 0 ? [setElemDelRequest(at('sources', old.map(keyOf)))] : []),
    setElemAddRequest(at('sources', wanted.map(keyOf))),
    setElemAddRequest(at('armed', groups.map(devgroup))),
  ])
}

/**
 * Before the container's end is up, for a MAC that was asked for, and for a container on several networks: it sends
 * from all of its addresses by each of its ports, since an answer takes the default route.
 * @param port that was made without a group when its MAC was asked for
 */
export function guardPort(host: NetlinkSocket, { socket }: Netfilter, port: Source & { name: string }): void {
  const ports = listPorts(host)
  const containerId = ports.find(({ name }) => name === port.name)?.containerId
  const ofContainer = ports.filter((p) => p.containerId === containerId)
  if (isCommon(port) && ofContainer.length < 2) return
  const present = listPassed(socket)
  const ips = ofContainer.map(({ ip }) => ip)
  const guarded = ofContainer.flatMap((p) => {
    const mac = p.name === port.name ? port.mac : macOfPort(present, p)
    return mac === undefined ? [] : [{ ...p, mac }]
  })
  const wanted = guarded.flatMap((p) => ownPassed(p, ips))
  orIfAbsent(undefined, () => replacePassed(socket, present, wanted))
  for (const { index, ip } of guarded) setGroup(host, index, ownGroup(ip))
}

/**
 * From the elements: the container may have given its interface another one. undefined: the port is not guarded, and
 * stays so.
 */
const macOfPort = (present: readonly Passed[], { group, ip }: Port): string | undefined =>
  present.find((p) => p.group === group && p.ip === ip)?.mac

/** @returns whether the port was still there */
export function setGroup(host: NetlinkSocket, index: number, group: number): boolean {
  const [outcome] = host.executeAll([linkSetRequest({ index, group })])
  if (!(outcome instanceof Error)) return true
  // Its container has ended meanwhile.
  if (outcome.errno === Errno.ENODEV) return false
  throw outcome
}

/** Removes the elements that only the container of this address needed, once its link is gone. Absent is done. */
export function forgetPort({ socket }: Netfilter, ip: Ipv4): void {
  const own = listPassed(socket).filter((p) => p.group !== p.ip && (p.group === ownGroup(ip) || p.ip === ip))
  removePassed(socket, own)
}

/** A group is not in force any more without the element of its port's own address. */
export function removePassed(socket: NetlinkSocket, passed: readonly Passed[]): void {
  const groups = new Set(passed.filter((p) => p.group === ownGroup(p.ip)).map(({ group }) => group))
  // One by one: another process may remove the same ones.
  const requests = [
    ...[...groups].map((group) => setElemDelRequest(at('armed', [devgroup(group)]))),
    ...passed.map((p) => setElemDelRequest(at('sources', [keyOf(p)]))),
  ]
  for (const request of requests) orIfAbsent(undefined, () => nftTransaction(socket, [request]))
}

/** Whether the ruleset knows what a port passes: false also when there is no table for bridges. */
export function isArmed({ socket }: Netfilter, passed: Passed): boolean {
  const armed = { family: NFPROTO_BRIDGE, table: TABLE, set: 'armed', key: devgroup(passed.group) }
  return !elementsGet(socket, [passedElement(passed), armed]).includes(undefined)
}
