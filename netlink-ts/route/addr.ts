/** RTM_*ADDR: addresses of links. include/uapi/linux/if_addr.h; rtnetlink(7). */

import { attrs } from '../attrs.ts'
import { bytes, cstring, decode, encode, headed, struct, u8, u32 } from '../codec.ts'
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REPLACE, type Reply, type Request } from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'
import { dumpOrNone } from './dump.ts'

const RTM_NEWADDR = 20
const RTM_DELADDR = 21
const RTM_GETADDR = 22

export const AF_INET = 2
export const AF_INET6 = 10

/** IFA_F_*. */
export const IFA_F_NODAD = 0x02
export const IFA_F_DADFAILED = 0x08
export const IFA_F_TENTATIVE = 0x40
export const IFA_F_PERMANENT = 0x80
export const IFA_F_NOPREFIXROUTE = 0x200

const ifaddrmsg = struct('ifaddrmsg', { family: u8, prefixLen: u8, flags: u8, scope: u8, index: u32 })

/** IFA_*. `local` is the link's address; `address` is the same, or a point-to-point link's other end. */
const addrAttrs = attrs('IFA', {
  address: [1, bytes],
  local: [2, bytes],
  broadcast: [4, bytes],
  label: [3, cstring],
  /** All flags; ifaddrmsg.flags has room only for the low eight. */
  flags: [8, u32],
  priority: [9, u32],
  protocol: [11, u8],
  cacheInfo: [6, bytes],
})

export const addrmsg = headed(ifaddrmsg, addrAttrs)

export interface Addr {
  readonly index: number
  readonly family: number
  /** 4 or 16 bytes, network order. */
  readonly address: Uint8Array
  readonly prefixLen: number
  readonly broadcast: Uint8Array | undefined
  /** IFA_F_* */
  readonly flags: number
  /** RT_SCOPE_*: 0 global, 253 link, 254 host. */
  readonly scope: number
  readonly label: string | undefined
}

export interface AddrOptions {
  readonly index: number
  readonly family: number
  readonly address: Uint8Array
  readonly prefixLen: number
  readonly broadcast?: Uint8Array | undefined
  readonly flags?: number | undefined
  readonly scope?: number | undefined
  /** Replaces an equal address instead of failing with EEXIST. */
  readonly replace?: boolean | undefined
}

const text = (address: Uint8Array, prefixLen: number): string =>
  `${address.byteLength === 4 ? address.join('.') : address.toHex()}/${prefixLen}`

function request(verb: string, type: number, flags: number, options: AddrOptions): Request {
  const { index, family, address, prefixLen, scope = 0 } = options
  return {
    op: `${verb} ${text(address, prefixLen)} index ${index}`,
    type,
    flags,
    payload: encode(addrmsg, {
      header: { family, prefixLen, flags: (options.flags ?? 0) & 0xff, scope, index },
      attrs: { address, local: address, broadcast: options.broadcast, flags: options.flags },
    }),
  }
}

/** EEXIST: the link has it; ENODEV: the link is gone; EACCES: IPv6 is off; EADDRNOTAVAIL, EINVAL: no host address. */
export const addrAddRequest = (options: AddrOptions): Request =>
  request('RTM_NEWADDR', RTM_NEWADDR, NLM_F_CREATE | (options.replace ? NLM_F_REPLACE : NLM_F_EXCL), options)

/** EADDRNOTAVAIL: the link does not have it. */
export const addrDelRequest = (options: AddrOptions): Request =>
  request('RTM_DELADDR', RTM_DELADDR, 0, { ...options, broadcast: undefined, flags: undefined })

export function addrFrom(reply: Reply): Addr {
  const { header, attrs } = decode(addrmsg, reply.payload)
  return {
    index: header.index,
    family: header.family,
    address: attrs.local ?? attrs.address ?? new Uint8Array(0),
    prefixLen: header.prefixLen,
    broadcast: attrs.broadcast,
    flags: attrs.flags ?? header.flags,
    scope: header.scope,
    label: attrs.label,
  }
}

export interface AddrFilter {
  readonly index?: number | undefined
  readonly family?: number | undefined
}

/** @returns an empty list also when there is no such link */
export function addrList(socket: NetlinkSocket, filter: AddrFilter = {}): Addr[] {
  const { index = 0, family = 0 } = filter
  const replies = dumpOrNone(socket, {
    op: 'RTM_GETADDR',
    type: RTM_GETADDR,
    flags: NLM_F_DUMP,
    payload: encode(addrmsg, { header: { family, prefixLen: 0, flags: 0, scope: 0, index }, attrs: {} }),
  })
  // Kernels before 4.20 do not filter.
  const addrs: Addr[] = []
  for (const reply of replies) {
    const addr = addrFrom(reply)
    if ((index === 0 || addr.index === index) && (family === 0 || addr.family === family)) addrs.push(addr)
  }
  return addrs
}
