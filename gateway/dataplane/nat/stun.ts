/** Encodes and decodes STUN binding messages (RFC 8489), with what RFC 5780 adds to test NATs. Pure. */

import { crc32 } from 'node:zlib'
import { ipBytes, parseEndpoint } from '../p2p/process/endpoint.ts'

/**
 * No library: what is needed are 2 messages and 5 attributes. The packages that exist bring sockets, promises and
 * loggers of their own, and the process of direct paths owns the socket and has no event loop to run them in.
 */
const HEADER = 20
const MAGIC_COOKIE = 0x2112_a442
const FINGERPRINT_XOR = 0x5354_554e
const TRANSACTION_BYTES = 12
/** What a path of 576 bytes takes (RFC 8489, 6.1). Longer messages are not looked at. */
const MAX_STUN_BYTES = 548

const Message = { request: 0x0001, response: 0x0101, error: 0x0111 } as const
type Kind = keyof typeof Message

const Attribute = {
  mappedAddress: 0x0001,
  changeRequest: 0x0003,
  unknownAttributes: 0x000a,
  xorMappedAddress: 0x0020,
  software: 0x8022,
  fingerprint: 0x8028,
  otherAddress: 0x802c,
} as const
const CHANGE_ADDRESS = 4
const CHANGE_PORT = 2
const FINGERPRINT_BYTES = 8

export interface StunMessage {
  readonly kind: Kind
  /** 24 hex digits: what an answer repeats. */
  readonly transaction: string
  /** Where the request came from, as the server sees it: `192.0.2.1:7443` or `[2001:db8::1]:7443`. */
  readonly mapped?: string | undefined
  /** The server's other address and port, which it answers from when `change` asks for it (RFC 5780). */
  readonly other?: string | undefined
  readonly change?: { readonly address: boolean; readonly port: boolean } | undefined
  readonly software?: string | undefined
}

/** Whether a datagram is STUN, by its first eight bytes (RFC 8489, 5). No datagram of ours has form 0. */
export function looksLikeStun(bytes: Uint8Array): boolean {
  if (bytes.byteLength < HEADER || (bytes[0] ?? 0) > 0x3f) return false
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(4) === MAGIC_COOKIE
}

/** @throws {RangeError} an address that is no endpoint; a transaction that is not 24 hex digits */
export function encodeStun({ kind, transaction, mapped, other, change, software }: StunMessage): Uint8Array {
  const id = Uint8Array.fromHex(transaction)
  if (id.byteLength !== TRANSACTION_BYTES) throw new RangeError(`transaction ${transaction}: 24 hex digits`)
  const attributes: Uint8Array[] = []
  if (change !== undefined) {
    const flags = (change.address ? CHANGE_ADDRESS : 0) | (change.port ? CHANGE_PORT : 0)
    attributes.push(attribute(Attribute.changeRequest, Uint8Array.of(0, 0, 0, flags)))
  }
  if (mapped !== undefined)
    attributes.push(attribute(Attribute.xorMappedAddress, xored(addressBytes(mapped), id)))
  if (other !== undefined) attributes.push(attribute(Attribute.otherAddress, addressBytes(other)))
  if (software !== undefined) attributes.push(attribute(Attribute.software, Buffer.from(software)))
  return finished(Message[kind], id, attributes)
}

