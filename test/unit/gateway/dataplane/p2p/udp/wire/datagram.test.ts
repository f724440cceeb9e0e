/**
 * The datagram's header: every field round trips, neighbours in a message are one NEXT_PART apart, numbers survive
 * wrapping.
 */
import fc from 'fast-check'
import t from 'tap'
import {
  COUNTER,
  formOf,
  HEADER,
  headerWord,
  idOf,
  isHeaderWord,
  MAX_PARTS,
  NEXT_PART,
  numberOf,
  partOf,
  partsOf,
  SEAL,
  TAG,
  WireForm,
} from '../../../../../../../gateway/dataplane/p2p/udp/wire/datagram.ts'

const form = fc.constantFrom(...Object.values(WireForm))
const id = fc.integer({ min: 0, max: 0xffff })

t.test('round trip', async () => {
  fc.assert(
    fc.property(
      form,
      fc.integer({ min: 0, max: 63 }),
      fc.integer({ min: 0, max: 255 }),
      id,
      (f, p, n, i) =>
        formOf(headerWord(f, p, n, i)) === f &&
        partOf(headerWord(f, p, n, i)) === p &&
        partsOf(headerWord(f, p, n, i)) === n &&
        idOf(headerWord(f, p, n, i)) === i,
    ),
  )
})

t.test('golden: second part of three of message 0x12345, whole', async (t) => {
  t.equal(headerWord(WireForm.whole, 1, 3, 0x12345).toString(16), '41032345')
  t.equal(headerWord(WireForm.control, 0, 1, 0).toString(16), 'c0010000')
})

t.test('the next part of the same message', async (t) => {
  for (let part = 0; part + 1 < MAX_PARTS; part++)
    t.equal(
      headerWord(WireForm.record, part, 64, 7) + NEXT_PART,
      headerWord(WireForm.record, part + 1, 64, 7),
    )
})

t.test('parts that cannot be', async (t) => {
  t.notOk(isHeaderWord(headerWord(1, 0, 0, 1)), 'none')
  t.notOk(isHeaderWord(headerWord(1, 0, 65, 1)), 'more than part has bits for')
  t.notOk(isHeaderWord(headerWord(1, 3, 3, 1)), 'part past the last')
  t.ok(isHeaderWord(headerWord(1, 63, 64, 1)))
})

t.test('a number is found from its low bits, up to half of their range away', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 48 }),
      fc.integer({ min: -32_768, max: 32_767 }),
      (newest, distance) => numberOf((newest + distance) & 0xffff, newest) === newest + distance,
    ),
  )
})

t.test('what it costs, as docs and peers count it', async (t) => {
  t.same([HEADER, COUNTER, TAG, SEAL], [8, 8, 16, 24])
})
