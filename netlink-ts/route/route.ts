/** RTM_*ROUTE: routes. include/uapi/linux/rtnetlink.h; rtnetlink(7). */

import { attrs } from '../attrs.ts'
import { bytes, decode, encode, headed, type Infer, struct, u8, u32 } from '../codec.ts'
import { Errno, NetlinkError } from '../errors.ts'
import {
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  type Reply,
  type Request,
} from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'
import { dumpOrNone } from './dump.ts'

const AF_INET = 2
const AF_INET6 = 10

const RTM_NEWROUTE = 24
const RTM_DELROUTE = 25
const RTM_GETROUTE = 26

export const RT_TABLE_MAIN = 254
export const RT_SCOPE_UNIVERSE = 0
export const RT_SCOPE_LINK = 253
export const RT_SCOPE_NOWHERE = 255
export const RTPROT_BOOT = 3
export const RTPROT_STATIC = 4
const RTNH_F_ONLINK = 4
/** The answer to a look-up is a copy made for it, not a route from a table. */
const RTM_F_CLONED = 0x200

/** RTN_*. */
const TYPES = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
} as const
export type RouteType = keyof typeof TYPES

const rtmsg = struct('rtmsg', {
  family: u8,
  dstLen: u8,
  srcLen: u8,
  tos: u8,
  table: u8,
  protocol: u8,
  scope: u8,
  type: u8,
  flags: u32,
})

/** RTAX_*, in bytes. */
const routeMetrics = attrs('RTAX', { mtu: [2, u32], window: [3, u32], advmss: [8, u32] })

/** RTA_*. */
const routeAttrs = attrs('RTA', {
  table: [15, u32],
  dst: [1, bytes],
  src: [2, bytes],
  priority: [6, u32],
  metrics: [8, routeMetrics],
  prefSrc: [7, bytes],
  gateway: [5, bytes],
  oif: [4, u32],
  iif: [3, u32],
  multipath: [9, bytes],
  mark: [16, u32],
  uid: [25, u32],
  pref: [20, u8],
  cacheInfo: [12, bytes],
})

export const routemsg = headed(rtmsg, routeAttrs)

export interface RoutePrefix {
  /** 4 or 16 bytes, network order, host bits zero (EINVAL otherwise). */
  readonly address: Uint8Array
  readonly prefixLen: number
}

export interface RouteOptions {
  readonly family: number
  /** Absent: the default route. */
  readonly dst?: RoutePrefix | undefined
  readonly gateway?: Uint8Array | undefined
  readonly oif?: number | undefined
  /** Preferred source address. */
  readonly src?: Uint8Array | undefined
  /** The lower one wins; absent: 0 for IPv4, 1024 for IPv6. */
  readonly metric?: number | undefined
  readonly table?: number | undefined
  /** Default: link without a gateway, else universe (IPv4). */
  readonly scope?: number | undefined
  readonly protocol?: number | undefined
  readonly type?: RouteType | undefined
  readonly mtu?: number | undefined
  readonly advmss?: number | undefined
  /** The gateway is on the link, although no route says so. */
  readonly onlink?: boolean | undefined
  /** Replaces a route with equal destination, metric and tos instead of failing with EEXIST. */
  readonly replace?: boolean | undefined
  /** Goes after routes with equal destination, metric and tos, which stay in use, instead of EEXIST. IPv4. */
  readonly append?: boolean | undefined
}

export interface Route {
  readonly family: number
  readonly dst: RoutePrefix | undefined
  readonly gateway: Uint8Array | undefined
  readonly oif: number | undefined
  readonly src: Uint8Array | undefined
  readonly metric: number
  readonly table: number
  readonly scope: number
  readonly protocol: number
  /** `other`: a type that no administrator makes, e.g. anycast. */
  readonly type: RouteType | 'other'
  readonly mtu: number | undefined
  readonly advmss: number | undefined
  readonly onlink: boolean
}

const text = ({ dst }: RouteOptions): string =>
  dst === undefined
    ? 'default'
    : `${dst.address.byteLength === 4 ? dst.address.join('.') : dst.address.toHex()}/${dst.prefixLen}`

function request(
  verb: string,
  type: number,
  flags: number,
  header: Infer<typeof rtmsg>,
  o: RouteOptions,
): Request {
  const metrics = o.mtu === undefined && o.advmss === undefined ? undefined : { mtu: o.mtu, advmss: o.advmss }
  return {
    op: `${verb} ${text(o)}`,
    type,
    flags,
    payload: encode(routemsg, {
      header,
      attrs: {
        table: header.table === 0 ? o.table : undefined,
        dst: o.dst?.address,
        priority: o.metric,
        prefSrc: o.src,
        metrics,
        gateway: o.gateway,
        oif: o.oif,
      },
    }),
  }
}

