/**
 * Judges packets at the tunnel's two ends. Pure: bytes and slices in, a verdict out.
 *
 * A peer's packets are written to a device of this kernel, so nothing is trusted: neither the source address nor the
 * virtio header, by which the kernel learns where to write a checksum and how to cut a packet.
 */

import type { Ipv4, Prefix4 } from '../../../core/addr.ts'
import { VIRTIO_HEADER } from './frame.ts'
import {
  CSUM_OFFSET,
  CSUM_START,
  F_NEEDS_CSUM,
  FLAGS,
  GSO_ECN,
  GSO_NONE,
  GSO_SIZE,
  GSO_TCPV4,
  GSO_TYPE,
  GSO_UDP_L4,
  HDR_LEN,
} from './virtio.ts'

/** Why a packet is refused; `ok` is 0. Numbers, since one is made per packet; `dropReason` has the word for metrics. */
export const Verdict = {
  ok: 0,
  /** Too few bytes for a virtio and an IP header, or for the header that these announce. */
  short: 1,
  ipv6: 2,
  /** Neither IPv4 nor IPv6. */
  version: 3,
  /** IHL below 5. */
  headerLength: 4,
  /** The IP header's total length is not that of the packet. */
  totalLength: 5,
  /** An IP option that chooses the way: it would undo the check of the destination. */
  sourceRoute: 6,
  /** Flags that no sender sets: RSC, unknown ones, or two that exclude each other. */
  virtioFlags: 7,
  /** hdr_len past the end. */
  virtioHeaderLength: 8,
  /**
   * The checksum's place is outside the packet, or in the IP header, which has been judged already; or, in a packet
   * to be cut, not the protocol's.
   */
  checksumPlace: 9,
  /** Unknown, of IPv6, of UFO, or not that of the packet's protocol. */
  gsoType: 10,
  /** Segmentation without a checksum to be filled in, or of a fragment. */
  gsoState: 11,
  /** 0, or so small that one frame would become a flood. */
  gsoSize: 12,
  foreignSource: 13,
  foreignDestination: 14,
} as const
export type Verdict = (typeof Verdict)[keyof typeof Verdict]

const F_DATA_VALID = 2

const IPPROTO_TCP = 6
const IPPROTO_UDP = 17
const IP_HEADER = 20
const TCP_HEADER = 20
const UDP_HEADER = 8
const TCP_CHECKSUM = 16
const UDP_CHECKSUM = 6
/** TCP_MIN_GSO_SIZE, include/net/tcp.h: Linux never cuts TCP finer. */
const MIN_TCP_GSO = 8
/** UDP_MAX_SEGMENTS, include/linux/udp.h. */
const MAX_UDP_SEGMENTS = 128
/** GSO_BY_FRAGS, include/linux/skbuff.h: means something else inside the kernel. */
const GSO_BY_FRAGS = 0xffff
/** MF and the offset; DF and the reserved bit are not in it. */
const FRAGMENT = 0x3fff
const OPTION_END = 0
const OPTION_NOP = 1
const OPTION_LSRR = 131
const OPTION_SSRR = 137

