/** gateway/dataplane/nebula/datagram: what proves a way, and what cannot be made without the key. */

import { randomBytes } from 'node:crypto'
import t from 'tap'
import {
  DATAGRAM_BYTES,
  open,
  probeKeys,
  sealAnswer,
  sealProbe,
} from '../../../../../gateway/dataplane/nebula/datagram.ts'

const secret = randomBytes(64)
const lower = probeKeys(secret, true)
const higher = probeKeys(secret, false)
const probe = { kind: 'path', token: 0xdeadbeef, seq: 7, lossRate: 0.05 } as const
const heard = { ...probe, takesQuestion: true }
const answer = { ...probe, observed: undefined, rxDatagrams: 0, rxBytes: 0 }

t.test('a probe and its answer', (t) => {
  t.same(open(higher, sealProbe(lower, probe)), { type: 'probe', probe: heard })
  t.same(open(lower, sealAnswer(higher, answer)), { type: 'answer', answer })
  const full = sealProbe(lower, probe, 1_272)
  t.equal(full.byteLength, 1_272, 'padding makes it full-size')
  t.same(open(higher, full), { type: 'probe', probe: heard })
  t.equal(sealAnswer(higher, answer).byteLength, DATAGRAM_BYTES, 'an answer is short')
  t.end()
})

t.test('what is not of the peer and this try', (t) => {
  const sealed = sealProbe(lower, probe)
  t.equal(open(lower, sealed), undefined, 'sent back to its sender')
  t.equal(open(probeKeys(randomBytes(64), false), sealed), undefined, 'another key')
  t.equal(open(higher, sealed.subarray(0, DATAGRAM_BYTES - 1)), undefined, 'cut')
  t.equal(open(higher, Buffer.alloc(0)), undefined, 'empty')
  t.equal(open(higher, randomBytes(DATAGRAM_BYTES)), undefined, 'noise')
  for (let at = 0; at < DATAGRAM_BYTES; at++) {
    const changed = Buffer.from(sealed)
    changed[at] = (changed[at] ?? 0) ^ 1
    t.equal(open(higher, changed), undefined, `bit of byte ${at} changed`)
  }
  t.end()
})
