/** The TURN codec against the vectors of RFC 5769 and RFC 8489, against itself, and against bytes that are broken. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import t from 'tap'
import {
  credentialsOf,
  endOf,
  longTermKey,
} from '../../../../../../gateway/dataplane/nat/turn/credentials.ts'
import {
  decodeTurn,
  encodeTurn,
  isSignedBy,
  type TurnMessage,
} from '../../../../../../gateway/dataplane/nat/turn/message.ts'

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replace(/#.*/g, '').replace(/\s/g, ''))
const LOGIN = { username: 'マトリックス', password: 'TheMatrIX' }

/**
 * RFC 5769, 2.4, as an Allocate request (type 3) would be signed: the vector is a binding request, which is not TURN.
 */
const LONG_TERM = hex(`
  00010060 2112a442 78ad3433c6ad72c029da412e
  00060012 e3839ee38388e383aae38383e382afe382b90000   # USERNAME
  0015001c 662f2f3439396b3935346436 4f4c33346f4c39465354767936347341   # NONCE
  0014000b 6578616d706c652e6f726700                   # REALM example.org
  00080014 f67024656dd64a3e02b8e0712e85c9a28ca89666   # MESSAGE-INTEGRITY
`)

/** RFC 8489, B.1, with erratum 6268. */
const SHA256 = hex(`
  00010090 2112a442 78ad3433c6ad72c029da412e
  001e0020 4a3cf38fef6992bda952c67804 17da0f2481941556 9e60b205c46e41407f1704   # USERHASH
  00150029 6f624d61744a6f733241414143662f2f3439396b3935346436 4f4c33346f4c39465354767936347341000000   # NONCE
  0014000b 6578616d706c652e6f726700
  001d0004 00020000                                   # PASSWORD-ALGORITHM SHA-256
  001c0020 b5c7bf005b6c52a21c51c5e892f819241362 96cb927c43149309278cc6518e65
`)

/** The signature covers everything before it, so the type of the vectors has to stay: only the check looks at it. */
const asRead = (bytes: Uint8Array, at: number, hash: 'sha1' | 'sha256') =>
  ({
    method: 'allocate',
    kind: 'request',
    transaction: '',
    signatures: [{ hash, at, value: bytes.subarray(at + 4) }],
  }) as const

t.test('the signatures of the vectors are right, by the keys of their passwords', async (t) => {
  const sha1 = { key: longTermKey(LOGIN, 'example.org', 'md5'), hash: 'sha1' } as const
  t.ok(isSignedBy(LONG_TERM, asRead(LONG_TERM, 92, 'sha1'), sha1))
  const sha256 = { key: longTermKey(LOGIN, 'example.org', 'sha256'), hash: 'sha256' } as const
  t.ok(isSignedBy(SHA256, asRead(SHA256, 128, 'sha256'), sha256))
  t.notOk(isSignedBy(SHA256, asRead(SHA256, 128, 'sha256'), { ...sha256, key: sha1.key }))
  t.equal(decodeTurn(LONG_TERM), undefined, 'a binding request is none of TURN')
})

const TRANSACTION = '78ad3433c6ad72c029da412e'
const key = createHash('md5').update('x').digest()

t.test('what is encoded is decoded', async (t) => {
  const messages: TurnMessage[] = [
    { method: 'allocate', kind: 'request', transaction: TRANSACTION, lifetime: 600, isUdpWanted: true },
    { method: 'allocate', kind: 'error', transaction: TRANSACTION, errorCode: 438, realm: 'r', nonce: 'n1' },
    {
      method: 'allocate',
      kind: 'success',
      transaction: TRANSACTION,
      relayed: '192.0.2.50:50000',
      lifetime: 600,
    },
    {
      method: 'channelBind',
      kind: 'request',
      transaction: TRANSACTION,
      channel: 0x4001,
      peer: '[2001:db8::1]:40001',
      username: 'someone',
      realm: 'example.org',
      nonce: 'obMatJos2AAAB',
      algorithms: hex('00020000 00010000'),
      algorithm: 2,
    },
    { method: 'createPermission', kind: 'request', transaction: TRANSACTION, peer: '192.0.2.7:9' },
    {
      method: 'data',
      kind: 'indication',
      transaction: TRANSACTION,
      peer: '192.0.2.7:1',
      data: hex('010203'),
    },
    {
      method: 'allocate',
      kind: 'error',
      transaction: TRANSACTION,
      errorCode: 300,
      alternate: '192.0.2.9:3478',
    },
  ]
  for (const message of messages)
    for (const hash of ['sha1', 'sha256'] as const) {
      const bytes = encodeTurn(message, { key, hash })
      const decoded = decodeTurn(bytes)
      t.match(decoded, message)
      t.ok(decoded && isSignedBy(bytes, decoded, { key, hash }))
      t.notOk(decoded && isSignedBy(bytes, decoded, { key: LONG_TERM, hash }), 'by another key')
      t.match(decodeTurn(encodeTurn(message)), { ...message, signatures: [] })
    }
})

