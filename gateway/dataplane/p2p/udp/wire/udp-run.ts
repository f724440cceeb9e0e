/**
 * Finds packets of one UDP flow that lie one after another, and makes the header of one super-packet from the first's.
 * Pure.
 *
 * Layout: virtio header, IPv4 without options, UDP.
 */
import { VIRTIO_HEADER } from '../../../tunnel/frame.ts'
import {
  CSUM_OFFSET,
  CSUM_START,
  F_NEEDS_CSUM,
  FLAGS,
  GSO_NONE,
  GSO_SIZE,
  GSO_TYPE,
  GSO_UDP_L4,
  HDR_LEN,
} from '../../../tunnel/virtio.ts'
import { rebuildHeader } from './record-header.ts'

const NO_OPTIONS = 0x45
const IP_HEADER = 20
const IP_TOS = 1
const IP_FLAGS = 6
const IP_TTL = 8
const IP_PROTOCOL = 9
const IP_SOURCE = 12
/** MF and the offset. */
const FRAGMENT = 0x3f
const UDP = 17
const UDP_LENGTH = 4
const UDP_CHECKSUM = 6
const HEADERS = 28
/** Addresses and ports. */
const FLOW_BYTES = 12
const MAX_IP_PAYLOAD = 65_535 - HEADERS

export const UDP_HEADER = VIRTIO_HEADER + HEADERS
/** UDP_MAX_SEGMENTS of kernels before 6.9. */
export const MAX_RUN = 64

/**
 * Bytes of payload of a packet that may be a part of a super-packet: its checksum is the kernel's to fill in, and it is
 * no fragment.
 * @param size of virtio header and packet together, which the IP header's length confirms
 * @returns 0: any other packet
 */
export function udpPayload(b: Uint8Array, at: number, size: number): number {
  const ip = at + VIRTIO_HEADER
  if (b[at + FLAGS] !== F_NEEDS_CSUM || b[at + GSO_TYPE] !== GSO_NONE || size <= UDP_HEADER) return 0
  if (b[ip] !== NO_OPTIONS || b[ip + IP_PROTOCOL] !== UDP) return 0
  if ((b[ip + IP_FLAGS]! & FRAGMENT) !== 0 || b[ip + IP_FLAGS + 1] !== 0) return 0
  if (b[at + CSUM_START] !== IP_HEADER || b[at + CSUM_START + 1] !== 0) return 0
  if (b[at + CSUM_OFFSET] !== UDP_CHECKSUM || b[at + CSUM_OFFSET + 1] !== 0) return 0
  const length = ip + IP_HEADER + UDP_LENGTH
  return ((b[length]! << 8) | b[length + 1]!) === size - VIRTIO_HEADER - IP_HEADER ? size - UDP_HEADER : 0
}

/** Whether two packets that `udpPayload` accepts differ only in identification, length, checksum and payload. */
export function isSameFlow(b: Uint8Array, first: number, next: number): boolean {
  const ip = first + VIRTIO_HEADER
  const other = next + VIRTIO_HEADER
  if (b[ip + IP_TOS] !== b[other + IP_TOS] || b[ip + IP_TTL] !== b[other + IP_TTL]) return false
  if (b[ip + IP_FLAGS] !== b[other + IP_FLAGS]) return false
  for (let i = IP_SOURCE; i < IP_SOURCE + FLOW_BYTES; i++) if (b[ip + i] !== b[other + i]) return false
  return true
}

/** Whether so much payload fits into one packet. */
export const fitsOne = (payload: number): boolean => payload <= MAX_IP_PAYLOAD

/**
 * Changes the first packet's header, in place, into that of the super-packet.
 * @param segment bytes of payload in each packet but the last
 */
export function makeSuper(b: Uint8Array, at: number, segment: number, payload: number): void {
  b[at + GSO_TYPE] = GSO_UDP_L4
  b[at + HDR_LEN] = HEADERS
  b[at + HDR_LEN + 1] = 0
  b[at + GSO_SIZE] = segment & 0xff
  b[at + GSO_SIZE + 1] = segment >>> 8
  rebuildHeader(b, at, UDP_HEADER, { offset: 0, size: payload, isLast: true, before: 0 })
}
