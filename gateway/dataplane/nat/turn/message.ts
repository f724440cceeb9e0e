/** Encodes and decodes messages between a TURN client and its server (RFC 8656), signed by RFC 8489. Pure. */

import { createHmac, timingSafeEqual } from 'node:crypto'
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
} from '../stun-wire.ts'

const Method = {
  allocate: 3,
  refresh: 4,
  send: 6,
  data: 7,
  createPermission: 8,
  channelBind: 9,
} as const
type TurnMethod = keyof typeof Method

const Class = { request: 0x0000, indication: 0x0010, success: 0x0100, error: 0x0110 } as const
type TurnClass = keyof typeof Class
const CLASS_BITS = 0x0110

const Attribute = {
  username: 0x0006,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  channelNumber: 0x000c,
  lifetime: 0x000d,
  xorPeerAddress: 0x0012,
  data: 0x0013,
  realm: 0x0014,
  nonce: 0x0015,
  xorRelayedAddress: 0x0016,
  requestedAddressFamily: 0x0017,
  requestedTransport: 0x0019,
  messageIntegritySha256: 0x001c,
  passwordAlgorithm: 0x001d,
  passwordAlgorithms: 0x8002,
  alternateServer: 0x8023,
  fingerprint: 0x8028,
} as const

/** Of IP, as REQUESTED-TRANSPORT has it. */
const UDP = 17
/** RFC 8656, 18.6. */
const FAMILY = { 4: 1, 6: 2 } as const
const HMAC_BYTES = { sha1: 20, sha256: 32 } as const
export type IntegrityHash = keyof typeof HMAC_BYTES
/** RFC 8489, 14.9 and 14.10: realm and nonce have fewer than 128 characters, 763 bytes. */
const MAX_TEXT = 763

export interface TurnMessage {
  readonly method: TurnMethod
  readonly kind: TurnClass
  /** 24 hex digits: what an answer repeats. */
  readonly transaction: string
  /** Seconds. */
  readonly lifetime?: number | undefined
  /** 0x4000 to 0x4fff. */
  readonly channel?: number | undefined
  readonly peer?: string | undefined
  readonly relayed?: string | undefined
  readonly isUdpWanted?: boolean | undefined
  /** Of the address to relay for; undefined: IPv4. */
  readonly family?: 4 | 6 | undefined
  readonly data?: Uint8Array | undefined
  readonly errorCode?: number | undefined
  readonly alternate?: string | undefined
  readonly username?: string | undefined
  readonly realm?: string | undefined
  readonly nonce?: string | undefined
  /** As the server lists them, to be repeated byte by byte. */
  readonly algorithms?: Uint8Array | undefined
  /** Of the hash that the password goes through: 1 is MD5, 2 is SHA-256. */
  readonly algorithm?: number | undefined
}

/** How a message was signed, and where the signature begins. */
interface Signature {
  readonly hash: IntegrityHash
  readonly at: number
  readonly value: Uint8Array
}

export type DecodedTurn = TurnMessage & { readonly signatures: readonly Signature[] }

export interface Signing {
  readonly key: Uint8Array
  readonly hash: IntegrityHash
}

/** @throws {RangeError} an address that is no endpoint */
export function encodeTurn(message: TurnMessage, signing?: Signing): Uint8Array {
  const id = Uint8Array.fromHex(message.transaction)
  const type = Method[message.method] | Class[message.kind]
  const body = Buffer.concat(attributesOf(message, id))
  const size = signing === undefined ? 0 : 4 + HMAC_BYTES[signing.hash]
  const bytes = new Uint8Array(HEADER + body.byteLength + size + FINGERPRINT_BYTES)
  const view = new DataView(bytes.buffer)
  writeHeader(view, type, body.byteLength, id)
  bytes.set(body, HEADER)
  const end = HEADER + body.byteLength
  if (signing !== undefined) {
    const { hash } = signing
    view.setUint16(end, hash === 'sha1' ? Attribute.messageIntegrity : Attribute.messageIntegritySha256)
    view.setUint16(end + 2, HMAC_BYTES[hash])
    bytes.set(signatureOf(bytes, end, signing), end + 4)
  }
  const last = end + size
  view.setUint16(2, last + FINGERPRINT_BYTES - HEADER)
  view.setUint16(last, Attribute.fingerprint)
  view.setUint16(last + 2, 4)
  view.setUint32(last + 4, fingerprintOf(bytes.subarray(0, last)))
  return bytes
}

