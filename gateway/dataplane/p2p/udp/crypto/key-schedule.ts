/** Derives all keys of two hosts from a shared secret. Pure: both sides compute the same keys, mirrored. */
import { hkdfSync } from 'node:crypto'

/** Part of every label, so that hosts which choose differently never open each other's datagrams. */
export const CIPHERS = ['aes-256-gcm', 'chacha20-poly1305'] as const
export type Cipher = (typeof CIPHERS)[number]

/**
 * A key of one form in one direction, and the first 4 bytes of its nonces; the other 8 are a counter.
 * @public
 */
export interface FormKey {
  readonly key: Uint8Array
  readonly salt: Uint8Array
}

/**
 * The keys of one direction. Each form has its own: OpenSSL counts the nonces of `record`, and this code those of
 * `whole`.
 * @public
 */
export interface DirectionKeys {
  readonly whole: FormKey
  readonly record: FormKey
  /** First four bytes of each datagram: names receiver and key to the peer, and nothing to others. */
  readonly index: number
}

export interface PeerKeys {
  readonly cipher: Cipher
  readonly seal: DirectionKeys
  readonly open: DirectionKeys
  /** `nextKeys` derives from it. It seals nothing itself. */
  readonly chain: Uint8Array
}

export interface KeyOwner {
  readonly hostId: number
  readonly peerId: number
}

const KEY_BYTES = 32
const SALT_BYTES = 4
const INDEX_BYTES = 4
const FORM_BYTES = KEY_BYTES + SALT_BYTES
const DIRECTION_BYTES = 2 * FORM_BYTES + INDEX_BYTES
const CHAIN_BYTES = 32
/** Length of what TLS exports (`exportKeyingMaterial`). */
const SECRET_BYTES = 64
/** Length of an X25519 shared secret. */
const DH_BYTES = 32

/**
 * Derives the keys of a new attempt.
 * @param secret 64 bytes that both sides exported from the same TLS connection
 * @throws {RangeError} wrong length, or both hosts are the same
 */
export function firstKeys(secret: Uint8Array, owner: KeyOwner, cipher: Cipher = 'aes-256-gcm'): PeerKeys {
  if (secret.byteLength !== SECRET_BYTES)
    throw new RangeError(`secret of ${secret.byteLength} bytes: exactly ${SECRET_BYTES}`)
  return expand(secret, new Uint8Array(0), owner, cipher)
}

/**
 * Derives the keys after a rekey. They do not reveal the old keys, nor do the old keys reveal them without `dh`.
 * @param dh the X25519 shared secret of two fresh key pairs, 32 bytes
 * @throws {RangeError} wrong length, or all zero, which a peer forces by sending a point of small order
 */
export function nextKeys(
  keys: Pick<PeerKeys, 'chain' | 'cipher'>,
  dh: Uint8Array,
  owner: KeyOwner,
): PeerKeys {
  if (dh.byteLength !== DH_BYTES || dh.every((byte) => byte === 0))
    throw new RangeError(`shared secret of ${dh.byteLength} bytes: ${DH_BYTES}, not all zero`)
  return expand(dh, keys.chain, owner, keys.cipher)
}

function expand(secret: Uint8Array, salt: Uint8Array, owner: KeyOwner, cipher: Cipher): PeerKeys {
  const { hostId, peerId } = owner
  if (hostId === peerId) throw new RangeError(`hostId ${hostId} has no keys with itself`)
  const isLow = hostId < peerId
  const [low, high] = isLow ? [hostId, peerId] : [peerId, hostId]
  const info = `flatnet-udp 1 ${cipher} ${low} ${high}`
  // One call for all keys takes 5 µs; one per key would take 50. RFC 5869 makes its blocks independent of each other.
  const bytes = new Uint8Array(hkdfSync('sha256', secret, salt, info, 2 * DIRECTION_BYTES + CHAIN_BYTES))
  const upwards = direction(bytes, 0)
  const downwards = direction(bytes, DIRECTION_BYTES)
  return {
    cipher,
    seal: isLow ? upwards : downwards,
    open: isLow ? downwards : upwards,
    chain: bytes.slice(2 * DIRECTION_BYTES),
  }
}

function direction(bytes: Uint8Array, at: number): DirectionKeys {
  const form = (from: number): FormKey => ({
    key: bytes.slice(from, from + KEY_BYTES),
    salt: bytes.slice(from + KEY_BYTES, from + FORM_BYTES),
  })
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  return {
    whole: form(at),
    record: form(at + FORM_BYTES),
    index: view.getUint32(at + 2 * FORM_BYTES),
  }
}
