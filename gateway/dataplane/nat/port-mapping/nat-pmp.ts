/** Encodes and decodes NAT-PMP (RFC 6886): the external address, and mappings of UDP ports. Pure. */

import { formatIpv4, ipv4FromBytes } from '../../../../core/addr.ts'
import type { Refusal } from './types.ts'

/** The packages that speak it end the process that loads them when one byte arrives (decision 0070). */
const OP_ADDRESS = 0
const OP_MAP_UDP = 1
const RESPONSE = 0x80
const ADDRESS_BYTES = 12
const MAPPED_BYTES = 16

/** RFC 6886, 3.5, by number. */
const RESULTS = [
  'success',
  'another version',
  'not allowed',
  'no external address',
  'no resources left',
  'unknown request',
] as const
const UNSUPPORTED_VERSION = 1

export const encodeAddressRequest = (): Uint8Array => Uint8Array.of(0, OP_ADDRESS)

export interface PmpMapping {
  readonly port: number
  readonly externalPort: number
  readonly lifetimeS: number
}

/** RFC 6886, 3.3 and 3.4: a request to delete has lifetime and external port 0. */
export function encodeMapRequest({ port, externalPort, lifetimeS }: PmpMapping): Uint8Array {
  const bytes = new Uint8Array(12)
  const view = new DataView(bytes.buffer)
  bytes[1] = OP_MAP_UDP
  view.setUint16(4, port)
  view.setUint16(6, lifetimeS === 0 ? 0 : externalPort)
  view.setUint32(8, lifetimeS)
  return bytes
}

/** @returns the IPv4 address; undefined: no response to this request, or malformed */
export function decodeAddress(bytes: Uint8Array): { readonly address: string } | Refusal | undefined {
  if (!isResponse(bytes, OP_ADDRESS)) return undefined
  const refusal = refusalIn(bytes)
  if (refusal !== undefined) return refusal
  if (bytes.byteLength !== ADDRESS_BYTES) return undefined
  return { address: formatIpv4(ipv4FromBytes(bytes.subarray(8, 12))) }
}

/**
 * @returns seconds since the router lost its mappings, also of a refusal; undefined: no response to the first request
 */
export function decodeEpoch(bytes: Uint8Array): { readonly seconds: number } | undefined {
  if (!isResponse(bytes, OP_ADDRESS) || bytes.byteLength < 8) return undefined
  return { seconds: new DataView(bytes.buffer, bytes.byteOffset).getUint32(4) }
}

/** @returns undefined: no response to this request, or malformed */
export function decodeMapping(
  bytes: Uint8Array,
  { port }: Pick<PmpMapping, 'port'>,
): Pick<PmpMapping, 'externalPort' | 'lifetimeS'> | Refusal | undefined {
  if (!isResponse(bytes, OP_MAP_UDP)) return undefined
  const refusal = refusalIn(bytes)
  if (refusal !== undefined) return refusal
  if (bytes.byteLength !== MAPPED_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint16(8) !== port) return undefined
  return { externalPort: view.getUint16(10), lifetimeS: view.getUint32(12) }
}

const isResponse = (bytes: Uint8Array, op: number): boolean =>
  bytes.byteLength >= 4 && bytes[0] === 0 && bytes[1] === (RESPONSE | op)

/** @returns undefined: a success, to be read further */
function refusalIn(bytes: Uint8Array): Refusal | undefined {
  const code = ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)
  if (code === 0) return undefined
  return { refused: RESULTS[code] ?? `result ${code}`, isDenied: code !== UNSUPPORTED_VERSION }
}
