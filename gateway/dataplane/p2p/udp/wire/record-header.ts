/**
 * Finds the header that each piece of a super-packet repeats, and turns it into the header of the pieces that arrived.
 * Pure.
 *
 * Layout: virtio header, IPv4, TCP or UDP.
 */
import { VIRTIO_HEADER } from '../../../tunnel/frame.ts'
import {
  F_NEEDS_CSUM,
  FLAGS,
  GSO_ECN,
  GSO_NONE,
  GSO_SIZE,
  GSO_TCPV4,
  GSO_TYPE,
  GSO_UDP_L4,
} from '../../../tunnel/virtio.ts'

const IP_LENGTH = 2
const IP_ID = 4
const IP_PROTOCOL = 9
const IP_CHECKSUM = 10
const IP_HEADER = 20
const TCP = 6
const UDP = 17
const TCP_HEADER = 20
const TCP_SEQUENCE = 4
const TCP_OFFSET = 12
const TCP_FLAGS = 13
const TCP_CHECKSUM = 16
const FIN = 0x01
const PSH = 0x08
const CWR = 0x80
const UDP_HEADER = 8
const UDP_LENGTH = 4
const UDP_CHECKSUM = 6

/** virtio 10, IPv4 60, TCP 60. */
export const MAX_HEADER = 130

const u16 = (b: Uint8Array, at: number): number => (b[at]! << 8) | b[at + 1]!
function putU16(b: Uint8Array, at: number, value: number): void {
  b[at] = value >>> 8
  b[at + 1] = value
}

/** Length of the IPv4 header that follows the virtio header. */
const ipHeaderLength = (b: Uint8Array, at: number): number => (b[at + VIRTIO_HEADER]! & 15) * 4

/**
 * Length of all headers of a TCP or UDP super-packet, if the kernel has yet to fill in its checksum.
 * @param length bytes of the packet, from `at` on
 * @returns 0: any other packet, which must not be cut
 */
export function headerLength(b: Uint8Array, at: number, length: number): number {
  const ip = at + VIRTIO_HEADER
  if (length < VIRTIO_HEADER + IP_HEADER || b[at + FLAGS] !== F_NEEDS_CSUM || b[ip]! >>> 4 !== 4) return 0
  const ihl = ipHeaderLength(b, at)
  const type = b[at + GSO_TYPE]! & ~GSO_ECN
  if (ihl < IP_HEADER || length < VIRTIO_HEADER + ihl + UDP_HEADER) return 0
  if (type === GSO_UDP_L4) return b[ip + IP_PROTOCOL] === UDP ? VIRTIO_HEADER + ihl + UDP_HEADER : 0
  if (type !== GSO_TCPV4 || b[ip + IP_PROTOCOL] !== TCP || length < VIRTIO_HEADER + ihl + TCP_HEADER) return 0
  const tcp = (b[ip + ihl + TCP_OFFSET]! >>> 4) * 4
  return tcp < TCP_HEADER || length < VIRTIO_HEADER + ihl + tcp ? 0 : VIRTIO_HEADER + ihl + tcp
}

export const isTcp = (b: Uint8Array, at: number): boolean => b[at + VIRTIO_HEADER + IP_PROTOCOL] === TCP

/** Length of the payload of all pieces, by what the header says. Negative when the header is wrong. */
export const payloadOf = (b: Uint8Array, at: number, header: number): number =>
  u16(b, at + VIRTIO_HEADER + IP_LENGTH) - (header - VIRTIO_HEADER)

/** Bytes of payload in each segment that the kernel will cut. */
export const segmentSizeOf = (b: Uint8Array, at: number): number =>
  b[at + GSO_SIZE]! | (b[at + GSO_SIZE + 1]! << 8)

/** A part of a super-packet. */
export interface Piece {
  /** Where its payload begins, and how long it is. */
  readonly offset: number
  readonly size: number
  /** Whether it holds the last byte. */
  readonly isLast: boolean
  /** How many pieces come before it; IPv4's identification rises by as much. */
  readonly before: number
}

/** Changes the header of the whole packet, in place, into that of a piece. `header`: what `headerLength` returned. */
export function rebuildHeader(b: Uint8Array, at: number, header: number, piece: Piece): void {
  const ip = at + VIRTIO_HEADER
  const ihl = ipHeaderLength(b, at)
  const transport = ip + ihl
  const total = header - VIRTIO_HEADER + piece.size
  const change = total - u16(b, ip + IP_LENGTH)
  putU16(b, ip + IP_LENGTH, total)
  putU16(b, ip + IP_ID, u16(b, ip + IP_ID) + piece.before)
  if (isTcp(b, at)) repairTcp(b, transport, piece, change)
  else repairUdp(b, transport, piece, change)
  putU16(b, ip + IP_CHECKSUM, 0)
  putU16(b, ip + IP_CHECKSUM, ~sum(b, ip, ihl))
  if (piece.size <= segmentSizeOf(b, at)) {
    b[at + GSO_TYPE] = GSO_NONE
    b[at + GSO_SIZE] = 0
    b[at + GSO_SIZE + 1] = 0
  }
}

function repairTcp(b: Uint8Array, tcp: number, piece: Piece, change: number): void {
  const view = new DataView(b.buffer, b.byteOffset + tcp, TCP_HEADER)
  view.setUint32(TCP_SEQUENCE, view.getUint32(TCP_SEQUENCE) + piece.offset)
  // As the kernel does: PSH and FIN belong to the last segment, CWR to the first.
  if (!piece.isLast) b[tcp + TCP_FLAGS]! &= ~(FIN | PSH)
  if (piece.offset > 0) b[tcp + TCP_FLAGS]! &= ~CWR
  putU16(b, tcp + TCP_CHECKSUM, addTo(u16(b, tcp + TCP_CHECKSUM), change))
}

function repairUdp(b: Uint8Array, udp: number, piece: Piece, change: number): void {
  putU16(b, udp + UDP_LENGTH, UDP_HEADER + piece.size)
  putU16(b, udp + UDP_CHECKSUM, addTo(u16(b, udp + UDP_CHECKSUM), change))
}

/** Adjusts the sum of the pseudo header, which covers the length. In ones' complement a carry below zero costs one. */
const addTo = (checksum: number, change: number): number =>
  fold(checksum + (change < 0 ? 0xffff + change : change))

function sum(b: Uint8Array, at: number, length: number): number {
  let total = 0
  for (let i = 0; i < length; i += 2) total += u16(b, at + i)
  return fold(total)
}

function fold(total: number): number {
  const once = (total & 0xffff) + (total >>> 16)
  return (once & 0xffff) + (once >>> 16)
}