function attributesOf(message: TurnMessage, id: Uint8Array): Uint8Array[] {
  const { lifetime, channel, peer, relayed, isUdpWanted, data, username, realm, nonce } = message
  const { algorithm, algorithms, errorCode, alternate, family } = message
  const found: Uint8Array[] = []
  const put = (type: number, value: Uint8Array): void => void found.push(attribute(type, value))
  if (username !== undefined) put(Attribute.username, Buffer.from(username))
  if (errorCode !== undefined)
    put(Attribute.errorCode, Uint8Array.of(0, 0, Math.floor(errorCode / 100), errorCode % 100))
  if (nonce !== undefined) put(Attribute.nonce, Buffer.from(nonce))
  if (realm !== undefined) put(Attribute.realm, Buffer.from(realm))
  if (algorithms !== undefined) put(Attribute.passwordAlgorithms, algorithms)
  if (algorithm !== undefined)
    put(Attribute.passwordAlgorithm, Uint8Array.of(algorithm >> 8, algorithm, 0, 0))
  if (isUdpWanted === true) put(Attribute.requestedTransport, Uint8Array.of(UDP, 0, 0, 0))
  if (family !== undefined) put(Attribute.requestedAddressFamily, Uint8Array.of(FAMILY[family], 0, 0, 0))
  if (lifetime !== undefined) put(Attribute.lifetime, word(lifetime))
  if (channel !== undefined) put(Attribute.channelNumber, word(channel * 0x1_0000))
  if (peer !== undefined) put(Attribute.xorPeerAddress, xored(addressBytes(peer), id))
  if (relayed !== undefined) put(Attribute.xorRelayedAddress, xored(addressBytes(relayed), id))
  if (alternate !== undefined) put(Attribute.alternateServer, addressBytes(alternate))
  if (data !== undefined) put(Attribute.data, data)
  return found
}

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value)
  return bytes
}

/** HMAC of all before the signature; the header's length counts the signature as the last attribute. */
function signatureOf(bytes: Uint8Array, at: number, { key, hash }: Signing): Uint8Array {
  const signed = Buffer.from(bytes.subarray(0, at))
  signed.writeUInt16BE(at + 4 + HMAC_BYTES[hash] - HEADER, 2)
  return createHmac(hash, key).update(signed).digest()
}

/** @returns whether the message has a signature by this hash, and it is right */
export function isSignedBy(bytes: Uint8Array, { signatures }: DecodedTurn, signing: Signing): boolean {
  const found = signatures.find(({ hash }) => hash === signing.hash)
  if (found === undefined || found.value.byteLength !== HMAC_BYTES[signing.hash]) return false
  return timingSafeEqual(found.value, signatureOf(bytes, found.at, signing))
}