const headerOf = (o: RouteOptions, defaults: { protocol: number; scope: number; type: number }) => ({
  family: o.family,
  dstLen: o.dst?.prefixLen ?? 0,
  srcLen: 0,
  tos: 0,
  // The field has 8 bits; RTA_TABLE names larger tables.
  table: (o.table ?? RT_TABLE_MAIN) < 256 ? (o.table ?? RT_TABLE_MAIN) : 0,
  protocol: o.protocol ?? defaults.protocol,
  scope: o.scope ?? defaults.scope,
  type: o.type === undefined ? defaults.type : TYPES[o.type],
  flags: o.onlink ? RTNH_F_ONLINK : 0,
})

/** EEXIST: a route has this destination and metric; ENETUNREACH: the gateway is on no link, or the link is down. */
export function routeAddRequest(options: RouteOptions): Request {
  const direct = options.gateway === undefined && (options.type ?? 'unicast') === 'unicast'
  const scope = direct ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE
  const header = headerOf(options, { protocol: RTPROT_BOOT, scope, type: TYPES.unicast })
  const exists = options.append ? NLM_F_APPEND : NLM_F_EXCL
  const flags = NLM_F_CREATE | (options.replace ? NLM_F_REPLACE : exists)
  return request('RTM_NEWROUTE', RTM_NEWROUTE, flags, header, options)
}

/** Deletes the first route that matches all given members; absent ones match anything. ESRCH: no such route. */
export function routeDelRequest(options: RouteOptions): Request {
  const header = headerOf(options, { protocol: 0, scope: RT_SCOPE_NOWHERE, type: 0 })
  return request('RTM_DELROUTE', RTM_DELROUTE, 0, header, options)
}

function typeOf(type: number): Route['type'] {
  for (const name of Object.keys(TYPES) as RouteType[]) if (TYPES[name] === type) return name
  return 'other'
}

export function routeFrom(reply: Reply): Route {
  const { header, attrs } = decode(routemsg, reply.payload)
  return {
    family: header.family,
    dst: attrs.dst && { address: attrs.dst, prefixLen: header.dstLen },
    gateway: attrs.gateway,
    oif: attrs.oif,
    src: attrs.prefSrc,
    metric: attrs.priority ?? 0,
    table: attrs.table ?? header.table,
    scope: header.scope,
    protocol: header.protocol,
    type: typeOf(header.type),
    mtu: attrs.metrics?.mtu,
    advmss: attrs.metrics?.advmss,
    onlink: (header.flags & RTNH_F_ONLINK) !== 0,
  }
}

export interface RouteFilter {
  readonly family?: number | undefined
  /** Absent: all tables, with the kernel's own `local` (255). */
  readonly table?: number | undefined
  readonly oif?: number | undefined
}

const wildcard = { dstLen: 0, srcLen: 0, tos: 0, table: 0, protocol: 0, scope: 0, type: 0, flags: 0 }

/** Routes with several next hops have neither `gateway` nor `oif`. */
export function routeList(socket: NetlinkSocket, filter: RouteFilter = {}): Route[] {
  const { family = 0, table, oif } = filter
  const replies = dumpOrNone(socket, {
    op: 'RTM_GETROUTE',
    type: RTM_GETROUTE,
    flags: NLM_F_DUMP,
    payload: encode(routemsg, { header: { ...wildcard, family }, attrs: { table, oif } }),
  })
  return replies
    .filter((reply) => (decode(routemsg, reply.payload).header.flags & RTM_F_CLONED) === 0)
    .map(routeFrom)
    .filter((r) => (table === undefined || r.table === table) && (oif === undefined || r.oif === oif))
}

/**
 * The route that a packet to `dst` would take. @returns undefined: none (ENETUNREACH), or an `unreachable` one or so
 */
export function routeGet(socket: NetlinkSocket, dst: Uint8Array): Route | undefined {
  const family = dst.byteLength === 4 ? AF_INET : AF_INET6
  try {
    const replies = socket.execute({
      op: `RTM_GETROUTE ${text({ family, dst: { address: dst, prefixLen: dst.byteLength * 8 } })}`,
      type: RTM_GETROUTE,
      flags: 0,
      payload: encode(routemsg, {
        header: { ...wildcard, family, dstLen: dst.byteLength * 8 },
        attrs: { dst },
      }),
    })
    const [reply] = replies
    return reply && routeFrom(reply)
  } catch (err) {
    const none: readonly number[] = [Errno.ENETUNREACH, Errno.EHOSTUNREACH, Errno.EINVAL, Errno.EACCES]
    if (err instanceof NetlinkError && none.includes(err.errno)) return undefined
    throw err
  }
}
