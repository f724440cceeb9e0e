/** core/addr6.ts: what is an IPv6 address (RFC 4291 2.2) and what only has colons. */
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

t.test('groups survive their text, with any run of zeros left out and with a dotted end', async () => {
  const group = fc.integer({ min: 0, max: 0xffff })
  const run = fc.tuple(fc.nat(7), fc.integer({ min: 1, max: 8 }))
  const groups = fc.array(group, { minLength: 8, maxLength: 8 })
  fc.assert(
    fc.property(groups, run, (all, [from, length]) => {
      const hex = (part: number[]): string => part.map((g) => g.toString(16)).join(':')
      const zeroed = all.map((g, i) => (i >= from && i < from + length ? 0 : g))
      const [head, tail] = [zeroed.slice(0, from), zeroed.slice(from + length)]
      const dotted = `${hex(all.slice(0, 6))}:${all[6]! >> 8}.${all[6]! & 255}.${all[7]! >> 8}.${all[7]! & 255}`
      const isRead = (text: string, is: number[]): boolean => parseIpv6(text)?.join() === is.join()
      return isRead(hex(all), all) && isRead(dotted, all) && isRead(`${hex(head)}::${hex(tail)}`, zeroed)
    }),
  )
})

t.test('an IPv4 address in IPv6 dress is that IPv4 address, in both spellings', async (t) => {
  for (const text of ['::ffff:10.1.2.3', '::FFFF:0a01:203']) t.equal(mappedIpv4(parseIpv6(text)!), 0x0a010203)
  for (const text of ['::10.1.2.3', 'fd00::ffff:a01:203']) t.equal(mappedIpv4(parseIpv6(text)!), undefined)
})
