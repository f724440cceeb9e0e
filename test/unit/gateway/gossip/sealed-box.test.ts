/** gateway/gossip: a box opens for its receiver alone, whole and in its place. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import t from 'tap'
import { BOX_OVERHEAD, openSealed, sealFor } from '../../../../gateway/gossip/sealed-box.ts'

const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString()
const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' })
const pair = (): { pem: string; spki: Buffer } => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return { pem: pemOf(privateKey), spki: spkiOf(publicKey) }
}
const context = Buffer.from('1 to 2')

t.test('opens for its receiver, with any length', (t) => {
  // Both halves of the map depend on the key, and one of two keys has the sign bit.
  for (let i = 0; i < 16; i++) {
    const { pem, spki } = pair()
    const plain = Buffer.alloc(i * 4_321, i)
    const box = sealFor(spki, plain, context)
    t.equal(box.length, plain.length + BOX_OVERHEAD)
    t.same(openSealed(pem, box, context), plain)
  }
  t.end()
})

t.test('is another each time, and says nothing of what is in it', (t) => {
  const { spki } = pair()
  const plain = Buffer.from('the same words')
  t.notSame(sealFor(spki, plain, context), sealFor(spki, plain, context))
  t.equal(sealFor(spki, plain, context).indexOf('words'), -1)
  t.end()
})

t.test('opens for no other key, in no other place, and not when a byte of it is another', (t) => {
  const { pem, spki } = pair()
  const box = sealFor(spki, Buffer.from('words'), context)
  t.equal(openSealed(pair().pem, box, context), undefined)
  t.equal(openSealed(pem, box, Buffer.from('1 to 3')), undefined)
  for (let at = 0; at < box.length; at++) {
    const changed = Buffer.from(box)
    changed[at]! ^= 1
    t.equal(openSealed(pem, changed, context), undefined, `byte ${at}`)
  }
  for (const length of [0, 1, 31, 32, 47, box.length - 1])
    t.equal(openSealed(pem, box.subarray(0, length), context), undefined, `${length} bytes`)
  t.end()
})

t.test('keys of another kind, and points of low order', (t) => {
  const { publicKey } = generateKeyPairSync('x25519')
  t.throws(() => sealFor(spkiOf(publicKey), Buffer.alloc(1), context), /not Ed25519/)
  const { pem } = pair()
  t.equal(openSealed(pem, Buffer.alloc(100), context), undefined, 'a shared secret of zeros is refused')
  t.end()
})
