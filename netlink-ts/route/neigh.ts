/**
 * RTM_*NEIGH: entries of the neighbour tables (ARP, NDP).
 *
 * @see include/uapi/linux/neighbour.h, rtnetlink(7)
 */

import { attrs } from '../attrs.ts'
import { bytes, decode, encode, headed, pad, struct, u8, u16, u32 } from '../codec.ts'
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, type Reply, type Request } from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'
import { dumpOrNone } from './dump.ts'
import { formatMac, macBytes } from './mac.ts'

const RTM_NEWNEIGH = 28
const RTM_DELNEIGH = 29
const RTM_GETNEIGH = 30

/** NUD_*: how certain the kernel is about an entry. */
export const NUD_REACHABLE = 0x02
export const NUD_STALE = 0x04
export const NUD_FAILED = 0x20
export const NUD_PERMANENT = 0x80

const ndmsg = struct('ndmsg', {
  family: u8,
  pad: pad(3),
  index: u32,
  state: u16,
  flags: u8,
  type: u8,
})

/** NDA_*. */
const neighAttrs = attrs('NDA', {
  dst: [1, bytes],
  lladdr: [2, bytes],
  probes: [4, u32],
  cacheInfo: [3, bytes],
  /** The link, in requests for a list; other messages have it in their header. */
  ifindex: [8, u32],
})
export const neighmsg = headed(ndmsg, neighAttrs)

export interface NeighOptions {
  readonly index: number
  readonly family: number
  readonly dst: Uint8Array
  /** MAC as text. */
  readonly address: string
  /** NUD_*; absent: permanent, so that the kernel neither ages it nor asks again. */
  readonly state?: number | undefined
}

export interface Neigh {
  readonly index: number
  readonly family: number
  readonly dst: Uint8Array
  /** Undefined while the kernel asks for it, and when no answer came. */
  readonly address: string | undefined
  readonly state: number
  readonly flags: number
}

const text = (dst: Uint8Array): string => (dst.byteLength === 4 ? dst.join('.') : dst.toHex())

/** Adds or changes an entry. ENODEV: no such link; EINVAL: the link has no neighbours, or `dst` is no host. */
export function neighReplaceRequest(options: NeighOptions): Request {
  const { family, index, dst, address, state = NUD_PERMANENT } = options
  return {
    op: `RTM_NEWNEIGH ${text(dst)} index ${index}`,
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE | NLM_F_REPLACE,
    payload: encode(neighmsg, {
      header: { family, index, state, flags: 0, type: 0 },
      attrs: { dst, lladdr: macBytes(address) },
    }),
  }
}

/** ENOENT: no such entry. */
export function neighDelRequest({ family, index, dst }: Omit<NeighOptions, 'address' | 'state'>): Request {
  return {
    op: `RTM_DELNEIGH ${text(dst)} index ${index}`,
    type: RTM_DELNEIGH,
    flags: 0,
    payload: encode(neighmsg, { header: { family, index, state: 0, flags: 0, type: 0 }, attrs: { dst } }),
  }
}

export function neighFrom(reply: Reply): Neigh {
  const { header, attrs: found } = decode(neighmsg, reply.payload)
  return {
    index: header.index,
    family: header.family,
    dst: found.dst ?? new Uint8Array(0),
    address: found.lladdr && formatMac(found.lladdr),
    state: header.state,
    flags: header.flags,
  }
}

export interface NeighFilter {
  readonly family?: number | undefined
  readonly index?: number | undefined
}

/** @returns an empty list also when there is no such link */
export function neighList(socket: NetlinkSocket, filter: NeighFilter = {}): Neigh[] {
  const { family = 0, index } = filter
  const header = { family, index: 0, state: 0, flags: 0, type: 0 }
  const replies = dumpOrNone(socket, {
    op: 'RTM_GETNEIGH',
    type: RTM_GETNEIGH,
    flags: NLM_F_DUMP,
    payload: encode(neighmsg, { header, attrs: { ifindex: index } }),
  })
  // Not every family filters by link.
  return replies.map(neighFrom).filter((n) => index === undefined || n.index === index)
}
