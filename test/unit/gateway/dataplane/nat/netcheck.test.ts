/** gateway/dataplane/nat/netcheck: what members' answers say of the NAT in between. */
import t from 'tap'
import { type NetcheckServer, netcheck } from '../../../../../gateway/dataplane/nat/netcheck.ts'
import type { StunRequester } from '../../../../../gateway/dataplane/nat/stun-socket.ts'

/** Answers by server: how it sees this host, after so many ms. */
function socket(
  answers: Readonly<Record<string, readonly [mapped: string, rttMs: number, other?: string]>>,
): StunRequester {
  return {
    local: '0.0.0.0:1',
    async request(server) {
      const [mapped, rttMs, other] = answers[server] ?? []
      if (mapped === undefined || rttMs === undefined) return undefined
      return { message: { kind: 'response', transaction: '', mapped, other }, rttMs, from: server }
    },
  }
}

const MEMBERS = [
  { hostId: 2, name: 'two', servers: ['10.0.0.2:7443', '192.0.2.2:7443'] },
  { hostId: 3, name: 'three', servers: ['192.0.2.3:7443', '[2001:db8::3]:7443'] },
  { hostId: 4, name: 'four', servers: ['192.0.2.4:7443'] },
]

const check = (
  answers: Parameters<typeof socket>[0],
  ownAddresses: readonly string[] = ['192.168.1.2'],
  servers: readonly NetcheckServer[] = [],
) => {
  const both = socket(answers)
  const sockets = { ipv4: both, ipv6: both }
  return netcheck({ sockets, fresh: both, members: MEMBERS, servers, server: undefined, ownAddresses })
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

const STUN = [
  { name: 'stun.example:3478', servers: ['192.0.2.9:3478'] },
  { name: 'gone.example:3478', servers: [] },
]

t.test('servers of paths.stun count as members do, and the soonest answer is named', async (t) => {
  const answers = {
    '192.0.2.3:7443': ['203.0.113.1:5', 9],
    '192.0.2.9:3478': ['203.0.113.1:6', 4],
  } as const
  t.match(await check(answers, ['192.168.1.2'], STUN), {
    mapping: 'dependent',
    servers: [
      { name: 'stun.example:3478', server: '192.0.2.9:3478', rttMs: 4, mapped: '203.0.113.1:6' },
      { name: 'gone.example:3478', server: undefined },
    ],
    best: { name: 'stun.example:3478', rttMs: 4 },
    server: undefined,
  })
})

t.test('one of them that has two addresses says what the NAT lets in', async (t) => {
  const answers = {
    '192.0.2.9:3478': ['203.0.113.1:6', 4, '192.0.2.10:3479'],
    '192.0.2.10:3478': ['203.0.113.1:6', 4],
  } as const
  const seen = await check(answers, ['192.168.1.2'], STUN)
  t.match(seen, { mapping: 'endpoint-independent', server: { mapped: '203.0.113.1:6' }, hairpin: false })
  t.notOk(
    seen.servers.some((server) => 'other' in server),
    'which is of no use to a person',
  )
})

t.test('hairpin: a datagram to the own mapped address comes back', async (t) => {
  const answers = { '192.0.2.3:7443': ['203.0.113.1:5', 9] } as const
  t.equal((await check(answers)).hairpin, false)
  t.equal((await check({ ...answers, '203.0.113.1:5': ['192.168.1.1:5', 1] })).hairpin, true)
  t.equal((await check({ '192.0.2.3:7443': ['192.168.1.2:5', 9] })).hairpin, undefined, 'without a NAT')
})
