/** Tests the OpenSSL of this executable before UDP paths rely on it: published vectors, round trips, forgeries. */
import type { Arena, Region } from '../../../../../kernel/arena.ts'
import { type Evp, loadEvp } from '../../../../../kernel/evp.node.ts'
import { COUNTER, HEADER, headerWord, SEAL, TAG, WireForm } from '../wire/datagram.ts'
import { Aead, RecordOpener, RecordSealer, WholeOpener, WholeSealer } from './aead.ts'
import { CIPHERS, type Cipher, type FormKey } from './key-schedule.ts'

interface AeadFeatures {
  readonly ciphers: readonly Cipher[]
  /** Whether a record takes two calls instead of five (1 µs less). The bytes are the same. */
  readonly record: boolean
}

/** A tested AEAD. */
interface TestedAead {
  readonly aead: Aead
  readonly features: AeadFeatures
}

/** Why this host has no UDP paths. */
interface NoAead {
  readonly problem: string
}

interface Vector {
  readonly name: string
  readonly cipher: Cipher
  readonly key: string
  readonly nonce: string
  readonly aad: string
  readonly text: string
  readonly sealed: string
}

const VECTORS: readonly Vector[] = [
  {
    name: 'test case 16 of the GCM specification',
    cipher: 'aes-256-gcm',
    key: 'feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308',
    nonce: 'cafebabefacedbaddecaf888',
    aad: 'feedfacedeadbeeffeedfacedeadbeefabaddad2',
    text:
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
      '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39',
    sealed:
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa' +
      '8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662' +
      '76fc6ece0f4e1768cddf8853bb2d551b',
  },
  {
    name: 'RFC 8439 2.8.2',
    cipher: 'chacha20-poly1305',
    key: '808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f',
    nonce: '070000004041424344454647',
    aad: '50515253c0c1c2c3c4c5c6c7',
    text: Buffer.from(
      "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, " +
        'sunscreen would be it.',
    ).toString('hex'),
    sealed:
      'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6' +
      '3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36' +
      '92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc' +
      '3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691',
  },
]

const MESSAGE_AT = 64
/** Length of a full datagram's text: a multiple neither of AES's block nor of its vector code's stride. */
const SAMPLE = 1_407
const ROOM = 2_048

/**
 * Makes an AEAD and tests it, on memory of `arena` that it keeps.
 * @returns the AEAD, or why there can be no UDP path
 */
export function testedAead(arena: Arena, evp: Evp | NoAead = loadEvp()): TestedAead | NoAead {
  if ('problem' in evp) return evp
  const room = arena.take(ROOM)
  const byParts = new Aead(arena, evp, false)
  const byRecord = new Aead(arena, evp, true)
  for (const cipher of CIPHERS) {
    const problem =
      VECTORS.find((v) => v.cipher === cipher && !holds(byParts, room, v))?.name ??
      (wholeHolds(byParts, room, cipher) ? undefined : `whole, ${cipher}`) ??
      (recordHolds(byParts, byParts, room, cipher) ? undefined : `record, ${cipher}`)
    if (problem !== undefined)
      return {
        problem: `the OpenSSL of this executable fails its test (${problem}): use the released flatnet`,
      }
  }
  const record = attempt(() => recordHolds(byRecord, byParts, room, 'aes-256-gcm'))
  return { aead: record ? byRecord : byParts, features: { ciphers: CIPHERS, record } }
}

/** An OpenSSL without the record form may already throw when it gets the nonce. */
function attempt(test: () => boolean): boolean {
  try {
    return test()
  } catch {
    return false
  }
}

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'))

