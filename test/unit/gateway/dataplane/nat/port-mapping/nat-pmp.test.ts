/** gateway/dataplane/nat/port-mapping/nat-pmp: requests and responses as RFC 6886 draws them, and broken bytes. */
import fc from 'fast-check'
import t from 'tap'
import {
  decodeAddress,
  decodeMapping,
  encodeAddressRequest,
  encodeMapRequest,
} from '../../../../../../gateway/dataplane/nat/port-mapping/nat-pmp.ts'

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replaceAll(/\s/g, ''))
const REQUEST = { port: 7_443, externalPort: 7_444, lifetimeS: 3_600 }
const ADDRESS = hex('00 80 0000 00000064 cb007105')
const MAPPING = hex('00 81 0000 00000064 1d13 1d14 00000e10')

t.test('requests (RFC 6886, 3.2 to 3.4)', async (t) => {
  t.same(encodeAddressRequest(), hex('00 00'))
  t.same(encodeMapRequest(REQUEST), hex('00 01 0000 1d13 1d14 00000e10'))
  t.same(encodeMapRequest({ ...REQUEST, lifetimeS: 0 }), hex('00 01 0000 1d13 0000 00000000'), 'to delete')
})

t.test('responses', async (t) => {
  t.same(decodeAddress(ADDRESS), { address: '203.0.113.5' })
  t.same(decodeMapping(MAPPING, REQUEST), { externalPort: 7_444, lifetimeS: 3_600 })
})

t.test('refusals', async (t) => {
  t.same(decodeAddress(hex('00 80 0003 00000064 00000000')), {
    refused: 'no external address',
    isDenied: true,
  })
  t.same(decodeMapping(hex('00 81 0002 00000064'), REQUEST), { refused: 'not allowed', isDenied: true })
  t.same(decodeMapping(hex('00 81 0001 00000064'), REQUEST), { refused: 'another version', isDenied: false })
  t.same(decodeMapping(hex('00 81 0909 00000064'), REQUEST), { refused: 'result 2313', isDenied: true })
})

t.test('what is no response to this request is passed over', async (t) => {
  t.equal(decodeMapping(MAPPING, { port: 1 }), undefined, 'another port')
  t.equal(decodeMapping(ADDRESS, REQUEST), undefined, 'another operation')
  t.equal(decodeAddress(MAPPING), undefined)
  t.equal(decodeAddress(hex('02 80 0000 00000064 cb007105')), undefined, 'another version')
  for (let length = 0; length < MAPPING.byteLength; length++)
    t.equal(decodeMapping(MAPPING.subarray(0, length), REQUEST), undefined, `cut to ${length} bytes`)
})

t.test('no bytes make it throw', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      decodeAddress(bytes)
      decodeMapping(bytes, REQUEST)
    }),
  )
})
