/** The text of control datagrams, cut at every length. */
import t from 'tap'
import { decodeAck, encodeAck, payloadIn } from '../../../../../../gateway/dataplane/p2p/udp/control.ts'

t.test('type, payload and padding', async (t) => {
  t.same(payloadIn(Uint8Array.of(5, 0, 2, 8, 9, 0, 0)), { type: 5, payload: Uint8Array.of(8, 9) })
  t.same(payloadIn(Uint8Array.of(5, 0, 0)), { type: 5, payload: new Uint8Array(0) })
  for (let length = 0; length < 5; length++)
    t.equal(payloadIn(Uint8Array.of(5, 0, 2, 8, 9).subarray(0, length)), undefined)
  t.equal(payloadIn(Uint8Array.of(5, 255, 255, 1)), undefined)
})

t.test('an acknowledgement, golden', async (t) => {
  const ack = { index: 0xdeadbeef, id: 0x1234, received: 0xfffffff0 }
  const bytes = encodeAck(ack).slice()
  t.equal(Buffer.from(bytes).toString('hex'), 'deadbeef1234fffffff0')
  t.same(decodeAck(bytes), ack)
  t.same(decodeAck(Buffer.concat([bytes, Buffer.from('later')])), ack, 'later versions may add to it')
  for (let length = 0; length < 10; length++) t.equal(decodeAck(bytes.subarray(0, length)), undefined)
})