/** Puts the header before the attributes and FINGERPRINT behind them. */
function finished(type: number, id: Uint8Array, attributes: readonly Uint8Array[]): Uint8Array {
  const body = Buffer.concat(attributes)
  const bytes = new Uint8Array(HEADER + body.byteLength + FINGERPRINT_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint16(0, type)
  view.setUint16(2, body.byteLength + FINGERPRINT_BYTES)
  view.setUint32(4, MAGIC_COOKIE)
  bytes.set(id, 8)
  bytes.set(body, HEADER)
  const at = HEADER + body.byteLength
  view.setUint16(at, Attribute.fingerprint)
  view.setUint16(at + 2, 4)
  view.setUint32(at + 4, fingerprintOf(bytes.subarray(0, at)))
  return bytes
}

/**
 * @returns undefined: no binding message, not well-formed, or its FINGERPRINT is wrong. Attributes that must be
 * understood and are not (below 0x8000) are no fault here: a request with some gets no answer, see `isAnswerable`.
 */
export function decodeStun(
  bytes: Uint8Array,
): (StunMessage & { readonly unknown: readonly number[] }) | undefined {
  if (!looksLikeStun(bytes) || bytes.byteLength > MAX_STUN_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const kind = kindOf(view.getUint16(0))
  if (kind === undefined || view.getUint16(2) !== bytes.byteLength - HEADER) return undefined
  const id = bytes.subarray(8, HEADER)
  let found: Omit<StunMessage, 'kind' | 'transaction'> = {}
  const unknown: number[] = []
  for (let at = HEADER; at < bytes.byteLength; ) {
    if (at + 4 > bytes.byteLength) return undefined
    const type = view.getUint16(at)
    const length = view.getUint16(at + 2)
    const value = bytes.subarray(at + 4, at + 4 + length)
    if (value.byteLength !== length) return undefined
    if (type === Attribute.fingerprint) {
      const isLast = at + FINGERPRINT_BYTES === bytes.byteLength && length === 4
      if (!isLast || view.getUint32(at + 4) !== fingerprintOf(bytes.subarray(0, at))) return undefined
    } else {
      const read = readAttribute(type, value, id)
      if (read === undefined) return undefined
      if (read === 'unknown') unknown.push(type)
      else found = { ...found, ...read }
    }
    at += 4 + padded(length)
  }
  return { kind, transaction: id.toHex(), ...found, unknown }
}

/** A plain request. One that names what this codec lacks wants more than its address, e.g. a check of ICE. */
export const isAnswerable = (message: ReturnType<typeof decodeStun>): boolean =>
  message?.kind === 'request' && message.unknown.length === 0 && message.change === undefined

function kindOf(type: number): Kind | undefined {
  if (type === Message.request) return 'request'
  if (type === Message.response) return 'response'
  return type === Message.error ? 'error' : undefined
}

/** @returns undefined: malformed; `unknown`: must be understood and is not */
function readAttribute(
  type: number,
  value: Uint8Array,
  id: Uint8Array,
): Partial<StunMessage> | 'unknown' | undefined {
  switch (type) {
    case Attribute.xorMappedAddress: {
      const mapped = addressOf(xored(value, id))
      return mapped === undefined ? undefined : { mapped }
    }
    case Attribute.otherAddress: {
      const other = addressOf(value)
      return other === undefined ? undefined : { other }
    }
    case Attribute.changeRequest: {
      if (value.byteLength !== 4) return undefined
      const flags = value[3] ?? 0
      return { change: { address: (flags & CHANGE_ADDRESS) !== 0, port: (flags & CHANGE_PORT) !== 0 } }
    }
    case Attribute.software:
      return { software: Buffer.from(value).toString('utf8') }
    // Of servers before RFC 5389. Routers that rewrite addresses in payloads change it, which is why XOR was added.
    case Attribute.mappedAddress:
    case Attribute.unknownAttributes:
      return {}
    default:
      return type < 0x8000 ? 'unknown' : {}
  }
}

const padded = (length: number): number => (length + 3) & ~3

/** The padding is of zeroes; FINGERPRINT covers it. */
function attribute(type: number, value: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + padded(value.byteLength))
  const view = new DataView(bytes.buffer)
  view.setUint16(0, type)
  view.setUint16(2, value.byteLength)
  bytes.set(value, 4)
  return bytes
}

/** `{ zero u8, family u8, port u16, address 4 or 16 }`. */
function addressBytes(endpoint: string): Uint8Array {
  const parsed = parseEndpoint(endpoint)
  if (parsed === undefined) throw new RangeError(`${endpoint}: write 192.0.2.1:7443 or [2001:db8::1]:7443`)
  const { ip, port } = parsed
  return Uint8Array.of(0, ip.byteLength === 4 ? 1 : 2, port >>> 8, port & 0xff, ...ip)
}

function addressOf(bytes: Uint8Array): string | undefined {
  const length = bytes[1] === 1 ? 4 : bytes[1] === 2 ? 16 : 0
  const port = ((bytes[2] ?? 0) << 8) | (bytes[3] ?? 0)
  if (length === 0 || bytes.byteLength !== 4 + length || port === 0) return undefined
  const ip = ipBytes(bytes.subarray(4))
  return length === 4 ? `${ip}:${port}` : `[${ip}]:${port}`
}

/** Port and address XOR cookie and transaction (RFC 8489, 14.2); twice is nothing. */
function xored(bytes: Uint8Array, id: Uint8Array): Uint8Array {
  const key = new Uint8Array(4 + TRANSACTION_BYTES)
  new DataView(key.buffer).setUint32(0, MAGIC_COOKIE)
  key.set(id, 4)
  return bytes.map((byte, i) => (i < 2 ? byte : byte ^ (key[i < 4 ? i - 2 : i - 4] ?? 0)))
}

/** @param before all of the message before the attribute; its length field counts the attribute already */
const fingerprintOf = (before: Uint8Array): number => (crc32(before) ^ FINGERPRINT_XOR) >>> 0
