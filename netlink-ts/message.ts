/**
 * Netlink messages: header, errors with the kernel's own words, building and splitting of buffers.
 *
 * @see include/uapi/linux/netlink.h, netlink(7)
 */

import { attrs } from './attrs.ts'
import { cstring, decode, type Infer, i32, struct, u16, u32 } from './codec.ts'
import { DecodeError, NetlinkError } from './errors.ts'
import { Writer } from './writer.ts'

export const NLM_F_REQUEST = 0x01
export const NLM_F_MULTI = 0x02
export const NLM_F_ACK = 0x04
export const NLM_F_DUMP_INTR = 0x10
/** Modifiers of GET requests. */
export const NLM_F_DUMP = 0x300
/** Modifiers of NEW requests. */
export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_CREATE = 0x400
export const NLM_F_APPEND = 0x800
/** Flags of an acknowledgement. */
const NLM_F_CAPPED = 0x100
const NLM_F_ACK_TLVS = 0x200

export const NLMSG_NOOP = 1
export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3
const NLMSG_HDRLEN = 16

export const nlmsghdr = struct('nlmsghdr', { length: u32, type: u16, flags: u16, seq: u32, pid: u32 })

/** NLMSGERR_ATTR_*, after the error when NETLINK_EXT_ACK is on. */
export const nlmsgerrAttrs = attrs('NLMSGERR_ATTR', { message: [1, cstring], offset: [2, u32] })

/** What a caller asks of the kernel. The socket adds sequence number and port. */
export interface Request {
  /** For error messages: the operation and its object, e.g. `RTM_NEWLINK flatnet0`. */
  readonly op: string
  readonly type: number
  /** Without NLM_F_REQUEST and NLM_F_ACK: the socket adds them. */
  readonly flags: number
  readonly payload: Uint8Array
}

export type Header = Infer<typeof nlmsghdr>

/** A message from the kernel; `payload` follows its header. */
export interface Reply {
  readonly header: Header
  readonly payload: Uint8Array
}

/** One buffer for all requests, with sequence numbers from `seq` upwards. `flags` are added to each. */
export function buildMessages(
  requests: readonly Request[],
  seq: number,
  pid: number,
  flags: number,
): Uint8Array {
  const out = new Writer()
  for (const [i, request] of requests.entries()) {
    const length = NLMSG_HDRLEN + request.payload.byteLength
    nlmsghdr.encode(
      { length, type: request.type, flags: request.flags | flags, seq: (seq + i) >>> 0, pid },
      out,
    )
    out.append(request.payload)
    out.align()
  }
  return out.finish()
}

/** @throws {DecodeError} an impossible length: no part of such a datagram can be trusted */
export function splitMessages(datagram: Uint8Array): Reply[] {
  const replies: Reply[] = []
  const end = datagram.byteLength
  let at = 0
  while (end - at >= NLMSG_HDRLEN) {
    const header = nlmsghdr.decode(datagram, at, at + NLMSG_HDRLEN)
    if (header.length < NLMSG_HDRLEN || header.length > end - at)
      throw new DecodeError('nlmsghdr', at, `message of ${header.length} bytes in ${end - at}`, 'length')
    replies.push({ header, payload: datagram.subarray(at + NLMSG_HDRLEN, at + header.length) })
    at = Math.min(at + ((header.length + 3) & ~3), end)
  }
  if (at < end) throw new DecodeError('nlmsghdr', at, `${end - at} bytes behind the last message`)
  return replies
}

/**
 * The verdict of an NLMSG_ERROR or NLMSG_DONE, which both start with a negative errno or 0.
 * @returns undefined for success
 */
export function verdictOf(reply: Reply, op: string): NetlinkError | undefined {
  const { header, payload } = reply
  // In a few families NLMSG_DONE has no payload.
  if (payload.byteLength < 4 && header.type === NLMSG_DONE) return undefined
  if (payload.byteLength < 4) throw new DecodeError('nlmsgerr', NLMSG_HDRLEN, 'no errno', 'error')
  const errno = -i32.decode(payload, 0, 4)
  if (errno === 0) return undefined
  const { message, offset } = header.flags & NLM_F_ACK_TLVS ? extendedAck(reply) : {}
  return new NetlinkError(op, errno, { kernelMessage: message, offset })
}

/** The TLVs follow the errno (DONE), or the errno and the request's header or its whole copy (ERROR). */
function extendedAck({ header, payload }: Reply): Infer<typeof nlmsgerrAttrs> {
  if (header.type === NLMSG_DONE) return decode(nlmsgerrAttrs, payload.subarray(4))
  if (payload.byteLength < 4 + NLMSG_HDRLEN)
    throw new DecodeError('nlmsgerr', NLMSG_HDRLEN, 'no request header')
  const request = nlmsghdr.decode(payload, 4, 4 + NLMSG_HDRLEN)
  const copied = header.flags & NLM_F_CAPPED ? NLMSG_HDRLEN : (request.length + 3) & ~3
  if (copied > payload.byteLength - 4)
    throw new DecodeError('nlmsgerr', 4, `request of ${copied} bytes`, 'msg')
  return decode(nlmsgerrAttrs, payload.subarray(4 + copied))
}
