/** The text of control datagrams, cut at every length. */
import t from 'tap'
import {
  decodeAck,
  decodeResend,
  encodeAck,
  encodeResend,
  payloadIn,
} from '../../../../../../gateway/dataplane/p2p/udp/control.ts'

t.test('type, payload and padding', async (t) => {
  t.same(payloadIn(Uint8Array.of(5, 0, 2, 8, 9, 0, 0)), { type: 5, payload: Uint8Array.of(8, 9) })
  t.same(payloadIn(Uint8Array.of(5, 0, 0)), { type: 5, payload: new Uint8Array(0) })
  for (let length = 0; length < 5; length++)
    t.equal(payloadIn(Uint8Array.of(5, 0, 2, 8, 9).subarray(0, length)), undefined)
  t.equal(payloadIn(Uint8Array.of(5, 255, 255, 1)), undefined)
})

t.test('an acknowledgement, golden', async (t) => {
  const ack = { index: 0xdeadbeef, id: 0x1234, received: 0xfffffff0, canResend: true }
  const bytes = encodeAck(ack).slice()
  t.equal(Buffer.from(bytes).toString('hex'), 'deadbeef1234fffffff001')
  t.same(decodeAck(bytes), ack)
  t.same(decodeAck(Buffer.concat([bytes, Buffer.from('later')])), ack, 'later versions may add to it')
  t.same(decodeAck(bytes.subarray(0, 10)), { ...ack, canResend: false }, 'an earlier version')
  for (let length = 0; length < 10; length++) t.equal(decodeAck(bytes.subarray(0, length)), undefined)
})

t.test('a request for lost parts, golden', async (t) => {
  const request = {
    index: 0xdeadbeef,
    request: 0x0102,
    isOn: true,
    parts: [{ number: 0x1234, low: 0x8000_0001, high: 2 }],
  }
  const bytes = encodeResend({ ...request, parts: [{ number: 0x51234, low: -0x7fff_ffff, high: 2 }] })
  t.equal(Buffer.from(bytes).toString('hex'), 'deadbeef0102010112348000000100000002')
  t.same(decodeResend(bytes), request)
  for (let length = 0; length < bytes.byteLength; length++)
    t.equal(decodeResend(bytes.subarray(0, length)), undefined)
})
