/** gateway/paths/tiers: what counts as a try and as a success, and how long it took. */
import t from 'tap'
import { DEFAULT_TIERS } from '../../../../conf/tiers.ts'
import type { PathDecision } from '../../../../gateway/paths/decide.ts'
import { Tiers } from '../../../../gateway/paths/tiers.ts'
import type { Candidate } from '../../../../gateway/paths/transport.ts'

const decision = (via: PathDecision['via'], state: PathDecision['state'] = 'GATEWAY_ONLY'): PathDecision =>
  ({ via, state, reason: '' }) as PathDecision
const DIRECT = { kind: 'gateway' } as const
const RELAYED = { kind: 'relay', hostId: 9 } as const

const link = (hasChannel: boolean): Candidate => ({ id: DIRECT, tier: 'gateway', hasChannel })
const relay = (hasChannel: boolean): Candidate => ({ id: RELAYED, tier: 'relay', hasChannel })
const udp = (
  state: NonNullable<Candidate['escalation']>['state'],
  tier: Candidate['tier'] = 'ipv4',
  raced: Candidate['raced'] = ['ipv6', 'ipv4'],
): Candidate => ({
  id: { kind: 'p2p' },
  tier,
  raced,
  hasChannel: state === 'P2P_ACTIVE',
  escalation: { state, reason: '' },
})

const IPV6 = { name: 'ipv6', enabled: true, timeoutMs: 10_000 }

const of = (tiers: Tiers, name: string) => tiers.view([]).find((tier) => tier.name === name)

t.test('a try of UDP counts for all tiers that it goes to, its success for one', async (t) => {
  const tiers = new Tiers()
  const see = (candidate: Candidate, now: number): void =>
    tiers.see(2, [candidate], decision(DIRECT, 'P2P_ATTEMPTING'), now)
  see(udp('P2P_ATTEMPTING', 'ipv4', []), 1_000)
  see(udp('P2P_ATTEMPTING'), 1_010)
  see(udp('P2P_ATTEMPTING'), 1_200)
  t.match(of(tiers, 'ipv6'), { tries: 1, successes: 0 })
  see(udp('P2P_ACTIVE'), 1_300)
  see(udp('P2P_ACTIVE'), 9_000)
  t.match(of(tiers, 'ipv4'), { tries: 1, successes: 1, medianMs: 300 })
  t.same(of(tiers, 'ipv6'), { ...IPV6, hosts: 0, tries: 1, successes: 0 })
  see(udp('GATEWAY_FALLBACK'), 10_000)
  see(udp('P2P_ATTEMPTING', 'ice', ['ice']), 11_000)
  see(udp('GATEWAY_FALLBACK', 'ice', ['ice']), 21_000)
  t.match(of(tiers, 'ice'), { tries: 1, successes: 0 })
  t.match(of(tiers, 'ipv4'), { tries: 1, successes: 1 })
})

t.test('the gateway is sought to every host, a relay only where it was chosen', async (t) => {
  const tiers = new Tiers()
  tiers.see(2, [link(false), relay(false)], decision({ kind: 'none' }, 'CONNECTING'), 0)
  t.match(of(tiers, 'gateway'), { tries: 1, successes: 0 })
  t.match(of(tiers, 'relay'), { tries: 0, successes: 0 })
  tiers.see(2, [link(false), relay(false)], decision(RELAYED, 'CONNECTING'), 500)
  tiers.see(2, [link(false), relay(true)], decision(RELAYED), 900)
  t.match(of(tiers, 'relay'), { tries: 1, successes: 1, medianMs: 400 })
  tiers.see(2, [link(true)], decision(DIRECT), 2_000)
  t.match(of(tiers, 'gateway'), { tries: 1, successes: 1, medianMs: 2_000 })
  tiers.see(2, [link(false)], decision(DIRECT), 3_000)
  t.match(of(tiers, 'gateway'), { tries: 2, successes: 1 }, 'the link broke')
})

t.test('what stood when the gateway started has no time; a host that left is forgotten', async (t) => {
  const tiers = new Tiers()
  tiers.see(2, [udp('P2P_ACTIVE', 'ipv6', [])], decision({ kind: 'p2p' }, 'P2P_ACTIVE'), 0)
  t.same(of(tiers, 'ipv6'), { ...IPV6, hosts: 0, tries: 1, successes: 1 })
  tiers.forget(2)
  tiers.see(2, [udp('P2P_ACTIVE', 'ipv6', [])], decision({ kind: 'p2p' }, 'P2P_ACTIVE'), 10)
  t.match(of(tiers, 'ipv6'), { successes: 2 })
})

t.test('the median of the last 101, and who uses what now', async (t) => {
  const tiers = new Tiers()
  for (let i = 0; i <= 300; i++) {
    tiers.see(2, [link(false)], decision(DIRECT), 10_000 * i)
    tiers.see(2, [link(true)], decision(DIRECT), 10_000 * i + i)
  }
  t.equal(of(tiers, 'gateway')?.medianMs, 250)
  t.same(
    tiers.view(['ipv4', 'relay', undefined, 'ipv4']).map(({ name, hosts }) => `${name} ${hosts}`),
    ['ipv6 0', 'ipv4 2', 'ice 0', 'punch 0', 'nebula 0', 'gateway 0', 'relay 1', 'gossip 0'],
  )
})

t.test('what is switched off says so, and a tier that no path shows is counted by its part', async (t) => {
  const tiers = new Tiers({ ...DEFAULT_TIERS, gossip: { enabled: false, timeoutMs: 60_000 } })
  t.match(of(tiers, 'gossip'), { enabled: false, timeoutMs: 60_000, tries: 0 })
  t.strictSame(of(tiers, 'gateway'), { name: 'gateway', enabled: true, hosts: 0, tries: 0, successes: 0 })
  t.strictSame(of(tiers, 'nebula'), { name: 'nebula', enabled: false, hosts: 0, tries: 0, successes: 0 })
  t.equal(of(new Tiers(DEFAULT_TIERS, true), 'nebula')?.enabled, true, 'paths.nebula.enabled')
  tiers.tried('gossip')
  tiers.found('gossip', 70_000)
  t.match(of(tiers, 'gossip'), { tries: 1, successes: 1, medianMs: 70_000 })
})
