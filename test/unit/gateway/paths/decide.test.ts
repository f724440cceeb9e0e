/** gateway/paths/decide: one row for each case; the rule stands above its rows. */
import t from 'tap'
import { decidePath, type PathDecision } from '../../../../gateway/paths/decide.ts'
import { viaText } from '../../../../gateway/paths/transport.ts'
import {
  type FactsSample,
  factsOf,
  type LinkSample,
  type RelaySample,
} from '../../../helpers/gateway/path-facts.ts'

const link = (part: Partial<LinkSample> = {}): LinkSample => ({
  state: 'up',
  reason: 'connected',
  forMs: 60_000,
  rttMs: 5,
  hasData: true,
  ...part,
})
const down = link({ state: 'down', reason: 'no sign of life for 3.1 s', hasData: false, rttMs: undefined })
const relay = (hostId: number, ms: number, part: Partial<RelaySample> = {}): RelaySample => ({
  hostId,
  toRelayMs: ms / 2,
  fromRelayMs: ms / 2,
  freePairs: 10,
  freeShare: 1,
  endsInRegion: 0,
  uptimeMs: 1000,
  ...part,
})
const over = (hostId: number): PathDecision => ({
  state: 'GATEWAY_ONLY',
  via: { kind: 'relay', hostId },
  reason: '',
})
const viaGateway: PathDecision = { state: 'GATEWAY_ONLY', via: { kind: 'gateway' }, reason: '' }

type Row = readonly [name: string, facts: Partial<FactsSample>, state: string, via: string, reason: RegExp]

