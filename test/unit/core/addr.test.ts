/** core/addr.ts: the arithmetic of the hot path, by examples at the edges and by round trips over every value. */
import fc from 'fast-check'
import t from 'tap'
import {
  contains,
  formatIpv4,
  formatPrefix,
  ipv4Bytes,
  ipv4FromBytes,
  isInSlice,
  isUnicastMac,
  macOf,
  overlaps,
  parseCidr4,
  parseIpv4,
  parseMac,
  parsePrefix4,
  prefixBase,
  sizeOf,
} from '../../../core/addr.ts'

const ip = fc.integer({ min: 0, max: 0xffff_ffff })
const prefixLen = fc.integer({ min: 0, max: 32 })
const prefix = fc.tuple(ip, prefixLen).map(([address, len]) => ({
  base: prefixBase(address, len),
  prefixLen: len,
}))

t.test('an address survives text and bytes', async (t) => {
  fc.assert(fc.property(ip, (value) => parseIpv4(formatIpv4(value)) === value))
  fc.assert(fc.property(ip, (value) => ipv4FromBytes(ipv4Bytes(value)) === value))
  t.equal(formatIpv4(0x0a640101), '10.100.1.1')
  t.equal(parseIpv4('255.255.255.255'), 0xffff_ffff, 'the sign bit is a value bit')
})

t.test('only dotted decimal without leading zeros is an address', async (t) => {
  for (const text of ['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '010.1.1.1', '1.1.1.01', '1.1.1.-1', ' 1.1.1.1'])
    t.equal(parseIpv4(text), undefined, JSON.stringify(text))
  for (const text of ['1.1.1.1 ', '1.1.1.1\n', '0x1.1.1.1', '1.1.1.', '١.1.1.1', '1e1.1.1.1', '1..1.1'])
    t.equal(parseIpv4(text), undefined, JSON.stringify(text))
})

t.test('whatever is parsed prints as it was written: no text has two readings', async () => {
  const almost = fc.string({ unit: fc.constantFrom('0', '1', '2', '5', '9', '.', ' ', 'x', '/') })
  fc.assert(
    fc.property(almost, (text) => {
      const value = parseIpv4(text)
      return value === undefined || formatIpv4(value) === text
    }),
    { numRuns: 2_000 },
  )
})

t.test('a prefix survives its text, and host bits are refused', async (t) => {
  fc.assert(
    fc.property(prefix, (p) => {
      const parsed = parsePrefix4(formatPrefix(p))
      return parsed?.base === p.base && parsed.prefixLen === p.prefixLen
    }),
  )
  t.same(parsePrefix4('0.0.0.0/0'), { base: 0, prefixLen: 0 })
  t.equal(parsePrefix4('10.100.1.1/24'), undefined)
  for (const text of ['10.0.0.0', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/-1', '10.0.0.0/8/8'])
    t.equal(parseCidr4(text), undefined, text)
  t.same(
    parseCidr4('10.100.1.1/24'),
    { ip: 0x0a640101, prefixLen: 24 },
    'an address with its length keeps host bits',
  )
})

t.test('containment and overlap agree with counting', async (t) => {
  fc.assert(
    fc.property(prefix, ip, (p, address) => {
      const last = p.base + sizeOf(p.prefixLen) - 1
      return contains(p, address) === (address >= p.base && address <= last) && contains(p, last)
    }),
  )
  fc.assert(
    fc.property(prefix, prefix, (a, b) => {
      const apart = a.base + sizeOf(a.prefixLen) <= b.base || b.base + sizeOf(b.prefixLen) <= a.base
      return overlaps(a, b) === !apart && overlaps(a, b) === overlaps(b, a)
    }),
  )
  t.equal(sizeOf(0), 2 ** 32, 'a shift would give 1')
})

t.test('a MAC is read in three spellings and printed in one', async (t) => {
  t.equal(parseMac('02-00-5E-10-00-AB'), '02:00:5e:10:00:ab')
  t.equal(parseMac('0200.5E10.00ab'), '02:00:5e:10:00:ab')
  for (const text of [
    '0200.5e10',
    '0200.5e10.0001.0002',
    '0200.5e10:0001',
    '02.00.5e.10.00.01',
    '02005e100001',
  ])
    t.equal(parseMac(text), undefined, text)
  for (const text of ['', '02:00:5e:10:00', '02:00:5e:10:00:01:02', '02:00:5e:10:00:0g'])
    t.equal(parseMac(text), undefined, text)
  t.equal(isUnicastMac('01:00:5e:00:00:01'), false, 'multicast')
  t.equal(isUnicastMac('ff:ff:ff:ff:ff:ff'), false, 'broadcast')
  t.equal(isUnicastMac('00:00:00:00:00:00'), false, 'none at all')
  t.equal(isUnicastMac('02:00:5e:10:00:01'), true)
})

t.test(
  "the container's MAC is 0a:64 and the address: equal addresses, equal MACs, never a group address",
  async (t) => {
    t.equal(macOf(0x0a64010a), '0a:64:0a:64:01:0a')
    t.equal(macOf(0), '0a:64:00:00:00:00', 'padded')
    fc.assert(
      fc.property(ip, ip, (a, b) => {
        const [mac, other] = [macOf(a), macOf(b)]
        return (mac === other) === (a === b) && parseMac(mac) === mac && isUnicastMac(mac)
      }),
    )
  },
)

t.test('a container may have neither the network, the bridge nor the broadcast address', async (t) => {
  const own = parsePrefix4('10.100.1.0/24')!
  const inside = (text: string): boolean => isInSlice(own, parseIpv4(text)!)
  t.same(['10.100.1.1', '10.100.1.254', '10.100.1.0', '10.100.1.255', '10.100.2.1'].map(inside), [
    false,
    true,
    false,
    false,
    false,
  ])
})