/** @returns undefined: no message of TURN, not well-formed, or its FINGERPRINT is wrong */
export function decodeTurn(bytes: Uint8Array): DecodedTurn | undefined {
  if (!looksLikeStun(bytes) || bytes.byteLength > MAX_STUN_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const type = view.getUint16(0)
  const method = nameOf(Method, type & ~CLASS_BITS)
  const kind = nameOf(Class, type & CLASS_BITS)
  if (method === undefined || kind === undefined) return undefined
  if (view.getUint16(2) !== bytes.byteLength - HEADER) return undefined
  const id = bytes.subarray(8, HEADER)
  let found: Partial<TurnMessage> = {}
  const signatures: Signature[] = []
  for (let at = HEADER; at < bytes.byteLength; ) {
    if (at + 4 > bytes.byteLength) return undefined
    const length = view.getUint16(at + 2)
    const value = bytes.subarray(at + 4, at + 4 + length)
    if (value.byteLength !== length) return undefined
    const attr = view.getUint16(at)
    if (attr === Attribute.fingerprint) {
      const isLast = at + FINGERPRINT_BYTES === bytes.byteLength && length === 4
      if (!isLast || view.getUint32(at + 4) !== fingerprintOf(bytes.subarray(0, at))) return undefined
    } else if (attr === Attribute.messageIntegrity) signatures.push({ hash: 'sha1', at, value })
    else if (attr === Attribute.messageIntegritySha256) signatures.push({ hash: 'sha256', at, value })
    else if (signatures.length === 0) {
      // What stands behind a signature is not signed (RFC 8489, 14.5); of two alike the first counts.
      const read = readAttribute(attr, value, id)
      if (read === undefined) return undefined
      found = { ...read, ...found }
    }
    at += 4 + padded(length)
  }
  return { ...found, method, kind, transaction: id.toHex(), signatures }
}

function nameOf<T extends Readonly<Record<string, number>>>(names: T, value: number): keyof T | undefined {
  return Object.keys(names).find((name) => names[name] === value)
}

/** @returns undefined: malformed */
function readAttribute(type: number, value: Uint8Array, id: Uint8Array): Partial<TurnMessage> | undefined {
  const view = new DataView(value.buffer, value.byteOffset, value.byteLength)
  const isWord = value.byteLength === 4
  switch (type) {
    case Attribute.lifetime:
      return isWord ? { lifetime: view.getUint32(0) } : undefined
    case Attribute.channelNumber:
      return isWord ? { channel: view.getUint16(0) } : undefined
    case Attribute.requestedTransport:
      return isWord ? { isUdpWanted: value[0] === UDP } : undefined
    case Attribute.requestedAddressFamily:
      return isWord ? { family: value[0] === FAMILY[6] ? 6 : 4 } : undefined
    case Attribute.passwordAlgorithm:
      return value.byteLength >= 4 ? { algorithm: view.getUint16(0) } : undefined
    case Attribute.passwordAlgorithms:
      return { algorithms: Uint8Array.from(value) }
    case Attribute.data:
      return { data: Uint8Array.from(value) }
    case Attribute.errorCode:
      return value.byteLength < 4
        ? undefined
        : { errorCode: ((value[2] ?? 0) & 7) * 100 + Math.min(99, value[3] ?? 0) }
    case Attribute.username:
      return text('username', value)
    case Attribute.realm:
      return text('realm', value)
    case Attribute.nonce:
      return text('nonce', value)
    case Attribute.xorPeerAddress:
      return address('peer', xored(value, id))
    case Attribute.xorRelayedAddress:
      return isNone(xored(value, id)) ? {} : address('relayed', xored(value, id))
    case Attribute.alternateServer:
      return address('alternate', value)
    default:
      return {}
  }
}

function text(key: 'username' | 'realm' | 'nonce', value: Uint8Array): Partial<TurnMessage> | undefined {
  return value.byteLength > MAX_TEXT ? undefined : { [key]: Buffer.from(value).toString('utf8') }
}

/** coturn 4.6 puts 0.0.0.0:0 before the address that it relays for when that is of IPv6. */
const isNone = (value: Uint8Array): boolean =>
  value.byteLength === 8 && value.subarray(2).every((byte) => byte === 0)

function address(key: 'peer' | 'relayed' | 'alternate', value: Uint8Array): Partial<TurnMessage> | undefined {
  const found = addressOf(value)
  return found === undefined ? undefined : { [key]: found }
}
