/** gateway/paths/p2p-overlay: what a path is called, and by which way packets go, when there is UDP as well. */
import t from 'tap'
import type { PathDecision } from '../../../../gateway/paths/decide.ts'
import { withNebula, withP2p } from '../../../../gateway/paths/p2p-overlay.ts'
import { type Candidate, viaText } from '../../../../gateway/paths/transport.ts'

const direct: PathDecision = {
  state: 'GATEWAY_ONLY',
  via: { kind: 'gateway' },
  reason: 'connected',
  rttMs: 5,
}
const relayed: PathDecision = {
  state: 'GATEWAY_ONLY',
  via: { kind: 'relay', hostId: 3 },
  reason: 'through host 3: x',
}
const none: PathDecision = { state: 'ISOLATED', via: { kind: 'none' }, reason: 'no link' }
type State = NonNullable<Candidate['escalation']>['state']
const udp = (state: State, reason: string): Candidate => ({
  id: { kind: 'p2p' },
  tier: 'ipv4',
  rttMs: 2,
  hasChannel: state === 'P2P_ACTIVE',
  escalation: { state, reason },
})
const active = udp('P2P_ACTIVE', 'proven')
const trying = udp('P2P_ATTEMPTING', 'proving')
const failed = udp('GATEWAY_FALLBACK', 'blocked')
const off = udp('GATEWAY_ONLY', 'off')

type Row = readonly [
  name: string,
  below: PathDecision,
  p2p: Candidate | undefined,
  state: string,
  via: string,
  under: string,
  reason: string,
]
const rows: readonly Row[] = [
  ['no UDP at all', direct, undefined, 'GATEWAY_ONLY', 'gateway', '-', 'connected'],
  ['UDP is off', direct, off, 'GATEWAY_ONLY', 'gateway', '-', 'connected'],
  ['a try', direct, trying, 'P2P_ATTEMPTING', 'gateway', '-', 'proving'],
  ['a failed one', direct, failed, 'GATEWAY_FALLBACK', 'gateway', '-', 'blocked'],
  [
    'a failed one behind a relay',
    relayed,
    failed,
    'GATEWAY_FALLBACK',
    'relay:3',
    '-',
    'through host 3: x; blocked',
  ],
  ['UDP over the gateway path', direct, active, 'P2P_ACTIVE', 'p2p', 'gateway', 'proven'],
  ['UDP over a relay', relayed, active, 'P2P_ACTIVE', 'p2p', 'relay:3', 'proven'],
  ['UDP alone', none, active, 'P2P_ACTIVE', 'p2p', '-', 'proven'],
  ['no path, and a try', none, trying, 'ISOLATED', 'none', '-', 'no link'],
  ['UDP over web pages', { ...direct, isWebOnly: true }, active, 'P2P_ACTIVE', 'p2p', '-', 'proven'],
  ['in quarantine', { ...none, state: 'QUARANTINED' }, active, 'QUARANTINED', 'none', '-', 'no link'],
]

t.test('what is shown, and what lies below', async (t) => {
  for (const [name, below, p2p, state, via, under, reason] of rows) {
    const decision = withP2p(below, p2p)
    t.equal(decision.state, state, name)
    t.equal(viaText(decision.via), via, name)
    t.equal(decision.below === undefined ? '-' : viaText(decision.below.via), under, name)
    t.equal(decision.reason, reason, name)
  }
  t.equal(withP2p(direct, active).rttMs, 2)
  t.equal(withP2p(direct, active).tier, 'ipv4')
  t.equal(withP2p(direct, active).below?.rttMs, 5)
  t.equal(withP2p(direct, active).isWebOnly, undefined)
})

const nebula = (state: State): Candidate => ({
  ...udp(state, 'proven'),
  id: { kind: 'nebula' },
  tier: 'nebula',
})
const nebulaRows: readonly [
  name: string,
  below: PathDecision,
  nebula: Candidate | undefined,
  p2p: Candidate | undefined,
  state: string,
  via: string,
  under: string,
][] = [
  ['Nebula over the gateway path', direct, nebula('P2P_ACTIVE'), off, 'P2P_ACTIVE', 'nebula', 'gateway'],
  ['Nebula over a relay', relayed, nebula('P2P_ACTIVE'), undefined, 'P2P_ACTIVE', 'nebula', 'relay:3'],
  ['Nebula alone', none, nebula('P2P_ACTIVE'), undefined, 'P2P_ACTIVE', 'nebula', '-'],
  ['UDP over both', direct, nebula('P2P_ACTIVE'), active, 'P2P_ACTIVE', 'p2p', 'gateway'],
  ['a try for UDP meanwhile', direct, nebula('P2P_ACTIVE'), trying, 'P2P_ACTIVE', 'nebula', 'gateway'],
  [
    'a try for Nebula shows nothing',
    direct,
    nebula('P2P_ATTEMPTING'),
    undefined,
    'GATEWAY_ONLY',
    'gateway',
    '-',
  ],
  ['a failed one', direct, nebula('GATEWAY_FALLBACK'), failed, 'GATEWAY_FALLBACK', 'gateway', '-'],
  [
    'in quarantine',
    { ...none, state: 'QUARANTINED' },
    nebula('P2P_ACTIVE'),
    active,
    'QUARANTINED',
    'none',
    '-',
  ],
]

t.test('Nebula lies between', async (t) => {
  for (const [name, base, carrier, p2p, state, via, under] of nebulaRows) {
    const decision = withP2p(withNebula(base, carrier), p2p)
    t.equal(decision.state, state, name)
    t.equal(viaText(decision.via), via, name)
    t.equal(decision.below === undefined ? '-' : viaText(decision.below.via), under, name)
  }
  t.equal(withNebula(direct, nebula('P2P_ACTIVE')).tier, 'nebula')
})
