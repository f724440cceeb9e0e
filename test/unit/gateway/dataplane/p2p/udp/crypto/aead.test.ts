/**
 * The AEADs against node:crypto as the reference: both forms, both ciphers, and the self-test that decides what is
 * used.
 */
import { createCipheriv } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import {
  Aead,
  RecordOpener,
  RecordSealer,
  WholeOpener,
  WholeSealer,
} from '../../../../../../../gateway/dataplane/p2p/udp/crypto/aead.ts'
import { CIPHERS } from '../../../../../../../gateway/dataplane/p2p/udp/crypto/key-schedule.ts'
import { testedAead } from '../../../../../../../gateway/dataplane/p2p/udp/crypto/self-test.ts'
import { Arena } from '../../../../../../../kernel/arena.ts'
import { type Evp, loadEvp } from '../../../../../../../kernel/evp.node.ts'

const evp = loadEvp() as Evp
const key = { key: Uint8Array.from({ length: 32 }, (_, i) => i), salt: Uint8Array.of(9, 8, 7, 6) }
const arena = new Arena(1 << 18)
const room = arena.take(70_000)
const header = arena.take(8)
const means = [new Aead(arena, evp, false), new Aead(arena, evp, true)]
const text = fc.uint8Array({ minLength: 1, maxLength: 2_000 })

function reference(cipher: (typeof CIPHERS)[number], counter: number, bytes: Uint8Array, aad?: Uint8Array) {
  const nonce = Buffer.alloc(12)
  nonce.set(key.salt)
  nonce.writeBigUInt64BE(BigInt(counter), 4)
  const gcm = createCipheriv(cipher as 'chacha20-poly1305', key.key, nonce, { authTagLength: 16 })
  if (aad !== undefined) gcm.setAAD(aad, { plaintextLength: bytes.length })
  const sealed = Buffer.concat([gcm.update(bytes), gcm.final()])
  return { head: nonce.subarray(4), sealed, tag: gcm.getAuthTag() }
}

t.test('whole is AES-GCM or ChaCha20-Poly1305 with salt and counter as nonce', async (t) => {
  for (const cipher of CIPHERS) {
    const sealer = new WholeSealer(means[0]!, cipher, key)
    const opener = new WholeOpener(means[0]!, cipher, key)
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 2 ** 52 }), (bytes, counter) => {
        room.bytes.set(bytes, 24)
        sealer.seal(room, 24, bytes.length, counter, room, 0)
        const { head, sealed, tag } = reference(cipher, counter, bytes)
        const isSame = Buffer.concat([head, tag, sealed]).equals(room.bytes.subarray(0, 24 + bytes.length))
        return (
          isSame &&
          opener.open(room, 0, bytes.length) &&
          Buffer.compare(room.bytes.subarray(24, 24 + bytes.length), bytes) === 0
        )
      }),
      { numRuns: 50 },
    )
    sealer.free()
    opener.free()
    t.throws(() => opener.open(room, 0, 1), /has been freed/)
  }
})

t.test('record authenticates the header and the length, by either way of calling', async () => {
  for (const cipher of CIPHERS)
    for (const aead of means) {
      const sealer = new RecordSealer(aead, cipher, key)
      const opener = new RecordOpener(aead, cipher, key)
      fc.assert(
        fc.property(text, fc.uint8Array({ minLength: 8, maxLength: 8 }), (bytes, head) => {
          const n = bytes.length
          const counter = sealer.sealed
          header.bytes.set(head)
          room.bytes.set(bytes, 8)
          sealer.seal(header, 0, room, 0, n)
          const aad = Buffer.from([...head, 0, 0, 0, n >> 8, n & 255])
          const expected = reference(cipher, counter, bytes, aad)
          const isSame = Buffer.concat([expected.head, expected.sealed, expected.tag]).equals(
            room.bytes.subarray(0, n + 24),
          )
          return (
            isSame &&
            opener.open(header, 0, room, 0, n) &&
            Buffer.compare(room.bytes.subarray(8, 8 + n), bytes) === 0
          )
        }),
        { numRuns: 50 },
      )
    }
})

t.test('a bit that changed anywhere does not open', async () => {
  const bytes = Uint8Array.from({ length: 40 }, (_, i) => i)
  for (const aead of means) {
    const sealer = new RecordSealer(aead, 'aes-256-gcm', key)
    const opener = new RecordOpener(aead, 'aes-256-gcm', key)
    const seal = () => {
      room.bytes.set(bytes, 8)
      sealer.seal(header, 0, room, 0, 40)
    }
    fc.assert(
      fc.property(fc.integer({ min: 0, max: (8 + 64) * 8 - 1 }), (bit) => {
        seal()
        const [region, at] = bit < 64 ? [header, bit >> 3] : [room, (bit >> 3) - 8]
        region.bytes[at]! ^= 1 << (bit & 7)
        const opened = opener.open(header, 0, room, 0, 40)
        if (bit < 64) header.bytes[at]! ^= 1 << (bit & 7)
        return !opened
      }),
    )
  }
})

t.test('the self-test passes here and chooses the record form', async (t) => {
  t.match(testedAead(arena), { features: { ciphers: CIPHERS, record: true } })
})

t.test('the self-test tells what is wrong', async (t) => {
  t.same(testedAead(arena, { problem: 'none here' }), { problem: 'none here' })
  const broken = (name: keyof Evp, fake: unknown) => testedAead(arena, { ...evp, [name]: fake } as Evp)
  t.match(
    broken('EVP_DecryptFinal_ex', () => 1),
    { problem: /fails its test \(whole, aes-256-gcm\)/ },
    'opens forgeries',
  )
  t.match(broken('EVP_aes_256_gcm', evp.EVP_chacha20_poly1305), { problem: /test case 16/ }, 'another cipher')
})

t.test('without a record form that works, records are sealed by parts', async (t) => {
  const without = (name: keyof Evp, fake: unknown) => testedAead(arena, { ...evp, [name]: fake } as Evp)
  t.match(
    without('EVP_Cipher', (_: bigint, __: bigint, ___: bigint, n: number) => n),
    { features: { record: false } },
  )
  const noFixed = (context: bigint, type: number, arg: number, at: bigint) =>
    type === 0x12 ? 0 : evp.EVP_CIPHER_CTX_ctrl(context, type, arg, at)
  t.match(without('EVP_CIPHER_CTX_ctrl', noFixed), { features: { record: false } })
})