/** Tries a published vector with the calls that both forms consist of. */
function holds(aead: Aead, room: Region, vector: Vector): boolean {
  const { evp } = aead
  const [key, nonce, aad, text, sealed] = [
    vector.key,
    vector.nonce,
    vector.aad,
    vector.text,
    vector.sealed,
  ].map(hex) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array]
  room.bytes.set(nonce, 0)
  room.bytes.set(aad, 16)
  room.bytes.set(text, MESSAGE_AT)
  const at = room.address(MESSAGE_AT, text.byteLength)
  const tag = room.address(MESSAGE_AT + text.byteLength, TAG)
  const context = aead.context(vector.cipher, key, true)
  try {
    return (
      evp.EVP_EncryptInit_ex(context, 0n, 0n, 0n, room.address(0, 12)) === 1 &&
      evp.EVP_EncryptUpdate(context, 0n, aead.length, room.address(16, aad.byteLength), aad.byteLength) ===
        1 &&
      evp.EVP_EncryptUpdate(context, at, aead.length, at, text.byteLength) === 1 &&
      evp.EVP_EncryptFinal_ex(context, aead.final, aead.length) === 1 &&
      evp.EVP_CIPHER_CTX_ctrl(context, 0x10, TAG, tag) === 1 &&
      equal(room.bytes.subarray(MESSAGE_AT, MESSAGE_AT + sealed.byteLength), sealed)
    )
  } finally {
    evp.EVP_CIPHER_CTX_free(context)
  }
}

const equal = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0

const KEY: FormKey = {
  key: Uint8Array.from({ length: 32 }, (_, i) => i * 7),
  salt: Uint8Array.of(1, 2, 3, 4),
}
const sample = (): Uint8Array => Uint8Array.from({ length: SAMPLE }, (_, i) => i * 31)

function wholeHolds(aead: Aead, room: Region, cipher: Cipher): boolean {
  const sealer = new WholeSealer(aead, cipher, KEY)
  const opener = new WholeOpener(aead, cipher, KEY)
  const text = sample()
  const at = MESSAGE_AT + SEAL
  try {
    room.bytes.set(text, at)
    sealer.seal(room, at, SAMPLE, 2 ** 40 + 5, room, MESSAGE_AT)
    const sealed = room.bytes.slice(MESSAGE_AT, at + SAMPLE)
    if (!opener.open(room, MESSAGE_AT, SAMPLE) || !equal(room.bytes.subarray(at, at + SAMPLE), text))
      return false
    return [0, COUNTER, SEAL, SEAL + SAMPLE - 1].every((forged) => {
      room.bytes.set(sealed, MESSAGE_AT)
      room.bytes[MESSAGE_AT + forged]! ^= 1
      return !opener.open(room, MESSAGE_AT, SAMPLE)
    })
  } finally {
    sealer.free()
    opener.free()
  }
}

/** `aead` and `other` open each other's two records and write the same bytes; changed records do not open. */
function recordHolds(aead: Aead, other: Aead, room: Region, cipher: Cipher): boolean {
  const sealers = [aead, other].map((one) => new RecordSealer(one, cipher, KEY))
  const openers = [other, aead].map((one) => new RecordOpener(one, cipher, KEY))
  try {
    return [0, 1].every(() => sameRecords(sealers, openers, room))
  } finally {
    for (const one of [...sealers, ...openers]) one.free()
  }
}

function sameRecords(
  sealers: readonly RecordSealer[],
  openers: readonly RecordOpener[],
  room: Region,
): boolean {
  const text = sample()
  const end = MESSAGE_AT + SAMPLE + SEAL
  room.view.setUint32(0, 0x01020304)
  room.view.setUint32(4, headerWord(WireForm.record, 1, 3, 0xabcd))
  const all = sealers.map((sealer) => {
    room.bytes.set(text, MESSAGE_AT + COUNTER)
    sealer.seal(room, 0, room, MESSAGE_AT, SAMPLE)
    return room.bytes.slice(0, end)
  })
  const opens = (bytes: Uint8Array, opener: RecordOpener): boolean => {
    room.bytes.set(bytes)
    return opener.open(room, 0, room, MESSAGE_AT, SAMPLE)
  }
  const first = all[0]!
  if (!equal(first, all[1]!)) return false
  return openers.every((opener) => {
    if (!opens(first, opener)) return false
    if (!equal(room.bytes.subarray(MESSAGE_AT + COUNTER, MESSAGE_AT + COUNTER + SAMPLE), text)) return false
    return [0, HEADER - 1, MESSAGE_AT, MESSAGE_AT + COUNTER, end - 1].every((forged) => {
      const bytes = first.slice()
      bytes[forged]! ^= 1
      return !opens(bytes, opener)
    })
  })
}
