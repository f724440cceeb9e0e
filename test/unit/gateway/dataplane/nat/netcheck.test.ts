/** gateway/dataplane/nat/netcheck: what members' answers say of the NAT in between. */
import t from 'tap'
import { netcheck } from '../../../../../gateway/dataplane/nat/netcheck.ts'
import type { StunAsker } from '../../../../../gateway/dataplane/nat/stun-socket.ts'

/** Answers by server: how it sees this host, after so many ms. */
function asker(answers: Readonly<Record<string, readonly [mapped: string, rttMs: number]>>): StunAsker {
  return {
    local: '0.0.0.0:1',
    async ask(server) {
      const [mapped, rttMs] = answers[server] ?? []
      if (mapped === undefined || rttMs === undefined) return undefined
      return { message: { kind: 'response', transaction: '', mapped }, rttMs, from: server }
    },
  }
}

const MEMBERS = [
  { hostId: 2, name: 'two', servers: ['10.0.0.2:7443', '192.0.2.2:7443'] },
  { hostId: 3, name: 'three', servers: ['192.0.2.3:7443', '[2001:db8::3]:7443'] },
  { hostId: 4, name: 'four', servers: ['192.0.2.4:7443'] },
]

const check = (answers: Parameters<typeof asker>[0], ownAddresses: readonly string[] = ['192.168.1.2']) => {
  const both = asker(answers)
  const askers = { ipv4: both, ipv6: both }
  return netcheck({ askers, fresh: both, members: MEMBERS, server: undefined, ownAddresses })
}

t.test('two members see one address: a NAT with one mapping for all', async (t) => {
  t.match(await check({ '192.0.2.2:7443': ['198.51.100.1:5', 9], '192.0.2.3:7443': ['198.51.100.1:5', 3] }), {
    udp: true,
    ipv4: ['198.51.100.1:5'],
    ipv6: [],
    behindNat: true,
    mapping: 'endpoint-independent',
    members: [
      { hostId: 3, rttMs: 3, mapped: '198.51.100.1:5' },
      { hostId: 2, server: '192.0.2.2:7443' },
      { hostId: 4, rttMs: undefined, server: undefined },
    ],
  })
})

t.test('two members see two ports: the mapping depends on the destination', async (t) => {
  const seen = await check({
    '192.0.2.2:7443': ['198.51.100.1:5', 9],
    '192.0.2.3:7443': ['198.51.100.1:6', 3],
  })
  t.match(seen, { mapping: 'dependent', ipv4: ['198.51.100.1:6', '198.51.100.1:5'].toReversed() })
})

t.test('a member on this side of the NAT says nothing of it', async (t) => {
  const seen = await check({ '10.0.0.2:7443': ['192.168.1.2:5', 1], '192.0.2.3:7443': ['198.51.100.1:6', 3] })
  t.match(seen, { behindNat: true, mapping: undefined })
})

t.test('one answer says nothing of the mapping; an own address is no NAT', async (t) => {
  const seen = await check({ '192.0.2.2:7443': ['192.0.2.1:5', 9] }, ['192.0.2.1'])
  t.match(seen, { udp: true, behindNat: false, mapping: undefined })
})

t.test('IPv6 alone', async (t) => {
  const seen = await check({ '[2001:db8::3]:7443': ['[2001:db8::1]:5', 9] }, ['2001:db8::1'])
  t.match(seen, { udp: true, ipv4: [], ipv6: ['[2001:db8::1]:5'], behindNat: false, mapping: undefined })
})

t.test('no answer at all', async (t) => {
  t.match(await check({}), { udp: false, ipv4: [], ipv6: [], behindNat: undefined, mapping: undefined })
})
