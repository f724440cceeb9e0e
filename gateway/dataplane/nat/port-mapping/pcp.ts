/** Encodes and decodes what is needed of PCP (RFC 6887): MAP for one UDP port over IPv4. Pure. */

import { formatIpv4, ipv4Bytes, ipv4FromBytes, parseIpv4 } from '../../../../core/addr.ts'
import type { Refusal } from './types.ts'

/** No package for Node speaks PCP (decision 0070). */
const VERSION = 2
const OP_ANNOUNCE = 0
const OP_MAP = 1
const HEADER_BYTES = 24
const RESPONSE = 0x80
const UDP = 17
/** 24 bytes of header and 36 of MAP; options follow, and this host sends none. */
const MAP_BYTES = 60
/** RFC 6887, 7. */
const MAX_BYTES = 1_100
const NONCE_AT = 24
const NONCE_BYTES = 12
/** ::ffff:0:0/96 */
const V4_IN_V6 = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff)

/** RFC 6887, 7.4, by number. */
const RESULTS = [
  'success',
  'another version',
  'not allowed',
  'malformed request',
  'unknown request',
  'unknown option',
  'malformed option',
  'no external address',
  'no resources left',
  'no UDP',
  'no more mappings for this host',
  'external address not to be had',
  'a NAT is between this host and it',
  'too many remote peers',
] as const
const UNSUPPORTED_VERSION = 1
const NETWORK_FAILURE = 7

export interface PcpRequest {
  readonly port: number
  readonly externalPort: number
  readonly lifetimeS: number
  /** 24 hex digits. */
  readonly nonce: string
  readonly ownAddress: string
}

export type PcpResponse = { readonly external: string; readonly lifetimeS: number } | Refusal

/** RFC 6887, 7.1 and 11.1. @throws {RangeError} an address that is none, a nonce that is not 24 hex digits */
export function encodePcpMap(request: PcpRequest): Uint8Array {
  const own = parseIpv4(request.ownAddress)
  const nonce = Uint8Array.fromHex(request.nonce)
  if (own === undefined) throw new RangeError(`${request.ownAddress}: no IPv4 address`)
  if (nonce.byteLength !== NONCE_BYTES) throw new RangeError(`nonce ${request.nonce}: must be 24 hex digits`)
  const bytes = new Uint8Array(MAP_BYTES)
  const view = new DataView(bytes.buffer)
  bytes[0] = VERSION
  bytes[1] = OP_MAP
  view.setUint32(4, request.lifetimeS)
  bytes.set(V4_IN_V6, 8)
  bytes.set(ipv4Bytes(own), 20)
  bytes.set(nonce, NONCE_AT)
  bytes[36] = UDP
  view.setUint16(40, request.port)
  // RFC 6887, 15: a request to delete suggests no port.
  view.setUint16(42, request.lifetimeS === 0 ? 0 : request.externalPort)
  // Any external address: all zeroes, marked as IPv4 (RFC 6887, 5).
  bytes.set(V4_IN_V6, 44)
  return bytes
}

/** @returns undefined: not the response to this request, or malformed */
export function decodePcpMap(
  bytes: Uint8Array,
  request: Pick<PcpRequest, 'nonce' | 'port'>,
): PcpResponse | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < 4) return undefined
  const code = bytes[3] ?? 0
  // A router without PCP answers in its own version, NAT-PMP's 0 or PCP's 1, with as little as 8 bytes.
  if (bytes[0] !== VERSION) return (bytes[1] ?? 0) >= RESPONSE ? refusal(UNSUPPORTED_VERSION) : undefined
  if (bytes[1] !== (RESPONSE | OP_MAP) || bytes.byteLength % 4 !== 0) return undefined
  if (bytes.byteLength < MAP_BYTES || bytes.byteLength > MAX_BYTES) return undefined
  const isOurs =
    bytes.subarray(NONCE_AT, NONCE_AT + NONCE_BYTES).toHex() === request.nonce &&
    bytes[36] === UDP &&
    view.getUint16(40) === request.port
  if (!isOurs) return undefined
  if (code !== 0) return refusal(code)
  const isV4 = V4_IN_V6.every((byte, i) => bytes[44 + i] === byte)
  if (!isV4) return refusal(NETWORK_FAILURE)
  const address = formatIpv4(ipv4FromBytes(bytes.subarray(56, 60)))
  return { external: `${address}:${view.getUint16(42)}`, lifetimeS: view.getUint32(4) }
}

/** RFC 6887, 14.1: asks for nothing, and any answer says since when the router counts. */
export function encodePcpAnnounce(ownAddress: string): Uint8Array {
  const own = parseIpv4(ownAddress)
  if (own === undefined) throw new RangeError(`${ownAddress} is no IPv4 address`)
  const bytes = new Uint8Array(HEADER_BYTES)
  bytes[0] = VERSION
  bytes[1] = OP_ANNOUNCE
  bytes.set(V4_IN_V6, 8)
  bytes.set(ipv4Bytes(own), 20)
  return bytes
}

/** @returns seconds since the router lost its mappings, also of a refusal; undefined: no response to an ANNOUNCE */
export function decodePcpEpoch(bytes: Uint8Array): { readonly seconds: number } | undefined {
  if (bytes[0] !== VERSION || bytes[1] !== (RESPONSE | OP_ANNOUNCE)) return undefined
  if (bytes.byteLength < HEADER_BYTES || bytes.byteLength > MAX_BYTES) return undefined
  return { seconds: new DataView(bytes.buffer, bytes.byteOffset).getUint32(8) }
}

const refusal = (code: number): Refusal => ({
  refused: RESULTS[code] ?? `result ${code}`,
  isDenied: code !== UNSUPPORTED_VERSION,
})
