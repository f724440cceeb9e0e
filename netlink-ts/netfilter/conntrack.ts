/**
 * Connection tracking: makes the kernel forget connections, so that their next packet meets the present rules.
 *
 * @see include/uapi/linux/netfilter/nfnetlink_conntrack.h
 */

import { attrs, nested } from '../attrs.ts'
import { bytes, decode, encode, headed, type Infer, u8, u16be, u32 } from '../codec.ts'
import { Errno, NetlinkError } from '../errors.ts'
import { NLM_F_DUMP, type Request } from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'
import { NFPROTO_IPV4, nfgenmsg } from './nfnetlink.ts'

const NFNL_SUBSYS_CTNETLINK = 1
const IPCTNL_MSG_CT_GET = 1
const IPCTNL_MSG_CT_DELETE = 2

/** CTA_FILTER_F_*: which parts of a tuple count. In practice uapi: include/net/netfilter/nf_conntrack_tuple.h. */
const CTA_FILTER_F_CTA_IP_SRC = 1 << 0
const CTA_FILTER_F_CTA_IP_DST = 1 << 1
const CTA_FILTER_F_CTA_PROTO_NUM = 1 << 3
const CTA_FILTER_F_CTA_PROTO_DST_PORT = 1 << 5

/** CTA_IP_*. */
const tupleIp = attrs('CTA_IP', { src4: [1, bytes], dst4: [2, bytes], src6: [3, bytes], dst6: [4, bytes] })
/** CTA_PROTO_*; those of ICMP stay unknown attributes. */
const tupleProto = attrs('CTA_PROTO', { number: [1, u8], srcPort: [2, u16be], dstPort: [3, u16be] })
/** CTA_TUPLE_*. */
const tuple = attrs('CTA_TUPLE', {
  ip: [1, nested(tupleIp)],
  proto: [2, nested(tupleProto)],
  zone: [3, u16be],
})
type Tuple = Infer<typeof tuple>

/** CTA_*. */
const conntrackAttrs = attrs('CTA', {
  orig: [1, nested(tuple)],
  reply: [2, nested(tuple)],
  zone: [18, u16be],
  status: [3, bytes],
  mark: [8, bytes],
  id: [12, bytes],
  use: [11, bytes],
  timeout: [7, bytes],
  /** In host order, unlike the rest of nfnetlink. */
  filter: [25, nested(attrs('CTA_FILTER', { origFlags: [1, u32], replyFlags: [2, u32] }))],
})
export const conntrackmsg = headed(nfgenmsg, conntrackAttrs)

export interface ConntrackFilter {
  /** NFPROTO_IPV4 when absent. */
  readonly family?: number | undefined
  /** IPPROTO_*: 6 TCP, 17 UDP. */
  readonly protocol: number
  /** Where the first packet went before any rule changed it. For a published port, the host's port. */
  readonly origDstPort?: number | undefined
  readonly origDstAddr?: Uint8Array | undefined
  /** Which address answers. For a published port, the container's. */
  readonly replySrcAddr?: Uint8Array | undefined
}

const ctType = (message: number): number => (NFNL_SUBSYS_CTNETLINK << 8) | message
const ip = (family: number, src?: Uint8Array, dst?: Uint8Array) =>
  family === NFPROTO_IPV4 ? { src4: src, dst4: dst } : { src6: src, dst6: dst }

/**
 * Deletes the connections that match every given member of the filter. No match is fine.
 * Takes one message on kernels that filter (6.8). On others it reads the table and deletes one connection at a time.
 * @throws {NetlinkError} EPERM without CAP_NET_ADMIN; EINVAL when connection tracking is not there
 */
