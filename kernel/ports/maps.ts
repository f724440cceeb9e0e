/** The two maps of `inet flatnet` that hold published ports: keys, look-ups and edits. */

import { Errno } from 'netlink-ts/errors.ts'
import type { Request } from 'netlink-ts/message.ts'
import { conntrackFlush, conntrackFlushByDump } from 'netlink-ts/netfilter/conntrack.ts'
import { setElemGet } from 'netlink-ts/netfilter/elemget.ts'
import { concat, port as portBytes } from 'netlink-ts/netfilter/keys.ts'
import { NFPROTO_INET, nftTransaction } from 'netlink-ts/netfilter/nfnetlink.ts'
import {
  type SetElement,
  setElemAddRequest,
  setElemDelRequest,
  setElemList,
} from 'netlink-ts/netfilter/set.ts'
import type { NetlinkSocket } from 'netlink-ts/socket.ts'
import { type Ipv4, ipv4Bytes, parseIpv4 } from '../../core/addr.ts'
import type { PortMapping } from '../../core/api.ts'
import { TABLE } from '../rules-text.ts'

/** IANA protocol numbers. */
const PROTOCOLS = { tcp: 6, udp: 17, sctp: 132 } as const
export const SETS = ['ports', 'ports_any'] as const
export type SetName = (typeof SETS)[number]
/** 64 KiB hold about 800 elements; half of that leaves room for comments. */
export const CHUNK = 400

export interface Slot {
  readonly mapping: PortMapping
  readonly set: SetName
  readonly key: Uint8Array
}

export function slotOf(mapping: PortMapping): Slot {
  const protocol = Uint8Array.of(PROTOCOLS[mapping.protocol])
  const hostPort = portBytes(mapping.hostPort)
  const hostIp = parseIpv4(mapping.hostIP)
  return hostIp === undefined
    ? { mapping, set: 'ports_any', key: concat(protocol, hostPort) }
    : { mapping, set: 'ports', key: concat(protocol, ipv4Bytes(hostIp), hostPort) }
}

export const show = ({ protocol, hostIP, hostPort }: PortMapping): string =>
  `${protocol} ${hostIP || '*'}:${hostPort}`

/** Slots of one map, as many as one request holds. */
export interface Part {
  readonly set: SetName
  readonly slots: readonly Slot[]
}

export function partsOf(slots: readonly Slot[]): Part[] {
  return SETS.flatMap((set) => {
    const ours = slots.filter((slot) => slot.set === set)
    const count = Math.ceil(ours.length / CHUNK)
    return Array.from({ length: count }, (_, i) => ({ set, slots: ours.slice(i * CHUNK, (i + 1) * CHUNK) }))
  })
}

/** The elements at the slots, in their order. */
export function present(socket: NetlinkSocket, slots: readonly Slot[]): (SetElement | undefined)[] {
  const found = new Map<Slot, SetElement | undefined>()
  for (const part of partsOf(slots)) {
    const keys = part.slots.map((slot) => slot.key)
    const elements = setElemGet(socket, NFPROTO_INET, TABLE, part.set, keys)
    part.slots.forEach((slot, i) => {
      found.set(slot, elements[i])
    })
  }
  return slots.map((slot) => found.get(slot))
}

export const dataOf = ({ mapping }: Slot, ip: Ipv4): Uint8Array =>
  concat(ipv4Bytes(ip), portBytes(mapping.containerPort))

/** The container's port in an element's data, behind the address. */
export const portIn = (data: Uint8Array | undefined): Uint8Array | undefined => data?.subarray(4)

export interface Edit {
  readonly slot: Pick<Slot, 'set' | 'key'>
  /** The present element, which is deleted; undefined when the port is free. */
  readonly standing: SetElement | undefined
  /** The element that is added in the same transaction; undefined: none. */
  readonly element: SetElement | undefined
}

/**
 * All edits of a part at once, or none of them.
 * @param generation of the ruleset that they were made for
 */
export function change(socket: NetlinkSocket, edits: readonly Edit[], generation?: number): void {
  let expected = generation
  for (const set of SETS) {
    const ours = edits.filter(({ slot }) => slot.set === set)
    for (let i = 0; i < ours.length; i += CHUNK) {
      nftTransaction(socket, requestsOf(set, ours.slice(i, i + CHUNK)), expected)
      // Each transaction counts it up by one, past 0 (nf_tables_commit).
      if (expected !== undefined) expected = (expected + 1) >>> 0 || 1
    }
  }
}

export function requestsOf(set: SetName, edits: readonly Edit[]): Request[] {
  const at = (elements: SetElement[]) => ({ family: NFPROTO_INET, table: TABLE, set, elements })
  const gone = edits.flatMap(({ slot, standing }) => (standing === undefined ? [] : [{ key: slot.key }]))
  const come = edits.flatMap(({ element }) => (element === undefined ? [] : [element]))
  return [
    ...(gone.length > 0 ? [setElemDelRequest(at(gone))] : []),
    ...(come.length > 0 ? [setElemAddRequest(at(come))] : []),
  ]
}

export function listOf(socket: NetlinkSocket, set: SetName): SetElement[] {
  try {
    return setElemList(socket, NFPROTO_INET, TABLE, set)
  } catch (err) {
    if (isAbsent(err)) return []
    throw err
  }
}

export const hasErrno = (err: unknown, errno: number): boolean =>
  err instanceof Error && 'errno' in err && err.errno === errno
export const isAbsent = (err: unknown): boolean => hasErrno(err, Errno.ENOENT)

/**
 * UDP has no end of a connection: a client that keeps sending keeps the old translation alive for ever, so the entries
 * of these host ports go (plugins #123). Best effort: without conntrack there is nothing to flush.
 */
export function flushUdp(socket: NetlinkSocket, mappings: readonly PortMapping[]): void {
  const ports = new Set(mappings.flatMap((m) => (m.protocol === 'udp' ? [m.hostPort] : [])))
  const protocol = PROTOCOLS.udp
  try {
    // The kernel walks its whole table for each message, whether that names a port or lists all.
    if (ports.size > MAX_FLUSHES) conntrackFlushByDump(socket, { protocol }, ports)
    else for (const origDstPort of ports) conntrackFlush(socket, { protocol, origDstPort })
  } catch {
    // See above.
  }
}

const MAX_FLUSHES = 32
