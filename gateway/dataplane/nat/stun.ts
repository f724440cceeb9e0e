/** Encodes and decodes STUN binding messages (RFC 8489), with what RFC 5780 adds to test NATs. Pure. */

import {
  addressBytes,
  addressOf,
  attribute,
  FINGERPRINT_BYTES,
  fingerprintOf,
  HEADER,
  looksLikeStun,
  MAX_STUN_BYTES,
  padded,
  writeHeader,
  xored,
} from './stun-wire.ts'

/**
 * No library: what is needed are 2 messages and 5 attributes. The packages that exist bring sockets, promises and
 * loggers of their own, and the process of direct paths owns the socket and has no event loop to run them in.
 */
const TRANSACTION_BYTES = 12

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
  writeHeader(view, type, body.byteLength + FINGERPRINT_BYTES, id)
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
