/** gateway/base/client-of: which addresses share what one client may have. */
import t from 'tap'
import { clientOf } from '../../../../gateway/base/client-of.ts'

const cases: readonly [address: string | undefined, client: string][] = [
  ['192.0.2.7', '192.0.2.7'],
  // A listener on [::] sees clients of IPv4 like this.
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['::1', '0:0:0:0::/64'],
  ['2001:db8:1:2::7', '2001:db8:1:2::/64'],
  ['2001:DB8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:3::7', '2001:db8:1:3::/64'],
  ['fe80::1%eth0', 'fe80:0:0:0::/64'],
  [undefined, ''],
]

for (const [address, client] of cases)
  t.test(`${address} is of client "${client}"`, async (t) => {
    t.equal(clientOf(address), client)
  })