const u16be = (b: Uint8Array, at: number): number => (b[at]! << 8) | b[at + 1]!
const u16le = (b: Uint8Array, at: number): number => b[at]! | (b[at + 1]! << 8)
const ipv4At = (b: Uint8Array, at: number): Ipv4 =>
  ((b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!) >>> 0

/**
 * As `contains` of core/addr.ts, by a shift: a power of two per packet was 2 % of the time. Not for /0, which no
 * slice is.
 */
export const isInside = (prefix: Prefix4, ip: Ipv4): boolean =>
  (ip ^ prefix.base) >>> (32 - prefix.prefixLen) === 0

/** Of a packet whose verdict is ok or one of the two `foreign…`; `start` is that of the virtio header. */
export const destinationOf = (b: Uint8Array, start: number): Ipv4 => ipv4At(b, start + VIRTIO_HEADER + 16)

/**
 * A packet from a peer, `start` to `end` of `bytes`: virtio header and IP packet.
 * @param from slice of the host that sent it
 */
export function checkIncoming(
  bytes: Uint8Array,
  start: number,
  end: number,
  from: Prefix4,
  own: Prefix4,
): Verdict {
  const ip = start + VIRTIO_HEADER
  const shape = checkIpv4(bytes, ip, end)
  if (shape !== Verdict.ok) return shape
  const virtio = checkVirtio(bytes, start, end)
  if (virtio !== Verdict.ok) return virtio
  if (!isInside(from, ipv4At(bytes, ip + 12))) return Verdict.foreignSource
  if (!isInside(own, ipv4At(bytes, ip + 16))) return Verdict.foreignDestination
  return Verdict.ok
}

/**
 * A packet from the own kernel, which is well-formed. Its source must be in the own slice, or peers would refuse it.
 * The caller finds the host of its destination by `destinationOf`.
 */
export function checkOutgoing(bytes: Uint8Array, start: number, end: number, own: Prefix4): Verdict {
  const ip = start + VIRTIO_HEADER
  const shape = checkIpv4(bytes, ip, end)
  if (shape !== Verdict.ok) return shape
  return isInside(own, ipv4At(bytes, ip + 12)) ? Verdict.ok : Verdict.foreignSource
}

function checkIpv4(b: Uint8Array, ip: number, end: number): Verdict {
  if (ip >= end || end > b.byteLength) return Verdict.short
  const version = b[ip]! >>> 4
  if (version === 6) return Verdict.ipv6
  if (version !== 4) return Verdict.version
  if (ip + IP_HEADER > end) return Verdict.short
  const headerLength = (b[ip]! & 15) * 4
  if (headerLength < IP_HEADER) return Verdict.headerLength
  if (ip + headerLength > end) return Verdict.short
  if (u16be(b, ip + 2) !== end - ip) return Verdict.totalLength
  if (headerLength > IP_HEADER && hasSourceRoute(b, ip + IP_HEADER, ip + headerLength))
    return Verdict.sourceRoute
  return Verdict.ok
}

/** RFC 791: options are one byte, or type, length (with these two) and data. Broken ones are the kernel's to drop. */
function hasSourceRoute(b: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; ) {
    const type = b[at]!
    if (type === OPTION_LSRR || type === OPTION_SSRR) return true
    if (type === OPTION_END) return false
    const length = type === OPTION_NOP ? 1 : at + 1 < to ? b[at + 1]! : 0
    if (length === 0) return false
    at += length
  }
  return false
}

/** After `checkIpv4`. */
function checkVirtio(b: Uint8Array, start: number, end: number): Verdict {
  const flags = b[start + FLAGS]!
  if (flags > F_DATA_VALID) return Verdict.virtioFlags
  const ip = start + VIRTIO_HEADER
  const length = end - ip
  if (u16le(b, start + HDR_LEN) > length) return Verdict.virtioHeaderLength
  const needsChecksum = flags === F_NEEDS_CSUM
  if (needsChecksum) {
    const place = u16le(b, start + CSUM_START)
    // The kernel only demands "inside the packet", and writes after this check: no checksum may land in an address.
    if (place < (b[ip]! & 15) * 4) return Verdict.checksumPlace
    if (place + u16le(b, start + CSUM_OFFSET) + 2 > length) return Verdict.checksumPlace
  }
  if (b[start + GSO_TYPE] === GSO_NONE) return Verdict.ok
  return checkSegmentation(b, start, length, needsChecksum)
}

/** @param length of the IP packet */
function checkSegmentation(b: Uint8Array, start: number, length: number, needsChecksum: boolean): Verdict {
  const ip = start + VIRTIO_HEADER
  const headerLength = (b[ip]! & 15) * 4
  const type = b[start + GSO_TYPE]!
  const protocol = b[ip + 9]!
  const isTcp = (type & ~GSO_ECN) === GSO_TCPV4
  if (!isTcp && type !== GSO_UDP_L4) return Verdict.gsoType
  if (protocol !== (isTcp ? IPPROTO_TCP : IPPROTO_UDP)) return Verdict.gsoType
  if (!needsChecksum || (u16be(b, ip + 6) & FRAGMENT) !== 0) return Verdict.gsoState
  if (length < headerLength + (isTcp ? TCP_HEADER : UDP_HEADER)) return Verdict.short
  // Linux itself asks for this since 6.11: elsewhere the place may lie outside of a segment once the packet is cut.
  const isAtTransport = u16le(b, start + CSUM_START) === headerLength
  const isItsOwn = u16le(b, start + CSUM_OFFSET) === (isTcp ? TCP_CHECKSUM : UDP_CHECKSUM)
  if (!isAtTransport || !isItsOwn) return Verdict.checksumPlace
  const size = u16le(b, start + GSO_SIZE)
  if (size === GSO_BY_FRAGS) return Verdict.gsoSize
  if (isTcp) {
    const tcpLength = (b[ip + headerLength + 12]! >>> 4) * 4
    if (tcpLength < TCP_HEADER || headerLength + tcpLength > length) return Verdict.short
    return size < MIN_TCP_GSO ? Verdict.gsoSize : Verdict.ok
  }
  const payload = length - headerLength - UDP_HEADER
  return size === 0 || payload > size * MAX_UDP_SEGMENTS ? Verdict.gsoSize : Verdict.ok
}
