/** gateway/dataplane/nat/port-mapping/pcp: requests and responses as RFC 6887 draws them, and bytes that are broken. */
import fc from 'fast-check'
import t from 'tap'
import { decodePcpMap, encodePcpMap } from '../../../../../../gateway/dataplane/nat/port-mapping/pcp.ts'

const hex = (text: string): Uint8Array => Uint8Array.fromHex(text.replace(/#.*/g, '').replace(/\s/g, ''))

const REQUEST = {
  port: 7_443,
  externalPort: 7_443,
  lifetimeS: 3_600,
  nonce: '000102030405060708090a0b',
  ownAddress: '192.168.1.2',
}

/** RFC 6887, 7.2 and figure 9, as miniupnpd 2.3.1 answers, but for the epoch. */
const response = (result = '00', lifetime = '00000e10', port = '1d13', address = 'cb007105'): Uint8Array =>
  hex(`
    02 81 00 ${result}                        # version 2, MAP response, result
    ${lifetime}                               # lifetime in seconds
    00000064                                  # epoch time
    000000000000000000000000                  # reserved
    000102030405060708090a0b                  # mapping nonce
    11 000000                                 # UDP
    1d13 ${port}                              # internal and external port
    00000000000000000000ffff ${address}       # ::ffff:203.0.113.5
  `)

t.test('a request is laid out as figures 3 and 9 of RFC 6887', async (t) => {
  const bytes = hex(`
    02 01 0000                                # version 2, MAP request
    00000e10                                  # 3600 s
    00000000000000000000ffff c0a80102         # ::ffff:192.168.1.2
    000102030405060708090a0b                  # mapping nonce
    11 000000                                 # UDP
    1d13 1d13                                 # internal and suggested external port
    00000000000000000000ffff 00000000         # any IPv4 address
  `)
  t.same(encodePcpMap(REQUEST), bytes)
})

t.test('a request to delete suggests no port (RFC 6887, 15)', async (t) => {
  const bytes = encodePcpMap({ ...REQUEST, lifetimeS: 0 })
  t.same(bytes.subarray(4, 8).toHex(), '00000000')
  t.same(bytes.subarray(40, 44).toHex(), '1d130000')
})

t.test('what is no address or nonce is refused', async (t) => {
  t.throws(() => encodePcpMap({ ...REQUEST, ownAddress: '::1' }), RangeError)
  t.throws(() => encodePcpMap({ ...REQUEST, nonce: 'aa' }), RangeError)
})

t.test('a grant', async (t) => {
  t.same(decodePcpMap(response(), REQUEST), { external: '203.0.113.5:7443', lifetimeS: 3_600 })
  const options = Buffer.concat([response(), hex('7f000004 00000000')])
  t.match(decodePcpMap(options, REQUEST), { external: '203.0.113.5:7443' }, 'options are passed over')
})

t.test('refusals', async (t) => {
  t.same(decodePcpMap(response('02'), REQUEST), { refused: 'not allowed', isDenied: true })
  t.same(decodePcpMap(response('0c'), REQUEST), {
    refused: 'a NAT is between this host and it',
    isDenied: true,
  })
  t.same(decodePcpMap(response('63'), REQUEST), { refused: 'result 99', isDenied: true })
  const version = { refused: 'another version', isDenied: false }
  t.same(decodePcpMap(hex('00 81 0001 00000064'), REQUEST), version, "NAT-PMP's answer to a PCP request")
  t.same(decodePcpMap(hex('01 81 0001'), REQUEST), version, 'PCP 1')
})

t.test('what is no response to this request is passed over', async (t) => {
  t.equal(decodePcpMap(response(), { ...REQUEST, nonce: 'f'.repeat(24) }), undefined, 'another nonce')
  t.equal(decodePcpMap(response(), { ...REQUEST, port: 1 }), undefined, 'another port')
  t.equal(decodePcpMap(encodePcpMap(REQUEST), REQUEST), undefined, 'a request that comes back')
  const tcp = response()
  tcp[36] = 6
  t.equal(decodePcpMap(tcp, REQUEST), undefined, 'TCP')
  t.equal(decodePcpMap(new Uint8Array(1_104), REQUEST), undefined, 'too long')
  for (let length = 0; length < 60; length++)
    t.equal(decodePcpMap(response().subarray(0, length), REQUEST), undefined, `cut to ${length} bytes`)
})

t.test('an external address that is IPv6 is none for an IPv4 port', async (t) => {
  const bytes = response()
  bytes[44] = 0x20
  t.match(decodePcpMap(bytes, REQUEST), { refused: 'no external address' })
})

t.test('no bytes make it throw', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1_200 }), (bytes) => {
      decodePcpMap(bytes, REQUEST)
      decodePcpMap(Buffer.concat([response().subarray(0, 40), bytes]), REQUEST)
    }),
  )
})
