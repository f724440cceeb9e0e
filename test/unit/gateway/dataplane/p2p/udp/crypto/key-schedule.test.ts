/**
 * Both sides derive the same keys, mirrored, and nothing is shared between directions, forms, hosts, ciphers or
 * generations.
 */
import { hkdfSync } from 'node:crypto'
import t from 'tap'
import {
  CIPHERS,
  firstKeys,
  nextKeys,
  type PeerKeys,
} from '../../../../../../../gateway/dataplane/p2p/udp/crypto/key-schedule.ts'

const secret = Uint8Array.from({ length: 64 }, (_, i) => i)
const dh = Uint8Array.from({ length: 32 }, (_, i) => 255 - i)
const low = { hostId: 3, peerId: 7 }
const high = { hostId: 7, peerId: 3 }

const parts = ({ seal, open, chain }: PeerKeys): string[] =>
  [seal.whole.key, seal.record.key, open.whole.key, open.record.key, chain].map((b) =>
    Buffer.from(b).toString('hex'),
  )

t.test('what one seals the other opens', async (t) => {
  for (const cipher of CIPHERS) {
    const a = firstKeys(secret, low, cipher)
    const b = firstKeys(secret, high, cipher)
    t.same(a.seal, b.open)
    t.same(a.open, b.seal)
    t.same(a.chain, b.chain)
  }
})

t.test('RFC 5869 with labels and order as documented', async (t) => {
  const bytes = Buffer.from(hkdfSync('sha256', secret, '', 'flatnet-udp 1 aes-256-gcm 3 7', 184))
  const { seal, open, chain } = firstKeys(secret, low)
  const form = ({ key, salt }: { key: Uint8Array; salt: Uint8Array }) => [key, salt]
  const index = (value: number) => Buffer.from([value >>> 24, value >>> 16, value >>> 8, value])
  const all = [seal, open].flatMap((d) => [...form(d.whole), ...form(d.record), index(d.index)])
  t.same(Buffer.concat([...all, chain]), bytes)
})

t.test('no two keys are alike', async (t) => {
  const first = firstKeys(secret, low)
  const others = [
    firstKeys(secret, { hostId: 3, peerId: 8 }),
    firstKeys(secret, low, 'chacha20-poly1305'),
    firstKeys(secret.toReversed(), low),
    nextKeys(first, dh, low),
    nextKeys(nextKeys(first, dh, low), dh, low),
  ]
  const all = [first, ...others].flatMap(parts)
  t.equal(new Set(all).size, all.length)
})

t.test('a rekey is the same on both sides', async (t) => {
  const a = nextKeys(firstKeys(secret, low), dh, low)
  const b = nextKeys(firstKeys(secret, high), dh, high)
  t.same(a.seal, b.open)
  t.same(a.open, b.seal)
})

t.test('what cannot be a secret is refused', async (t) => {
  t.throws(() => firstKeys(secret.subarray(1), low), /secret of 63 bytes: exactly 64/)
  t.throws(() => firstKeys(secret, { hostId: 3, peerId: 3 }), /hostId 3 has no keys with itself/)
  const keys = firstKeys(secret, low)
  t.throws(() => nextKeys(keys, new Uint8Array(32), low), /not all zero/)
  t.throws(() => nextKeys(keys, dh.subarray(1), low), /shared secret of 31 bytes/)
})
