/** core/addr6.ts: what is an IPv6 address (RFC 4291 2.2) and what only has colons. */
import { isIPv6 } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { mappedIpv4, parseIpv6 } from '../../../core/addr6.ts'

t.test('every spelling of an address gives its eight groups', async (t) => {
  t.same(parseIpv6('::'), [0, 0, 0, 0, 0, 0, 0, 0])
  t.same(parseIpv6('0:0:0:0:0:0:0:0'), [0, 0, 0, 0, 0, 0, 0, 0])
  t.same(parseIpv6('fd00::A:1'), [0xfd00, 0, 0, 0, 0, 0, 0xa, 1])
  t.same(parseIpv6('1:2:3:4:5:6:7::'), [1, 2, 3, 4, 5, 6, 7, 0])
  t.same(parseIpv6('::ffff:10.1.2.3'), [0, 0, 0, 0, 0, 0xffff, 0x0a01, 0x0203])
})

t.test('a text with colons is not an address for that', async (t) => {
  for (const text of ['', ':', 'a:b', ':::1', '::1::', '127.0.0.1:80', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9'])
    t.equal(parseIpv6(text), undefined, JSON.stringify(text))
  for (const text of [
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'g::',
    '::1.2.3',
    '1.2.3.4::',
    '::1%eth0',
    ' ::1',
    '::1\n',
  ])
    t.equal(parseIpv6(text), undefined, JSON.stringify(text))
})

t.test("the runtime's own reader has the same verdict", async () => {
  const almost = fc.array(fc.constantFrom('0', '1', 'f', 'ffff', 'g', ':', '::', '.', '1.2.3.4', '255'), {
    maxLength: 17,
  })
  fc.assert(
    fc.property(almost, (parts) => isIPv6(parts.join('')) === (parseIpv6(parts.join('')) !== undefined)),
    { numRuns: 5_000 },
  )
  fc.assert(fc.property(fc.ipV6(), (text) => parseIpv6(text)?.length === 8))
})

t.test('an IPv4 address in IPv6 dress is that IPv4 address, in both spellings', async (t) => {
  for (const text of ['::ffff:10.1.2.3', '::FFFF:0a01:203']) t.equal(mappedIpv4(parseIpv6(text)!), 0x0a010203)
  for (const text of ['::10.1.2.3', 'fd00::ffff:a01:203']) t.equal(mappedIpv4(parseIpv6(text)!), undefined)
})