const groups: Readonly<Record<string, readonly Row[]>> = {
  'the own host is local, whatever else is said of it': [
    ['alone', { hostId: 1 }, 'LOCAL', 'local', /^own host$/],
    ['even in quarantine', { hostId: 1, quarantine: 'x' }, 'LOCAL', 'local', /own/],
  ],
  'a host in quarantine has no way, however well it is linked; the reason says how it ends': [
    [
      'linked',
      { quarantine: 'two machines', link: link() },
      'QUARANTINED',
      'none',
      /two machines.*release 2/,
    ],
    ['with relays', { quarantine: 'two', link: down, relays: [relay(3, 9)] }, 'QUARANTINED', 'none', /two/],
  ],
  'a link with its data connection is the way, relays or not': [
    ['up', { link: link() }, 'GATEWAY_ONLY', 'gateway', /^connected$/],
    [
      'a faster relay',
      { link: link({ rttMs: 90 }), relays: [relay(3, 1)] },
      'GATEWAY_ONLY',
      'gateway',
      /^conn/,
    ],
    ['the peer is stopping', { link: link({ state: 'draining' }) }, 'GATEWAY_ONLY', 'gateway', /stopping/],
    [
      'no tunnel here',
      { link: link(), noTunnel: 'no TUN' },
      'GATEWAY_ONLY',
      'gateway',
      /web pages.*host 1 .*no TUN/,
    ],
    [
      'no tunnel there',
      { link: link(), peerNoTunnel: 'no TUN' },
      'GATEWAY_ONLY',
      'gateway',
      /web pages.*host 2 .*no TUN/,
    ],
  ],
  'without a data connection the peer is reached through a host that reaches both, at once, but for a start':
    [
      [
        'down',
        { link: down, relays: [relay(3, 9)] },
        'GATEWAY_ONLY',
        'relay:3',
        /through host 3: no sign of life/,
      ],
      [
        'just started, the first link is being made',
        { link: link({ state: 'connecting', hasData: false, forMs: 499 }), relays: [relay(3, 9)] },
        'CONNECTING',
        'none',
        /./,
      ],
      [
        'just linked, the connection for packets is being made',
        { link: link({ hasData: false, forMs: 499 }), relays: [relay(3, 9)] },
        'CONNECTING',
        'none',
        /being made/,
      ],
      [
        'it said goodbye a moment ago',
        { link: { ...down, forMs: 1_999, hasStopped: true }, relays: [relay(3, 9)] },
        'ISOLATED',
        'none',
        /life for 3.1 s$/,
      ],
      [
        'and does not come back',
        { link: { ...down, forMs: 2_000, hasStopped: true }, relays: [relay(3, 9)] },
        'GATEWAY_ONLY',
        'relay:3',
        /through/,
      ],
      [
        'it broke off a moment ago',
        { link: { ...down, forMs: 0 }, relays: [relay(3, 9)] },
        'GATEWAY_ONLY',
        'relay:3',
        /through/,
      ],
      [
        'never met',
        { link: link({ state: 'connecting', hasData: false, forMs: 500 }), relays: [relay(3, 9)] },
        'GATEWAY_ONLY',
        'relay:3',
        /through/,
      ],
      [
        'control alone',
        { link: link({ hasData: false }), relays: [relay(3, 9)] },
        'GATEWAY_ONLY',
        'relay:3',
        /no direct/,
      ],
      [
        'control alone, and it is known why',
        {
          link: link({ hasData: false, dataReason: 'h2:7443 did not answer in time' }),
          relays: [relay(3, 9)],
        },
        'GATEWAY_ONLY',
        'relay:3',
        /through host 3: the peer takes no connection for packets: h2:7443 did not/,
      ],
      ['not a member', { relays: [relay(3, 9)] }, 'GATEWAY_ONLY', 'relay:3', /no direct/],
      [
        'no tunnel here',
        { link: down, relays: [relay(3, 9)], noTunnel: 'no TUN' },
        'ISOLATED',
        'none',
        /life/,
      ],
      [
        'no tunnel there',
        { link: down, relays: [relay(3, 9)], peerNoTunnel: 'no TUN' },
        'ISOLATED',
        'none',
        /life/,
      ],
    ],
  'of relays the lowest round trip; of equal ones most room, the region, the longest uptime, the lowest hostId; never a full one':
    [
      [
        'lowest',
        { link: down, relays: [relay(3, 30), relay(4, 20), relay(5, 25)] },
        'GATEWAY_ONLY',
        'relay:4',
        /4/,
      ],
      [
        'equal',
        { link: down, relays: [relay(3, 20), relay(4, 20.4, { uptimeMs: 9999 })] },
        'GATEWAY_ONLY',
        'relay:4',
        /4/,
      ],
      [
        'a quarter more room',
        { link: down, relays: [relay(3, 20, { freeShare: 0.74 }), relay(4, 20.4, { freeShare: 0.75 })] },
        'GATEWAY_ONLY',
        'relay:4',
        /4/,
      ],
      [
        'a little more room is none',
        { link: down, relays: [relay(3, 20, { freeShare: 0.76 }), relay(4, 20.4, { freeShare: 0.99 })] },
        'GATEWAY_ONLY',
        'relay:3',
        /3/,
      ],
      [
        'room does not make up for a longer way',
        { link: down, relays: [relay(3, 20, { freeShare: 0.1 }), relay(4, 21.1)] },
        'GATEWAY_ONLY',
        'relay:3',
        /3/,
      ],
      [
        'the region of one end',
        { link: down, relays: [relay(3, 20, { uptimeMs: 9999 }), relay(4, 20, { endsInRegion: 1 })] },
        'GATEWAY_ONLY',
        'relay:4',
        /4/,
      ],
      [
        'the region of both ends',
        { link: down, relays: [relay(3, 20, { endsInRegion: 1 }), relay(4, 20, { endsInRegion: 2 })] },
        'GATEWAY_ONLY',
        'relay:4',
        /4/,
      ],
      ['all equal', { link: down, relays: [relay(4, 20), relay(3, 20)] }, 'GATEWAY_ONLY', 'relay:3', /3/],
      [
        'full',
        { link: down, relays: [relay(3, 5, { freePairs: 0 }), relay(4, 20)] },
        'GATEWAY_ONLY',
        'relay:4',
        /4/,
      ],
      [
        'one that failed',
        { link: down, relays: [relay(3, 5, { problem: 'it is full' }), relay(4, 20)] },
        'GATEWAY_ONLY',
        'relay:4',
        /4/,
      ],
      [
        'all full',
        { link: down, relays: [relay(3, 5, { freePairs: 0 })] },
        'ISOLATED',
        'none',
        /life.*; host 3 is no relay to it: it takes on no more pairs/,
      ],
      [
        'the only one does not volunteer',
        { link: down, relays: [relay(3, 5, { freePairs: 0, refusal: 'it does not relay for others' })] },
        'ISOLATED',
        'none',
        /life.*; host 3 is no relay to it: it does not relay for others/,
      ],
      [
        'all failed, also the one in use',
        { link: down, relays: [relay(3, 5, { problem: 'it is silent' })], current: over(3) },
        'ISOLATED',
        'none',
        /life.*; host 3 is no relay to it: it is silent/,
      ],
    ],
  'a relay in use stays until another is 10 ms and a third better, or it is gone; full it keeps who it has': [
    [
      'a bit better',
      { link: down, relays: [relay(3, 30), relay(4, 25)], current: over(3) },
      'GATEWAY_ONLY',
      'relay:3',
      /3/,
    ],
    [
      'a third, not 10 ms',
      { link: down, relays: [relay(3, 12), relay(4, 4)], current: over(3) },
      'GATEWAY_ONLY',
      'relay:3',
      /3/,
    ],
    [
      '10 ms, not a third',
      { link: down, relays: [relay(3, 100), relay(4, 80)], current: over(3) },
      'GATEWAY_ONLY',
      'relay:3',
      /3/,
    ],
    [
      'both',
      { link: down, relays: [relay(3, 30), relay(4, 20)], current: over(3) },
      'GATEWAY_ONLY',
      'relay:4',
      /4/,
    ],
    ['gone', { link: down, relays: [relay(4, 90)], current: over(3) }, 'GATEWAY_ONLY', 'relay:4', /4/],
    [
      'full',
      { link: down, relays: [relay(3, 30, { freePairs: 0 }), relay(4, 29)], current: over(3) },
      'GATEWAY_ONLY',
      'relay:3',
      /3/,
    ],
  ],
  'a link that comes back takes over from a relay after 2 s, and at once from nothing': [
    [
      'fresh',
      { link: link({ forMs: 1999 }), relays: [relay(3, 9)], current: over(3) },
      'GATEWAY_ONLY',
      'relay:3',
      /3/,
    ],
    [
      'settled',
      { link: link({ forMs: 2000 }), relays: [relay(3, 9)], current: over(3) },
      'GATEWAY_ONLY',
      'gateway',
      /connected/,
    ],
    [
      'the relay is gone',
      { link: link({ forMs: 10 }), relays: [], current: over(3) },
      'GATEWAY_ONLY',
      'gateway',
      /connected/,
    ],
    [
      'from nothing',
      { link: link({ forMs: 10 }), relays: [relay(3, 9)] },
      'GATEWAY_ONLY',
      'gateway',
      /connected/,
    ],
  ],
  'a connection for packets that broke is waited for a moment, unless it does so again and again; then the relay is kept for longer':
    [
      [
        'broke a moment ago',
        { link: link({ hasData: false, dataForMs: 499 }), relays: [relay(3, 9)] },
        'CONNECTING',
        'none',
        /being made/,
      ],
      [
        'and does not come back',
        { link: link({ hasData: false, dataForMs: 500 }), relays: [relay(3, 9)] },
        'GATEWAY_ONLY',
        'relay:3',
        /no direct/,
      ],
      [
        'once more',
        { link: link({ hasData: false, dataForMs: 0, settlesMs: 4_000 }), relays: [relay(3, 9)] },
        'GATEWAY_ONLY',
        'relay:3',
        /no direct/,
      ],
      [
        'it is back, on probation',
        { link: link({ dataForMs: 3_999, settlesMs: 4_000 }), relays: [relay(3, 9)], current: over(3) },
        'GATEWAY_ONLY',
        'relay:3',
        /through/,
      ],
      [
        'that it has stood',
        { link: link({ dataForMs: 4_000, settlesMs: 4_000 }), relays: [relay(3, 9)], current: over(3) },
        'GATEWAY_ONLY',
        'gateway',
        /connected/,
      ],
      [
        'with the peer saying goodbye',
        { link: link({ state: 'draining', hasData: false, dataForMs: 0 }), relays: [relay(3, 9)] },
        'GATEWAY_ONLY',
        'relay:3',
        /no direct/,
      ],
    ],
  'a first connection has 5 s before it counts as out of reach; a lost one has none': [
    [
      'dialling',
      { link: link({ state: 'connecting', hasData: false, forMs: 4999, reason: 'refused' }) },
      'CONNECTING',
      'none',
      /^refused$/,
    ],
    [
      'for too long',
      { link: link({ state: 'connecting', hasData: false, forMs: 5000, reason: 'refused' }) },
      'ISOLATED',
      'none',
      /^refused$/,
    ],
    ['control alone', { link: link({ hasData: false, forMs: 10 }) }, 'CONNECTING', 'none', /being made/],
    [
      'control alone for long, and it is known why',
      { link: link({ hasData: false, dataReason: 'read ETIMEDOUT' }) },
      'ISOLATED',
      'none',
      /takes no connection for packets: read ETIMEDOUT/,
    ],
    ['control alone for long', { link: link({ hasData: false }) }, 'ISOLATED', 'none', /takes no connection/],
    ['lost', { link: { ...down, forMs: 0 }, current: viaGateway }, 'ISOLATED', 'none', /no sign of life/],
    ['no link', {}, 'ISOLATED', 'none', /no link/],
  ],
}

for (const [rule, rows] of Object.entries(groups)) {
  t.test(rule, (t) => {
    for (const [name, facts, state, via, reason] of rows) {
      const decision = decidePath(factsOf({ ownHostId: 1, hostId: 2, ...facts }))
      t.match({ ...decision, via: viaText(decision.via) }, { state, via, reason }, name)
    }
    t.end()
  })
}

t.test('round trips: of the link; of the relay what was measured through it, else of both ways', (t) => {
  t.equal(decidePath(factsOf({ ownHostId: 1, hostId: 2, link: link({ rttMs: 7 }) })).rttMs, 7)
  const relayed = factsOf({ ownHostId: 1, hostId: 2, link: down, relays: [relay(3, 9, { rttMs: 31 })] })
  t.equal(decidePath(relayed).rttMs, 9, 'it was another relay')
  t.equal(decidePath({ ...relayed, current: over(3) }).rttMs, 31)
  t.end()
})