export function conntrackFlush(socket: NetlinkSocket, filter: ConntrackFilter): void {
  try {
    socket.execute(conntrackFlushRequest(filter))
  } catch (err) {
    // EOPNOTSUPP: the kernel filters only dumps (5.8); EINVAL: it does not filter and wants a whole tuple. In neither
    // case did it delete anything, since CTA_TUPLE_ORIG alone never means "all".
    const tooOld: readonly number[] = [Errno.EOPNOTSUPP, Errno.EINVAL]
    if (!(err instanceof NetlinkError && tooOld.includes(err.errno))) throw err
    conntrackFlushByDump(socket, filter)
  }
}

export function conntrackFlushRequest(filter: ConntrackFilter): Request {
  const { family = NFPROTO_IPV4, protocol, origDstPort, origDstAddr, replySrcAddr } = filter
  const origFlags =
    CTA_FILTER_F_CTA_PROTO_NUM |
    (origDstPort === undefined ? 0 : CTA_FILTER_F_CTA_PROTO_DST_PORT) |
    (origDstAddr === undefined ? 0 : CTA_FILTER_F_CTA_IP_DST)
  return {
    op: `IPCTNL_MSG_CT_DELETE protocol ${protocol}${origDstPort === undefined ? '' : ` port ${origDstPort}`}`,
    type: ctType(IPCTNL_MSG_CT_DELETE),
    flags: 0,
    payload: encode(conntrackmsg, {
      // The kernel ignores the family when the version is 0.
      header: { family, version: 1, resId: 0 },
      attrs: {
        orig: {
          ip: ip(family, undefined, origDstAddr),
          proto: { number: protocol, dstPort: origDstPort },
        },
        reply: replySrcAddr && { ip: ip(family, replySrcAddr) },
        filter: { origFlags, replyFlags: replySrcAddr === undefined ? 0 : CTA_FILTER_F_CTA_IP_SRC },
      },
    }),
  }
}

/**
 * For older kernels, and for many ports at once: walks the table once for all of them. Ignores connections that end
 * meanwhile.
 * @param origDstPorts one of them has to match; absent: any port
 */
export function conntrackFlushByDump(
  socket: NetlinkSocket,
  filter: ConntrackFilter,
  origDstPorts?: ReadonlySet<number>,
): void {
  const { family = NFPROTO_IPV4 } = filter
  const header = { family, version: 0, resId: 0 }
  const replies = socket.execute({
    op: 'IPCTNL_MSG_CT_GET',
    type: ctType(IPCTNL_MSG_CT_GET),
    flags: NLM_F_DUMP,
    payload: encode(conntrackmsg, { header, attrs: {} }),
  })
  const requests = replies
    .map((reply) => decode(conntrackmsg, reply.payload).attrs)
    .filter(({ orig, reply }) => matches(filter, orig, reply))
    .filter(({ orig }) => origDstPorts === undefined || origDstPorts.has(orig?.proto?.dstPort ?? -1))
    .map(({ orig, id, zone }) => ({
      op: 'IPCTNL_MSG_CT_DELETE',
      type: ctType(IPCTNL_MSG_CT_DELETE),
      flags: 0,
      // The id spares a new connection with the same tuple.
      payload: encode(conntrackmsg, { header, attrs: { orig, id, zone } }),
    }))
  for (const outcome of socket.executeAll(requests))
    if (outcome instanceof NetlinkError && outcome.errno !== Errno.ENOENT) throw outcome
}

function matches(filter: ConntrackFilter, orig: Tuple = {}, reply: Tuple = {}): boolean {
  const { protocol, origDstPort, origDstAddr, replySrcAddr } = filter
  return (
    orig.proto?.number === protocol &&
    (origDstPort === undefined || orig.proto.dstPort === origDstPort) &&
    (origDstAddr === undefined || same(origDstAddr, orig.ip?.dst4 ?? orig.ip?.dst6)) &&
    (replySrcAddr === undefined || same(replySrcAddr, reply.ip?.src4 ?? reply.ip?.src6))
  )
}

const same = (a: Uint8Array, b: Uint8Array | undefined): boolean =>
  b !== undefined && a.length === b.length && a.every((byte, i) => byte === b[i])
