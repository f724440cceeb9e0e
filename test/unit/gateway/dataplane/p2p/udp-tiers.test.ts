/** gateway/dataplane/p2p/udp-tiers: the tier of an address, and what the switches of paths.tiers leave of it. */

import t from 'tap'
import { DEFAULT_TIERS, type SwitchedTier, type TiersConf } from '../../../../../conf/tiers.ts'
import {
  familiesOf,
  tierOf,
  timeoutOf,
  unused,
  usable,
  whyNoneToOffer,
} from '../../../../../gateway/dataplane/p2p/udp-tiers.ts'

const BOTH = ['192.0.2.1:7443', '[2001:db8::1]:7443']
const [V4 = '', V6 = ''] = BOTH

const without = (...names: SwitchedTier[]): TiersConf => ({
  ...DEFAULT_TIERS,
  ...Object.fromEntries(names.map((name) => [name, { ...DEFAULT_TIERS[name], enabled: false }])),
})

t.test('by a link the family is the tier, else the way of the offers', async (t) => {
  t.same(
    BOTH.map((address) => tierOf('link', address)),
    ['ipv4', 'ipv6'],
  )
  t.equal(tierOf(undefined, V6), 'ipv6', 'a session that an earlier gateway began')
  t.equal(tierOf('hub', V4), 'ice')
  t.equal(tierOf('members', V6), 'punch')
  t.equal(tierOf('hub', V4, V4), 'ipv4', 'a port mapping needs no hub')
  t.equal(tierOf('hub', V4, '192.0.2.77:1'), 'ice', 'another address has it')
})

t.test('what is switched off is neither offered nor used', async (t) => {
  t.same(usable(DEFAULT_TIERS, 'link', BOTH), BOTH)
  t.same(usable(without('ipv4'), 'link', BOTH), [V6])
  t.same(unused(without('ipv4'), 'link', BOTH), ['ipv4'])
  t.same(usable(without('ipv4'), 'hub', BOTH), BOTH, 'a hub is another tier')
  t.same(usable(without('ice'), 'hub', BOTH), [])
  t.same(usable(without('ice'), 'hub', BOTH, V4), [V4], 'but for the mapped one')
  t.same(usable(without('punch'), 'members', BOTH), [])
  t.same(familiesOf(without('ipv4'), 'link'), ['ipv6'])
  t.same(familiesOf(without('ipv4', 'ipv6'), 'link'), [])
  t.equal(familiesOf(without('ipv4'), 'hub'), undefined)
  t.equal(familiesOf(DEFAULT_TIERS, 'link'), undefined)
})

t.test('why there is nothing to offer', async (t) => {
  t.equal(whyNoneToOffer(without('ipv4'), 'link', BOTH), undefined)
  t.equal(whyNoneToOffer(DEFAULT_TIERS, 'link', []), undefined, 'that is another trouble')
  t.same(whyNoneToOffer(without('ipv4'), 'link', [V4]), {
    code: 'tier off',
    detail: 'ipv4 (paths.tiers.ipv4.enabled)',
  })
  t.match(whyNoneToOffer(without('ipv4', 'ipv6'), 'link', BOTH)?.detail, /^ipv4 \(.*\) and ipv6 \(/)
})

t.test('a try has the time of its slowest tier', async (t) => {
  const tiers = { ...DEFAULT_TIERS, ipv6: { enabled: true, timeoutMs: 700 } }
  t.equal(timeoutOf(tiers, ['ipv6']), 700)
  t.equal(timeoutOf(tiers, ['ipv6', 'ipv4']), 10_000)
  t.equal(timeoutOf(tiers, []), undefined)
})
