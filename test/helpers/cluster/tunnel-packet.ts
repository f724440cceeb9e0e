/** Makes packets as a TUN device with virtio headers delivers them, for tests that break single fields. */
import { parseIpv4 } from '../../../core/addr.ts'

export interface PacketFields {
  readonly src?: string
  readonly dst?: string
  /** 6 TCP, 17 UDP (default). */
  readonly protocol?: number
  /** Bytes after the IP header, the transport header included. Default 28. */
  readonly payload?: number
  /** The first byte; default version 4 and the length of header and options. */
  readonly versionIhl?: number
  readonly options?: readonly number[]
  /** Default: the true length. */
  readonly totalLength?: number
  readonly fragment?: number
  /** Data offset of TCP in 32-bit words. */
  readonly tcpWords?: number
  readonly flags?: number
  readonly gsoType?: number
  readonly hdrLen?: number
  readonly gsoSize?: number
  readonly csumStart?: number
  readonly csumOffset?: number
}

/** A virtio header and an IPv4 packet from 10.100.1.10 to 10.100.2.10, well-formed except for the given fields. */
export function packet(fields: PacketFields = {}): Uint8Array {
  const { options = [], payload = 28, protocol = 17 } = fields
  const header = 20 + options.length
  const bytes = new Uint8Array(10 + header + payload)
  const view = new DataView(bytes.buffer)
  bytes[0] = fields.flags ?? 0
  bytes[1] = fields.gsoType ?? 0
  view.setUint16(2, fields.hdrLen ?? 0, true)
  view.setUint16(4, fields.gsoSize ?? 0, true)
  view.setUint16(6, fields.csumStart ?? 0, true)
  view.setUint16(8, fields.csumOffset ?? 0, true)
  bytes[10] = fields.versionIhl ?? 0x40 | (header / 4)
  view.setUint16(12, fields.totalLength ?? header + payload)
  view.setUint16(16, fields.fragment ?? 0x4000)
  bytes[18] = 64
  bytes[19] = protocol
  view.setUint32(22, parseIpv4(fields.src ?? '10.100.1.10') ?? 0)
  view.setUint32(26, parseIpv4(fields.dst ?? '10.100.2.10') ?? 0)
  bytes.set(options, 30)
  if (protocol === 6 && payload >= 20) bytes[10 + header + 12] = (fields.tcpWords ?? 5) << 4
  return bytes
}

/** The packet with the right checksum in its IPv4 header; otherwise the kernel drops what the tunnel passes. */
export function checksummed(packet: Uint8Array): Uint8Array {
  const bytes = packet.slice()
  const view = new DataView(bytes.buffer, 10)
  const length = (view.getUint8(0) & 15) * 4
  view.setUint16(10, 0)
  let sum = 0
  for (let at = 0; at < length; at += 2) sum += view.getUint16(at)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  view.setUint16(10, ~sum & 0xffff)
  return bytes
}

/** A TCP super-packet, as TSO makes it. */
export const tso = (fields: PacketFields = {}): Uint8Array =>
  packet({
    protocol: 6,
    payload: 4000,
    flags: 1,
    gsoType: 1,
    hdrLen: 40,
    gsoSize: 1448,
    csumStart: 20,
    csumOffset: 16,
    ...fields,
  })

/** A UDP super-packet, as USO makes it. */
export const uso = (fields: PacketFields = {}): Uint8Array =>
  packet({
    protocol: 17,
    payload: 4008,
    flags: 1,
    gsoType: 5,
    hdrLen: 28,
    gsoSize: 1000,
    csumStart: 20,
    csumOffset: 6,
    ...fields,
  })
