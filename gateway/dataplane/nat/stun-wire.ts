/** The wire format that STUN and TURN share (RFC 8489, 5 and 14): header, attributes, addresses. Pure. */

import { crc32 } from 'node:zlib'
import { ipBytes, parseEndpoint } from '../p2p/process/endpoint.ts'

export const HEADER = 20
export const FINGERPRINT_BYTES = 8
/** What a path of 576 bytes takes (RFC 8489, 6.1). Longer messages are not looked at. */
export const MAX_STUN_BYTES = 548
const MAGIC_COOKIE = 0x2112_a442
const FINGERPRINT_XOR = 0x5354_554e
const TRANSACTION_BYTES = 12

/** Whether a datagram is STUN, by its first eight bytes (RFC 8489, 5). No datagram of ours has form 0. */
export function looksLikeStun(bytes: Uint8Array): boolean {
  if (bytes.byteLength < HEADER || (bytes[0] ?? 0) > 0x3f) return false
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(4) === MAGIC_COOKIE
}

/** @param length of all attributes together */
export function writeHeader(view: DataView, type: number, length: number, transaction: Uint8Array): void {
  view.setUint16(0, type)
  view.setUint16(2, length)
  view.setUint32(4, MAGIC_COOKIE)
  for (const [i, byte] of transaction.entries()) view.setUint8(8 + i, byte)
}

export const padded = (length: number): number => (length + 3) & ~3

/** The padding is of zeroes; FINGERPRINT covers it. */
export function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + padded(value.byteLength))
  const view = new DataView(bytes.buffer)
  view.setUint16(0, type)
  view.setUint16(2, value.byteLength)
  bytes.set(value, 4)
  return bytes
}

/** `{ zero u8, family u8, port u16, address 4 or 16 }`. @throws {RangeError} not an endpoint */
export function addressBytes(endpoint: string): Uint8Array {
  const parsed = parseEndpoint(endpoint)
  if (parsed === undefined) throw new RangeError(`${endpoint}: write 192.0.2.1:7443 or [2001:db8::1]:7443`)
  const { ip, port } = parsed
  return Uint8Array.of(0, ip.byteLength === 4 ? 1 : 2, port >>> 8, port & 0xff, ...ip)
}

export function addressOf(bytes: Uint8Array): string | undefined {
  const length = bytes[1] === 1 ? 4 : bytes[1] === 2 ? 16 : 0
  const port = ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)
  if (length === 0 || bytes.byteLength !== 4 + length || port === 0) return undefined
  const ip = ipBytes(bytes.subarray(4))
  return length === 4 ? `${ip}:${port}` : `[${ip}]:${port}`
}

/** Port and address XOR cookie and transaction (RFC 8489, 14.2); twice is nothing. */
export function xored(bytes: Uint8Array, id: Uint8Array): Uint8Array {
  const key = new Uint8Array(4 + TRANSACTION_BYTES)
  new DataView(key.buffer).setUint32(0, MAGIC_COOKIE)
  key.set(id, 4)
  return bytes.map((byte, i) => (i < 2 ? byte : byte ^ (key[i < 4 ? i - 2 : i - 4] ?? 0)))
}

/** @param before all of the message before the attribute; its length field counts the attribute already */
export const fingerprintOf = (before: Uint8Array): number => (crc32(before) ^ FINGERPRINT_XOR) >>> 0
