/** Makes super-packets of TCP and UDP with right checksums, and parses what a receiver got. */
import { type PacketFields, packet } from './tunnel-packet.ts'

const VIRTIO = 10

/** Ones' complement sum of 16-bit words. */
export function sum16(bytes: Uint8Array, start = 0): number {
  let total = start
  for (let i = 0; i < bytes.byteLength; i += 2) total += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0)
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16)
  return total
}

/** Sum of the pseudo header, not complemented, as the kernel leaves it for the device to finish. */
export function pseudoSum(ip: Uint8Array): number {
  const view = new DataView(ip.buffer, ip.byteOffset)
  const ihl = (ip[0]! & 15) * 4
  return sum16(ip.subarray(12, 20), ip[9]! + view.getUint16(2) - ihl)
}

/** Fills in what a kernel would: identification, IP checksum, pseudo header sum. */
function finished(bytes: Uint8Array, checksumAt: number, id: number): Buffer {
  const ip = bytes.subarray(VIRTIO)
  const view = new DataView(ip.buffer, ip.byteOffset)
  const ihl = (ip[0]! & 15) * 4
  view.setUint16(4, id)
  view.setUint16(10, ~sum16(ip.subarray(0, ihl)) & 0xffff)
  if (checksumAt > 0) view.setUint16(ihl + checksumAt, pseudoSum(ip))
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export interface SuperPacket extends PacketFields {
  readonly id?: number
  readonly sequence?: number
  readonly data: Uint8Array
  /** Length of the TCP header in bytes: 20 to 60. */
  readonly tcpHeader?: number
  readonly mss?: number
  readonly tcpFlags?: number
}

/** A TCP packet from host 1 to host 2; a super-packet when the data are longer than the MSS. */
export function tcpPacket({
  id = 7,
  sequence = 1_000,
  data,
  tcpHeader = 32,
  mss = 1_448,
  tcpFlags = 0x18,
  ...fields
}: SuperPacket): Buffer {
  const isSuper = data.byteLength > mss
  const bytes = packet({
    protocol: 6,
    payload: tcpHeader + data.byteLength,
    tcpWords: tcpHeader / 4,
    flags: 1,
    csumStart: 20,
    csumOffset: 16,
    hdrLen: 20 + tcpHeader,
    ...(isSuper && { gsoType: 1, gsoSize: mss }),
    ...fields,
  })
  const view = new DataView(bytes.buffer, VIRTIO + 20)
  view.setUint32(4, sequence)
  bytes[VIRTIO + 20 + 13] = tcpFlags
  bytes.set(data, VIRTIO + 20 + tcpHeader)
  return finished(bytes, 16, id)
}

export function udpPacket({ id = 7, data, mss = 65_535, ...fields }: SuperPacket): Buffer {
  const isSuper = data.byteLength > mss
  const bytes = packet({
    protocol: 17,
    payload: 8 + data.byteLength,
    ...(isSuper && { flags: 1, csumStart: 20, csumOffset: 6, hdrLen: 28, gsoType: 5, gsoSize: mss }),
    ...fields,
  })
  new DataView(bytes.buffer, VIRTIO + 20).setUint16(4, 8 + data.byteLength)
  bytes.set(data, VIRTIO + 28)
  return finished(bytes, isSuper || fields.flags === 1 ? 6 : 0, id)
}

/** A packet's fields, and whether its sums are right. */
export function parsed(bytes: Buffer) {
  const ip = bytes.subarray(VIRTIO)
  const ihl = (ip[0]! & 15) * 4
  const isTcp = ip[9] === 6
  const head = isTcp ? (ip[ihl + 12]! >>> 4) * 4 : 8
  const checksum = ip.readUInt16BE(ihl + (isTcp ? 16 : 6))
  return {
    isTcp,
    id: ip.readUInt16BE(4),
    sequence: isTcp ? ip.readUInt32BE(ihl + 4) : 0,
    flags: isTcp ? ip[ihl + 13]! : 0,
    data: ip.subarray(ihl + head),
    gsoType: bytes[1]!,
    gsoSize: bytes.readUInt16LE(4),
    isRight:
      ip.readUInt16BE(2) === ip.byteLength &&
      sum16(ip.subarray(0, ihl)) === 0xffff &&
      (bytes[0] !== 1 || checksum === pseudoSum(ip)),
  }
}
