/**
 * Seals bytes for one host's identity key, so that hosts that pass them on read nothing.
 *
 * A host has one key, Ed25519, which every member knows from its announcements. Diffie-Hellman needs X25519, so both
 * halves are mapped as libsodium's `crypto_sign_ed25519_*_to_curve25519` does (RFC 7748 4.1). What is sealed says
 * nothing of its sender: the envelope around it is signed.
 */

import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from 'node:crypto'

const INFO = 'flatnet sealed box 1'
const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Of the public key of one box, and of the tag. */
export const BOX_OVERHEAD = KEY_BYTES + TAG_BYTES

/** RFC 8410: what stands before the 32 bytes of a key. */
const ED25519_SPKI = Buffer.from('302a300506032b6570032100', 'hex')
const X25519_SPKI = Buffer.from('302a300506032b656e032100', 'hex')
const X25519_PKCS8 = Buffer.from('302e020100300506032b656e04220420', 'hex')

const P = 2n ** 255n - 19n

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let square = base, e = exponent; e > 0n; e >>= 1n) {
    if (e & 1n) result = (result * square) % P
    square = (square * square) % P
  }
  return result
}

const numberOf = (littleEndian: Uint8Array): bigint =>
  BigInt(`0x${Buffer.from(littleEndian).reverse().toString('hex')}`)

const bytesOf = (number: bigint): Buffer =>
  Buffer.from(number.toString(16).padStart(2 * KEY_BYTES, '0'), 'hex').reverse()

/** The point of Ed25519 with this y as the u of X25519: u = (1 + y) / (1 - y). */
function publicX25519(spki: Buffer): KeyObject {
  if (
    spki.length !== ED25519_SPKI.length + KEY_BYTES ||
    !spki.subarray(0, ED25519_SPKI.length).equals(ED25519_SPKI)
  )
    throw new TypeError('the key is not Ed25519')
  const compressed = Buffer.from(spki.subarray(ED25519_SPKI.length))
  // The highest bit is the sign of x, which X25519 does not have.
  compressed[KEY_BYTES - 1]! &= 0x7f
  const y = numberOf(compressed)
  const u = ((1n + y) * power((1n - y + P) % P, P - 2n)) % P
  return createPublicKey({ key: Buffer.concat([X25519_SPKI, bytesOf(u)]), format: 'der', type: 'spki' })
}

/** Ed25519's own scalar is the first half of the hash of its seed (RFC 8032 5.1.5); X25519 clears the same bits. */
function privateX25519(keyPem: string): KeyObject {
  const { d = '' } = createPrivateKey(keyPem).export({ format: 'jwk' })
  const scalar = createHash('sha512').update(Buffer.from(d, 'base64url')).digest().subarray(0, KEY_BYTES)
  return createPrivateKey({ key: Buffer.concat([X25519_PKCS8, scalar]), format: 'der', type: 'pkcs8' })
}

const rawPublic = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' }).subarray(-KEY_BYTES)

/** A box has a key pair of its own, so its nonce is used once. */
function secretsOf(shared: Buffer, boxKey: Buffer, receiver: Buffer): { key: Buffer; nonce: Buffer } {
  const salt = Buffer.concat([boxKey, receiver])
  const bytes = Buffer.from(hkdfSync('sha256', shared, salt, INFO, KEY_BYTES + NONCE_BYTES))
  return { key: bytes.subarray(0, KEY_BYTES), nonce: bytes.subarray(KEY_BYTES) }
}

/**
 * @param spki of the receiver, DER
 * @param context what the box belongs to; it opens with the same bytes only
 * @throws {TypeError} the key is not Ed25519
 */
export function sealFor(spki: Buffer, plain: Uint8Array, context: Uint8Array): Buffer {
  const receiver = publicX25519(spki)
  const own = generateKeyPairSync('x25519')
  const boxKey = rawPublic(own.publicKey)
  const shared = diffieHellman({ privateKey: own.privateKey, publicKey: receiver })
  const { key, nonce } = secretsOf(shared, boxKey, rawPublic(receiver))
  const cipher = createCipheriv(CIPHER, key, nonce).setAAD(context)
  return Buffer.concat([boxKey, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

/** @returns undefined: it is not for this key, or was changed */
export function openSealed(keyPem: string, box: Buffer, context: Uint8Array): Buffer | undefined {
  if (box.length < BOX_OVERHEAD) return undefined
  const boxKey = box.subarray(0, KEY_BYTES)
  const own = privateX25519(keyPem)
  try {
    const publicKey = createPublicKey({
      key: Buffer.concat([X25519_SPKI, boxKey]),
      format: 'der',
      type: 'spki',
    })
    const shared = diffieHellman({ privateKey: own, publicKey })
    const { key, nonce } = secretsOf(shared, boxKey, rawPublic(createPublicKey(own)))
    const decipher = createDecipheriv(CIPHER, key, nonce).setAAD(context)
    decipher.setAuthTag(box.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(box.subarray(KEY_BYTES, -TAG_BYTES)), decipher.final()])
  } catch {
    // OpenSSL's words say no more than that it does not open.
    return undefined
  }
}