/** Of coturn 4.6.1, asked for IPv6; without its signature. */
const COTURN_V6 = hex(`
  0103 0044 2112a442 d64cd961d5dcc1d616f62d40
  0016 0008 0001 2112 2112a442                                 # XOR-RELAYED-ADDRESS 0.0.0.0:0
  0016 0014 0002 e8b0 0113a9fad64cd961d5dcc1d616f62d11         # XOR-RELAYED-ADDRESS [2001:db8::51]:51618
  0020 0014 0002 8c73 0113a9fad64cd961d5dcc1d616f62d11         # XOR-MAPPED-ADDRESS
  000d 0004 00000258                                           # LIFETIME
`)

t.test('an address of nothing before the one that is relayed for is passed over', async (t) => {
  t.match(decodeTurn(COTURN_V6), { kind: 'success', relayed: '[2001:db8::51]:51618', lifetime: 600 })
})

t.test('what stands behind a signature counts for nothing', async (t) => {
  const message = { method: 'refresh', kind: 'success', transaction: TRANSACTION, lifetime: 600 } as const
  const signed = encodeTurn(message, { key, hash: 'sha1' })
  const body = signed.subarray(0, -8)
  const forged = Uint8Array.of(...body, ...hex('000d0004 00000000'))
  new DataView(forged.buffer).setUint16(2, forged.byteLength - 20)
  t.match(decodeTurn(forged), { lifetime: 600 })
})

t.test('broken bytes are refused, cut at any length or changed anywhere', async (t) => {
  const message = {
    method: 'allocate',
    kind: 'success',
    transaction: TRANSACTION,
    relayed: '192.0.2.50:5',
  } as const
  const bytes = encodeTurn(message, { key, hash: 'sha1' })
  for (let n = 0; n < bytes.byteLength; n++)
    t.equal(decodeTurn(bytes.subarray(0, n)), undefined, `${n} bytes`)
  t.equal(decodeTurn(Uint8Array.of(...bytes, ...new Uint8Array(600))), undefined, 'too long')
  fc.assert(
    fc.property(fc.nat(bytes.byteLength - 9), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Uint8Array.from(bytes, (byte, i) => (i === at ? byte ^ flip : byte))
      const decoded = decodeTurn(changed)
      return decoded === undefined || !isSignedBy(changed, decoded, { key, hash: 'sha1' })
    }),
  )
  t.pass()
})

t.test('a secret makes a name with a time and its HMAC, the same within an hour', async (t) => {
  const at = Date.UTC(2026, 10, 29, 10, 20)
  const login = { username: 'h1', secret: 'north' }
  // printf 1796036400:h1 | openssl dgst -sha1 -hmac north -binary | base64
  const until = 1_796_036_400_000
  t.same(credentialsOf(login, at), {
    username: '1796036400:h1',
    password: 'IxUZMs12GvOKrvxeeA7FxucA5u4=',
    until,
  })
  t.same(credentialsOf(login, at + 39 * 60_000), credentialsOf(login, at))
  t.not(credentialsOf(login, at + 41 * 60_000).username, credentialsOf(login, at).username)
  t.match(credentialsOf({ username: '', secret: 'north' }, at).username, /^\d+$/)
  t.same(credentialsOf({ username: 'a', password: 'b' }, at), { username: 'a', password: 'b' })
})

t.test('a name says until when it is for, unless it is a number of another kind', async (t) => {
  const endOfName = (username: string) => endOf({ username, password: 'b' })
  t.equal(endOfName('1796036400:h1'), 1_796_036_400_000)
  t.equal(endOfName('1796036400'), 1_796_036_400_000)
  for (const username of ['1234567890', '1796036400h1', 'h1', '179603640', ''])
    t.equal(endOfName(username), undefined)
  t.equal(endOf({ username: '1796036400:h1', secret: 'north' }), undefined, 'a secret makes new ones')
})
