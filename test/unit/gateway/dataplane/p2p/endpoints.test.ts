/** gateway/dataplane/p2p/endpoints: what may be a host, and what is public. */
import t from 'tap'
import { endpointOf, isPublic, mayBeHost } from '../../../../../gateway/dataplane/p2p/endpoints.ts'

const overlay = { base: 0x0a640000, prefixLen: 16 }

t.test('as a socket names it, and without what means nothing on other machines', async (t) => {
  t.equal(endpointOf('::ffff:192.0.2.1', 7), '192.0.2.1:7')
  t.equal(endpointOf('2001:DB8::1', 7), '[2001:db8::1]:7')
  t.equal(endpointOf('fe80::1%eth0', 7), undefined)
  t.equal(endpointOf('192.0.2.1', 0), undefined)
})

t.test('where a host may be, and whether a NAT lies before it', async (t) => {
  const cases: [endpoint: string, mayBe: boolean, isPublic: boolean][] = [
    ['192.0.2.1:7', true, true],
    ['192.168.0.1:7', true, false],
    ['10.99.255.255:7', true, false],
    ['100.64.0.1:7', true, false],
    ['[2001:db8::1]:7', true, true],
    ['[fd00::1]:7', true, false],
    ['10.100.0.1:7', false, false],
    ['10.100.255.255:7', false, false],
    ['0.0.0.0:7', false, true],
    ['127.0.0.1:7', false, true],
    ['169.254.1.1:7', false, true],
    ['239.255.255.255:7', false, true],
    ['[::]:7', false, false],
    ['[::1]:7', false, false],
    ['[fe80::1]:7', false, false],
    ['[ff02::1]:7', false, false],
    ['name.example:7', false, false],
  ]
  for (const [endpoint, mayBe, inPublic] of cases) {
    t.equal(mayBeHost(endpoint, overlay), mayBe, endpoint)
    if (mayBe) t.equal(isPublic(endpoint), inPublic, `${endpoint} in public`)
  }
})
