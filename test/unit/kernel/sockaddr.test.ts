/** Endpoints as text and as the kernel's structure: golden bytes, round trips, and what is no endpoint. */
import fc from 'fast-check'
import t from 'tap'
import {
  AF_INET,
  AF_INET6,
  canReach,
  readSockaddr,
  sockaddrBytes,
  type UdpFamily,
  writeSockaddr,
} from '../../../kernel/sockaddr.ts'

function written(family: UdpFamily, endpoint: string): Uint8Array {
  const out = new Uint8Array(sockaddrBytes(family)).fill(0xee)
  writeSockaddr(family, endpoint, out)
  return out
}
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

t.test('golden bytes, as connect(2) of a C program has them', async (t) => {
  t.equal(hex(written(AF_INET, '192.0.2.1:7443')), '02001d13c00002010000000000000000')
  t.equal(
    hex(written(AF_INET6, '192.0.2.1:7443')),
    '0a001d130000000000000000000000000000ffffc000020100000000',
  )
  t.equal(
    hex(written(AF_INET6, '[fe80::1%3]:7443')),
    '0a001d1300000000fe80000000000000000000000000000103000000',
  )
})

t.test('canonical text comes back', async (t) => {
  for (const text of [
    '0.0.0.0:1',
    '[::]:65535',
    '[::1]:7443',
    '[2001:db8::1]:7443',
    '[2001:db8:0:1:1:1:1:1]:7443',
    '[2001:0:0:1::1]:7443',
    '[fe80::1%3]:7443',
    '[1:2:3:4:5:6:7:8]:80',
    '[1:2:3:4:5:6:7::]:80',
  ])
    t.equal(readSockaddr(written(AF_INET6, text)), text.replace(':7::]', ':7:0]'), text)
  t.equal(readSockaddr(written(AF_INET, '10.0.0.1:7443')), '10.0.0.1:7443')
  t.equal(readSockaddr(written(AF_INET6, '[::ffff:10.0.0.1]:7443')), '10.0.0.1:7443', 'mapped')
  t.equal(readSockaddr(written(AF_INET6, '[2001:DB8:0:0::1]:7443')), '[2001:db8::1]:7443')
})

t.test('any address survives', async () => {
  fc.assert(
    fc.property(fc.ipV6(), fc.integer({ min: 1, max: 65_535 }), (ip, port) => {
      const bytes = written(AF_INET6, `[${ip}]:${port}`)
      return hex(written(AF_INET6, readSockaddr(bytes))) === hex(bytes)
    }),
  )
})

t.test('what is no endpoint is said with a way out', async (t) => {
  for (const text of [
    '',
    ':1',
    '1.2.3.4',
    '1.2.3.4:0',
    '1.2.3.4:65536',
    '1.2.3.4:+1',
    '1.2.3:80',
    '01.2.3.4:80',
    '[::1]',
    '[::1:80',
    '::1:80',
    '[1::2::3]:80',
    '[1:2:3:4:5:6:7:8::]:80',
    '[12345::]:80',
    '[::1%0]:80',
    '[::1%eth0]:80',
    '[1.2.3.4::]:80',
    '[::1.2.3.400]:80',
  ])
    t.throws(() => written(AF_INET6, text), /write 192\.0\.2\.1:7443 or/, text)
  t.throws(() => written(AF_INET, '[::1]:80'), /this host has no IPv6/)
  t.notOk(canReach(AF_INET, '[::1]:80'))
  t.notOk(canReach(AF_INET6, 'x:80'))
  t.ok(canReach(AF_INET, '1.2.3.4:80'))
  t.ok(canReach(AF_INET6, '1.2.3.4:80'))
})
