/** The STUN codec against the vectors of RFC 5769, against itself, and against bytes that are broken. */

import fc from 'fast-check'
import t from 'tap'
import { decodeStun, encodeStun, isAnswerable } from '../../../../../gateway/dataplane/nat/stun.ts'
import { looksLikeStun } from '../../../../../gateway/dataplane/nat/stun-wire.ts'

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replace(/#.*/g, '').replace(/\s/g, ''))

/** RFC 5769, 2.1: with attributes of ICE that must be understood. */
const REQUEST = hex(`
  00010058 2112a442 b7e7a701 bc34d686 fa87dfae   # binding request, 88 bytes
  80220010 5354554e 20746573 7420636c 69656e74   # SOFTWARE "STUN test client"
  00240004 6e0001ff                              # PRIORITY
  80290008 932ff9b1 51263b36                     # ICE-CONTROLLED
  00060009 6576746a 3a683676 59202020            # USERNAME "evtj:h6vY"
  00080014 9aeaa70c bfd8cb56 781ef2b5 b2d3f249 c1b571a2   # MESSAGE-INTEGRITY
  80280004 e57a3bcf                              # FINGERPRINT
`)

/** RFC 5769, 2.2. */
const IPV4_RESPONSE = hex(`
  0101003c 2112a442 b7e7a701 bc34d686 fa87dfae
  8022000b 74657374 20766563 746f7220            # SOFTWARE "test vector"
  00200008 0001a147 e112a643                     # XOR-MAPPED-ADDRESS
  00080014 2b91f599 fd9e90c3 8c7489f9 2af9ba53 f06be7d7
  80280004 c07d4c96
`)

/** RFC 5769, 2.3. */
const IPV6_RESPONSE = hex(`
  01010048 2112a442 b7e7a701 bc34d686 fa87dfae
  8022000b 74657374 20766563 746f7220
  00200014 0002a147 0113a9fa a5d3f179 bc25f4b5 bed2b9d9
  00080014 a382954e 4be67bf1 1784c97c 8292c275 bfe3ed41
  80280004 c8fb0b4c
`)

const TRANSACTION = 'b7e7a701bc34d686fa87dfae'

t.test('the vectors of RFC 5769 are understood', async (t) => {
  t.match(decodeStun(REQUEST), {
    kind: 'request',
    transaction: TRANSACTION,
    software: 'STUN test client',
    unknown: [0x24, 0x06, 0x08],
  })
  t.match(decodeStun(IPV4_RESPONSE), { kind: 'response', mapped: '192.0.2.1:32853', software: 'test vector' })
  t.match(decodeStun(IPV6_RESPONSE), {
    kind: 'response',
    mapped: '[2001:db8:1234:5678:11:2233:4455:6677]:32853',
  })
})

t.test('what is encoded is decoded', async (t) => {
  const messages = [
    { kind: 'request', transaction: TRANSACTION },
    { kind: 'request', transaction: TRANSACTION, change: { address: true, port: false } },
    { kind: 'response', transaction: TRANSACTION, mapped: '192.0.2.1:1', software: 'x' },
    { kind: 'response', transaction: TRANSACTION, mapped: '[2001:db8::1]:65535', other: '192.0.2.2:3479' },
  ] as const
  for (const message of messages) t.match(decodeStun(encodeStun(message)), message)
  t.equal(encodeStun(messages[0]).byteLength, 28)
  t.throws(() => encodeStun({ kind: 'request', transaction: 'ab' }), /24 hex digits/)
  t.throws(() => encodeStun({ kind: 'response', transaction: TRANSACTION, mapped: 'x' }), /x: write/)
})

t.test('only a plain request gets an answer', async (t) => {
  const request = { kind: 'request', transaction: TRANSACTION } as const
  t.ok(isAnswerable(decodeStun(encodeStun(request))))
  t.ok(isAnswerable(decodeStun(hex(`00010000 2112a442 ${TRANSACTION}`))), 'FINGERPRINT may be absent')
  t.notOk(isAnswerable(decodeStun(REQUEST)), 'it wants a check of ICE')
  t.notOk(isAnswerable(decodeStun(IPV4_RESPONSE)), 'or two servers would answer each other for ever')
  t.notOk(isAnswerable(decodeStun(encodeStun({ ...request, change: { address: true, port: true } }))))
})

t.test('broken messages are refused', async (t) => {
  for (let end = 0; end < IPV4_RESPONSE.byteLength; end++)
    t.equal(decodeStun(IPV4_RESPONSE.subarray(0, end)), undefined, `cut after ${end} bytes`)
  for (let at = 0; at < IPV4_RESPONSE.byteLength; at++) {
    const wrong = Uint8Array.from(IPV4_RESPONSE)
    wrong[at] = (wrong[at] ?? 0) ^ 1
    // With another type the last attribute is none that has to be understood, and FINGERPRINT may be absent.
    if (at !== 72 && at !== 73) t.equal(decodeStun(wrong), undefined, `byte ${at} changed`)
  }
  t.equal(decodeStun(hex(`00010001 2112a442 ${TRANSACTION} 00`)), undefined)
  t.equal(
    decodeStun(hex(`01010008 2112a442 ${TRANSACTION} 00200004 00010000`)),
    undefined,
    'address of 0 bytes',
  )
  t.equal(
    decodeStun(hex(`00010008 2112a442 ${TRANSACTION} 00030002 00000000`)),
    undefined,
    'short CHANGE-REQUEST',
  )
})

t.test('any bytes are refused or decoded, without an exception', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 600 }), (tail) => {
      const head = hex(`0101 0000 2112a442 ${TRANSACTION}`)
      const bytes = Uint8Array.from([...head, ...tail])
      new DataView(bytes.buffer).setUint16(2, tail.byteLength)
      decodeStun(bytes)
      decodeStun(tail)
    }),
  )
})

t.test('a datagram of ours is no STUN, whatever its index', async (t) => {
  t.ok(looksLikeStun(REQUEST))
  for (const form of [1, 2, 3])
    t.notOk(looksLikeStun(Uint8Array.from([0, 1, 0, 88, form << 6, ...new Uint8Array(40)])))
})
