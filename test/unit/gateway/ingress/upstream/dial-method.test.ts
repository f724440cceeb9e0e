/** How a container is dialled, from what is known of its host. */

import t from 'tap'
import { type DialFacts, dialMethod } from '../../../../../gateway/ingress/upstream/dial-method.ts'
import { decidePath } from '../../../../../gateway/paths/decide.ts'
import { viaText } from '../../../../../gateway/paths/transport.ts'
import { type FactsSample, factsOf } from '../../../../helpers/gateway/path-facts.ts'

const NOW = 1_795_000_000_000
const up = { state: 'up', reason: '', forMs: 9_000, rttMs: 1, hasData: true } as const
const down = { ...up, state: 'down', reason: 'no sign of life for 3.0 s', hasData: false } as const
const relays = [
  { hostId: 3, toRelayMs: 1, fromRelayMs: 1, freeShare: 1, endsInRegion: 0, freePairs: 5, uptimeMs: 1 },
]

function pathOf(facts: Partial<FactsSample>, ageMs = 60_000): DialFacts['path'] {
  const decision = decidePath(factsOf({ ownHostId: 1, hostId: 2, ...facts }))
  const { state, reason, via } = decision
  const since = new Date(NOW - ageMs).toISOString()
  return { decision, info: { hostId: 2, state, reason, via: viaText(via), since } }
}

const cases: readonly (readonly [string, Partial<DialFacts>, unknown])[] = [
  ['the own host, tunnel or not', { hostId: 1, noTunnel: 'no TUN' }, { kind: 'kernel' }],
  ['a host that packets get to', { path: pathOf({ link: up }) }, { kind: 'kernel' }],
  ['through a relay', { path: pathOf({ link: down, relays }) }, { kind: 'kernel' }],
  [
    'this host has no tunnel',
    { path: pathOf({ link: up, noTunnel: 'no TUN' }), noTunnel: 'no TUN' },
    { kind: 'stream', hostId: 2 },
  ],
  ['the peer has none', { path: pathOf({ link: up, peerNoTunnel: 'x' }) }, { kind: 'stream', hostId: 2 }],
  [
    'the tunnel was lost and the path not yet decided again',
    { path: pathOf({ link: up }), noTunnel: 'lost' },
    { kind: 'stream', hostId: 2 },
  ],
  [
    'lost while a relay is in use',
    { path: pathOf({ link: down, relays }), noTunnel: 'lost' },
    { kind: 'none', reason: /lost/, mayCome: true },
  ],
  [
    'out of reach for long',
    { path: pathOf({ link: down }) },
    { kind: 'none', reason: 'host 2 is out of reach: no sign of life for 3.0 s', mayCome: false },
  ],
  ['out of reach since a moment', { path: pathOf({ link: down }, 900) }, { kind: 'none', mayCome: true }],
  ['out of reach for longer', { path: pathOf({ link: down }, 1_300) }, { kind: 'none', mayCome: false }],
  [
    'it said that it stops, and may be starting anew',
    { path: pathOf({ link: { ...down, hasStopped: true } }, 1_900) },
    { kind: 'none', mayCome: true },
  ],
  [
    'it stopped two seconds ago',
    { path: pathOf({ link: { ...down, hasStopped: true } }, 2_000) },
    { kind: 'none', mayCome: false },
  ],
  [
    'the wall clock was put back since',
    { path: pathOf({ link: down }, -3_600_000) },
    { kind: 'none', mayCome: false },
  ],
  [
    'a first connection is being made',
    { path: pathOf({ link: { ...up, state: 'connecting', hasData: false, forMs: 1 } }) },
    { kind: 'none', mayCome: true },
  ],
  [
    'in quarantine, since a moment',
    { path: pathOf({ link: up, quarantine: 'two machines' }, 900) },
    { kind: 'none', reason: /two machines/, mayCome: false },
  ],
  ['nothing decided, no other hosts', {}, { kind: 'kernel' }],
  ['nothing decided, no tunnel', { noTunnel: 'no TUN' }, { kind: 'none', mayCome: false }],
]

for (const [name, facts, wanted] of cases) {
  t.test(name, (t) => {
    const method = dialMethod({
      ownHostId: 1,
      hostId: 2,
      noTunnel: undefined,
      path: undefined,
      now: NOW,
      ...facts,
    })
    t.match(method, wanted)
    t.end()
  })
}
