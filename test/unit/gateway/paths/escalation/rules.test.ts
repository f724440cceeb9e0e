/** gateway/paths/escalation: one row for each case of the state machine's rules; the rule stands above its rows. */
import t from 'tap'
import { escalate } from '../../../../../gateway/paths/escalation/escalation.ts'
import { newHealth, verdictOf, watch } from '../../../../../gateway/paths/escalation/health.ts'
import { whyNotPromote } from '../../../../../gateway/paths/escalation/promotion.ts'
import { demotionKind } from '../../../../../gateway/paths/escalation/reasons.ts'
import { initial } from '../../../../../gateway/paths/escalation/transitions.ts'
import type {
  Action,
  Escalation,
  EscalationFacts,
  Input,
  SessionFacts,
} from '../../../../../gateway/paths/escalation/types.ts'

const ATTEMPT = '0123456789abcdef'

const session = (part: Partial<SessionFacts> = {}): SessionFacts => ({
  attempt: ATTEMPT,
  generation: 1,
  isPromoted: true,
  isProven: true,
  isFullSize: true,
  address: '192.0.2.2:7443',
  rttMs: 5,
  jitterMs: 0.5,
  lossRate: 0,
  probes: { sent: 40, answered: 40, window: 40 },
  txBps: 0,
  rxBps: 0,
  ...part,
})
const facts = (part: Partial<EscalationFacts> = {}): EscalationFacts => ({
  now: 100_000,
  random: 0.5,
  newAttempt: 'fedcba9876543210',
  isLeader: true,
  canSignal: true,
  gateway: { isUp: true, rttMs: 5 },
  ...part,
})
const at = (phase: Escalation['phase'], part: Partial<Escalation> = {}): Escalation => ({
  ...initial(0),
  phase,
  since: 99_500,
  attempt: ATTEMPT,
  generation: 1,
  ...(phase === 'active' && { activeAt: 0, health: newHealth(session(), 0) }),
  ...part,
})

const probes = (window: number): Partial<SessionFacts> => ({
  probes: { sent: window, answered: window, window },
})

const restOf = (address: string) => ({ address, restMs: 8_000, until: 0 })

type PromotionRow = readonly [
  name: string,
  session: Partial<SessionFacts> | undefined,
  want: string | undefined,
  part?: Partial<Escalation>,
  gatewayRttMs?: number,
]

const promotion: Readonly<Record<string, readonly PromotionRow[]>> = {
  'proof: five of five own round trips, two of them full-size': [
    ['proven', {}, undefined],
    [
      'no answer at all',
      { isProven: false, isFullSize: false, rttMs: undefined, probes: { sent: 9, answered: 0, window: 9 } },
      'no probe answered',
    ],
    [
      'no answer since the path was lost',
      {
        isProven: false,
        isFullSize: false,
        rttMs: undefined,
        probes: { sent: 89, answered: 14, window: 40 },
      },
      'no probe answered',
    ],
    [
      'the peer is heard and does not answer',
      { isProven: false, rttMs: undefined, peerLossRate: 1, probes: { sent: 9, answered: 0, window: 9 } },
      'one way',
    ],
    ['small ones only', { isProven: false, isFullSize: false }, 'full size lost'],
    ['not yet in a row', { isProven: false }, 'unproven'],
    ['no session', undefined, 'no session'],
    ['a session of an older try', { attempt: 'aaaaaaaaaaaaaaaa' }, 'no session'],
  ],
  'round trip: at most a quarter or 10 ms more than the gateway path': [
    ['10 ms more on a short one', { rttMs: 15 }, undefined],
    ['10.1 ms more on a short one', { rttMs: 15.1 }, 'slower'],
    ['a quarter more on a long one', { rttMs: 125 }, undefined, {}, 100],
    ['more than a quarter on a long one', { rttMs: 126 }, 'slower', {}, 100],
  ],
  'loss: none of up to 39 probes, one of 40': [
    ['one of 40', { lossRate: 1 / 40 }, undefined],
    ['two of 40', { lossRate: 2 / 40 }, 'loss'],
    ['one of 20', { lossRate: 1 / 20, ...probes(20) }, 'loss'],
    ['one before the five of the proof', { lossRate: 1 / 6, ...probes(6) }, undefined],
    ['two of the 40 of the peer', { peerLossRate: 2 / 40 }, 'loss'],
  ],
  'a failure before: 12 probes of the address that failed': [
    ['11', probes(11), 'on trial', { rest: restOf('192.0.2.2:7443') }],
    ['12', probes(12), undefined, { rest: restOf('192.0.2.2:7443') }],
    ['another address failed', probes(6), undefined, { rest: restOf('192.0.2.9:7443') }],
  ],
  'waits: dwell, a rest for the address that failed, and suppression': [
    ['dwell', {}, 'dwell', { dwellUntil: 100_001 }],
    ['dwell is over', {}, undefined, { dwellUntil: 100_000 }],
    [
      'the address rests',
      {},
      'dwell',
      { rest: { address: '192.0.2.2:7443', restMs: 8_000, until: 100_001 } },
    ],
    [
      'another one rests',
      {},
      undefined,
      { rest: { address: '192.0.2.9:7443', restMs: 8_000, until: 100_001 } },
    ],
    ['suppressed', {}, 'damped', { damping: { penalty: 3_000, at: 100_000, suppressedAt: 100_000 } }],
  ],
}

for (const [rule, rows] of Object.entries(promotion))
  t.test(rule, async (t) => {
    for (const [name, part, want, state = {}, rttMs = 5] of rows) {
      const given = facts({
        gateway: { isUp: true, rttMs },
        session: part === undefined ? undefined : session({ isPromoted: false, ...part }),
      })
      t.equal(whyNotPromote(at('waiting', state), given)?.code, want, name)
    }
  })

type HealthRow = readonly [
  name: string,
  session: Partial<SessionFacts>,
  gateway: EscalationFacts['gateway'],
  forMs: number,
  want: string,
  /** Of the gateway path in the quiet second before; absent: as later. */
  calmGatewayMs?: number,
]
const up = { isUp: true, rttMs: 5 }
const down = { isUp: false }

const health: Readonly<Record<string, readonly HealthRow[]>> = {
  'loss: 10 % of the last 40 (at least 20) with proof demotes, 5 % warns': [
    ['2 % stays', { lossRate: 0.02 }, up, 0, 'fine'],
    ['5 % warns', { lossRate: 0.05 }, up, 0, 'warn lossy'],
    ['10 % of 40 alone warns', { lossRate: 0.1 }, up, 0, 'warn lossy'],
    ['7 of 40 demote', { lossRate: 7 / 40 }, up, 0, 'demote loss'],
    ['11 of the 80 of both', { lossRate: 5 / 40, peerLossRate: 6 / 40 }, up, 0, 'demote loss'],
    ['the peer loses 30 %', { peerLossRate: 0.3 }, up, 0, 'demote loss'],
    ['6 of 19 say nothing yet', { lossRate: 6 / 19, ...probes(19) }, up, 0, 'fine'],
    ['the process calls it dead', { isProven: false }, up, 0, 'demote no answer'],
  ],
  'round trip: half more and 20 ms more than the gateway path for 10 s demote': [
    ['seen for 9.4 s', { rttMs: 30 }, up, 9_400, 'fine'],
    ['seen for 9.5 s', { rttMs: 30 }, up, 9_500, 'demote slower'],
    ['20 ms more on a short one', { rttMs: 25 }, up, 60_000, 'fine'],
    ['half more on a long one', { rttMs: 300 }, { isUp: true, rttMs: 200 }, 60_000, 'fine'],
    ['more than half on a long one', { rttMs: 301 }, { isUp: true, rttMs: 200 }, 10_000, 'demote slower'],
    ['500 ms on both warns', { rttMs: 501 }, { isUp: true, rttMs: 500 }, 60_000, 'warn slow both ways'],
    ['1 s, and less by gateway', { rttMs: 1_001 }, { isUp: true, rttMs: 800 }, 10_000, 'demote too slow'],
    ['1 s on both', { rttMs: 1_001 }, { isUp: true, rttMs: 900 }, 60_000, 'warn slow both ways'],
    ['nothing is known of the gateway path', { rttMs: 400 }, { isUp: true }, 60_000, 'fine'],
  ],
  'jitter: more than the gateway path takes and varies, by half and 20 ms, for 10 s demotes': [
    ['for 10 s', { jitterMs: 30 }, up, 10_000, 'demote jitter'],
    ['for less', { jitterMs: 30 }, up, 9_000, 'fine'],
    [
      'the gateway path varies as much',
      { jitterMs: 30 },
      { isUp: true, rttMs: 5, jitterMs: 30 },
      60_000,
      'fine',
    ],
  ],
  'throughput: congested, far below what was carried, the gateway path not, for 10 s demotes': [
    [
      '1 of 100 Mbit/s, lossy',
      { lossRate: 0.06, txBps: 1e6 },
      { ...up, peakBps: 1e8 },
      10_000,
      'demote throughput',
    ],
    [
      '1 of 100 Mbit/s, a queue',
      { rttMs: 24, rxBps: 1e6 },
      { isUp: true, rttMs: 10, peakBps: 1e8 },
      10_000,
      'demote throughput',
    ],
    ['for less', { lossRate: 0.06, txBps: 1e6 }, { ...up, peakBps: 1e8 }, 9_000, 'warn lossy'],
    ['an application that sends less', { txBps: 1e6 }, { ...up, peakBps: 1e8 }, 60_000, 'fine'],
    ['idle', { lossRate: 0.06, txBps: 100 }, { ...up, peakBps: 1e8 }, 60_000, 'warn lossy'],
    ['never carried more', { lossRate: 0.06, txBps: 1e6 }, { ...up, peakBps: 4e6 }, 60_000, 'warn lossy'],
    [
      'half of what was carried',
      { lossRate: 0.06, txBps: 5e7 },
      { ...up, peakBps: 1e8 },
      60_000,
      'warn lossy',
    ],
  ],
  'throughput: loss of packets counts as loss of probes does': [
    [
      '1 of 100 Mbit/s, policed: no queue, few probes lost',
      { dataLossRate: 0.06, txBps: 1e6 },
      { ...up, peakBps: 1e8 },
      10_000,
      'demote throughput',
    ],
    [
      'both paths wait in the queue that they share',
      { dataLossRate: 0.06, txBps: 1e6, rttMs: 60 },
      { isUp: true, rttMs: 60, peakBps: 1e8 },
      60_000,
      'fine',
      5,
    ],
    ['as TCP fills a link', { dataLossRate: 0.02, txBps: 1e6 }, { ...up, peakBps: 1e8 }, 60_000, 'fine'],
    ['not congested at all', { dataLossRate: 0, txBps: 1e6 }, { ...up, peakBps: 1e8 }, 60_000, 'fine'],
  ],
  'black hole for packets: four sends in 3 s without an acknowledgement while probes pass': [
    ['four in 3 s', { unacknowledged: { times: 4, forMs: 3_000 } }, up, 0, 'demote data lost'],
    ['three', { unacknowledged: { times: 3, forMs: 60_000 } }, up, 0, 'fine'],
    ['not yet 3 s', { unacknowledged: { times: 6, forMs: 2_900 } }, up, 0, 'fine'],
    [
      'probes are lost too: the rules of loss decide',
      { unacknowledged: { times: 4, forMs: 3_000 }, lossRate: 0.05 },
      up,
      0,
      'warn lossy',
    ],
    ['half of all packets for 10 s', { dataLossRate: 0.5 }, up, 10_000, 'demote data lost'],
    ['for less', { dataLossRate: 0.5 }, up, 9_000, 'fine'],
    ['less than half', { dataLossRate: 0.45 }, up, 60_000, 'fine'],
    [
      'a flood that fills a queue',
      { dataLossRate: 0.8, rttMs: 24 },
      { isUp: true, rttMs: 10 },
      60_000,
      'fine',
    ],
    ['the gateway path is down', { dataLossRate: 0.9 }, down, 60_000, 'warn both degraded'],
  ],
  'never demote to a gateway path that is down': [
    ['all is well but that', {}, down, 0, 'warn gateway path is down'],
    ['loss', { lossRate: 0.5 }, down, 60_000, 'warn both degraded'],
    ['no answer', { isProven: false }, down, 0, 'warn both degraded'],
    [
      'it takes seconds, more than UDP',
      { lossRate: 0.5 },
      { isUp: true, rttMs: 1_500 },
      0,
      'warn both degraded',
    ],
  ],
}

for (const [rule, rows] of Object.entries(health))
  t.test(rule, async (t) => {
    for (const [name, part, gateway, forMs, want, calmMs = gateway.rttMs] of rows) {
      // A quiet second first, so that both paths' idle round trips are known.
      const calm = facts({ now: 0, gateway: { ...gateway, rttMs: calmMs } })
      let memory = watch(newHealth(session(), 0), {
        ...calm,
        session: session({ rttMs: Math.min(1, part.rttMs ?? 1) }),
      })
      const given = (now: number): EscalationFacts => facts({ now, gateway, session: session(part) })
      for (let now = 1_000; now <= 1_000 + forMs; now += 100) memory = watch(memory, given(now))
      const verdict = verdictOf(memory, given(1_000 + forMs))
      t.equal(verdict.kind === 'fine' ? 'fine' : `${verdict.kind} ${verdict.reason.code}`, want, name)
    }
  })

/** Whether a path that is choked in these seconds is left in the last of them. */
function isLeft(seconds: readonly boolean[]): boolean {
  const gateway = { ...up, peakBps: 1e8 }
  let memory = newHealth(session(), 0)
  let given = facts({ now: 0, gateway })
  for (const [i, isChoked] of seconds.entries()) {
    given = facts({
      now: i * 1_000,
      gateway,
      session: session({ txBps: 1e6, dataLossRate: isChoked ? 0.2 : 0 }),
    })
    memory = watch(memory, given)
  }
  return verdictOf(memory, given).kind === 'demote'
}

t.test('throughput: loss comes and goes, as TCP loses packets at a policer', async (t) => {
  const on = (count: number): boolean[] => Array(count).fill(true)
  const off = (count: number): boolean[] => Array(count).fill(false)
  const rows: Readonly<Record<string, readonly [seconds: readonly boolean[], want: boolean]>> = {
    'ten seconds': [on(11), true],
    'a gap of five seconds among ten': [[...on(3), ...off(5), ...on(4)], true],
    'of seven': [[...on(3), ...off(7), ...on(3)], true],
    'a gap of nine begins anew': [[...on(3), ...off(9), ...on(9)], false],
    'a gap that lasts': [[...on(9), ...off(3)], false],
    'a second now and then': [
      [...on(1), ...off(5), ...on(2), ...off(5), ...on(2), ...off(5), ...on(2)],
      false,
    ],
  }
  for (const [name, [seconds, want]] of Object.entries(rows)) t.equal(isLeft(seconds), want, name)
})

t.test('loss of 10 % demotes when the last 160 probes say so too', async (t) => {
  let memory = newHealth(session({ probes: { sent: 0, answered: 0, window: 0 } }), 0)
  let given = facts()
  for (let sent = 10; sent <= 400; sent += 10) {
    const lossy = session({ lossRate: 0.11, probes: { sent, answered: sent * 0.88, window: 40 } })
    given = facts({ now: sent * 250, session: lossy })
    memory = watch(memory, given)
  }
  t.match(verdictOf(memory, given), { kind: 'demote', reason: { code: 'loss', detail: /^1[1-3] %$/ } })
})

type StepRow = readonly [
  name: string,
  state: Escalation,
  input: Input,
  facts: Partial<EscalationFacts>,
  phase: Escalation['phase'],
  actions: readonly string[],
]
const tick: Input = { type: 'tick' }
const proven = session({ isPromoted: false })
const slow = session({ isPromoted: false, rttMs: 500 })
const say = (action: Action): string => (action.type === 'send' ? action.message.type : action.type)

const steps: Readonly<Record<string, readonly StepRow[]>> = {
  'a peer that is known is tried at once, by the lower hostId alone': [
    ['leader', initial(100_000), tick, {}, 'offered', ['p2p.offer']],
    ['follower', initial(100_000), tick, { isLeader: false }, 'idle', []],
    ['no control link', initial(100_000), tick, { canSignal: false }, 'idle', []],
    ['switched off', initial(100_000), tick, { obstacle: { code: 'off' } }, 'idle', []],
  ],
  'switched off while it carries packets: at once, or when the gateway path is up, or after 5 s': [
    ['at once', at('active'), tick, { obstacle: { code: 'off' } }, 'idle', ['endSession', 'p2p.demote']],
    [
      'not while the gateway path is down',
      at('active', { since: 95_001 }),
      tick,
      { obstacle: { code: 'off for host' }, gateway: down },
      'active',
      [],
    ],
    [
      'but after 5 s of it',
      at('active', { since: 95_000 }),
      tick,
      { obstacle: { code: 'off for host' }, gateway: down },
      'idle',
      ['endSession', 'p2p.demote'],
    ],
    [
      'any other obstacle: at once',
      at('active'),
      tick,
      { obstacle: { code: 'not admitted' }, gateway: down },
      'idle',
      ['endSession', 'p2p.demote'],
    ],
  ],
  'a try ends by itself': [
    [
      'no answer to the offer within 5 s',
      at('offered', { since: 95_000 }),
      tick,
      {},
      'waiting',
      ['p2p.state'],
    ],
    ['no proof within 10 s', at('proving', { since: 90_000 }), tick, {}, 'waiting', ['p2p.state']],
    ['proof within 10 s', at('proving', { since: 90_001 }), tick, {}, 'proving', []],
    ['the link broke', at('offered'), tick, { canSignal: false }, 'waiting', []],
  ],
  'promotion has two phases, the peer first, and 2 s': [
    ['proven', at('proving'), tick, { session: proven }, 'asking', ['p2p.promote']],
    [
      'the follower waits to be asked',
      at('proving'),
      tick,
      { session: proven, isLeader: false },
      'proving',
      [],
    ],
    [
      'the peer has it',
      at('asking'),
      { type: 'message', message: { type: 'p2p.promoted', attempt: ATTEMPT, generation: 1 } },
      { session: proven },
      'installing',
      ['install'],
    ],
    [
      'an answer to an older promotion',
      at('asking', { generation: 3 }),
      { type: 'message', message: { type: 'p2p.promoted', attempt: ATTEMPT, generation: 1 } },
      { session: proven },
      'asking',
      [],
    ],
    [
      'asked and proven',
      at('proving'),
      { type: 'message', message: { type: 'p2p.promote', attempt: ATTEMPT, generation: 2 } },
      { session: proven, isLeader: false },
      'installing',
      ['install'],
    ],
    [
      'asked and not proven',
      at('proving'),
      { type: 'message', message: { type: 'p2p.promote', attempt: ATTEMPT, generation: 2 } },
      { session: session({ isProven: false }), isLeader: false },
      'proving',
      [],
    ],
    [
      'asked, and proven a moment later',
      at('proving', { asked: { attempt: ATTEMPT, generation: 2, at: 99_500 } }),
      tick,
      { session: proven, isLeader: false },
      'installing',
      ['install'],
    ],
    [
      'asked, and not proven for 1.5 s',
      at('proving', { asked: { attempt: ATTEMPT, generation: 2, at: 98_500 } }),
      tick,
      { session: session({ isProven: false }), isLeader: false },
      'proving',
      ['p2p.notReady'],
    ],
    [
      'asked, and the first round trips were too long',
      at('waiting'),
      { type: 'message', message: { type: 'p2p.promote', attempt: ATTEMPT, generation: 2 } },
      { session: slow, isLeader: false },
      'waiting',
      [],
    ],
    [
      'asked, and the next ones are not',
      at('waiting', { asked: { attempt: ATTEMPT, generation: 2, at: 99_500 } }),
      tick,
      { session: proven, isLeader: false },
      'installing',
      ['install'],
    ],
    [
      'asked, and too slow for 1.5 s',
      at('waiting', { asked: { attempt: ATTEMPT, generation: 2, at: 98_500 } }),
      tick,
      { session: slow, isLeader: false },
      'waiting',
      ['p2p.notReady'],
    ],
    [
      'asked, and the leader waits no longer',
      at('waiting', { asked: { attempt: ATTEMPT, generation: 2, at: 99_500 } }),
      { type: 'message', message: { type: 'p2p.demote', attempt: ATTEMPT, generation: 3, reason: 'x' } },
      { session: slow, isLeader: false },
      'waiting',
      [],
    ],
    [
      'asked, and the keys are lost',
      at('waiting'),
      { type: 'message', message: { type: 'p2p.promote', attempt: ATTEMPT, generation: 2 } },
      { isLeader: false },
      'waiting',
      ['p2p.notReady'],
    ],
    [
      'asked soon after a switch',
      at('waiting', { dwellUntil: 200_000 }),
      { type: 'message', message: { type: 'p2p.promote', attempt: ATTEMPT, generation: 2 } },
      { session: proven, isLeader: false },
      'waiting',
      ['p2p.notReady'],
    ],
    [
      'asked for a try that is over',
      at('proving'),
      { type: 'message', message: { type: 'p2p.promote', attempt: 'f'.repeat(16), generation: 2 } },
      { session: session({ isProven: false }), isLeader: false },
      'proving',
      ['p2p.notReady'],
    ],
    [
      'no answer for 2 s',
      at('asking', { since: 98_000 }),
      tick,
      { session: proven },
      'waiting',
      ['remove', 'p2p.demote'],
    ],
    [
      'the process did it',
      at('installing'),
      { type: 'installed', attempt: ATTEMPT },
      { session: session(), isLeader: false },
      'active',
      ['p2p.promoted'],
    ],
    [
      'the process refused',
      at('installing'),
      { type: 'notInstalled', attempt: ATTEMPT, reason: 'not proven' },
      { session: proven, isLeader: false },
      'waiting',
      ['p2p.notReady'],
    ],
  ],
  'demotion is unilateral, at once, and signalled with the next generation': [
    [
      'the process did it',
      at('active'),
      { type: 'removed', attempt: ATTEMPT, reason: 'no answer' },
      { session: session({ isProven: false }) },
      'waiting',
      ['p2p.demote', 'p2p.state'],
    ],
    [
      'the peer did it',
      at('active'),
      { type: 'message', message: { type: 'p2p.demote', attempt: ATTEMPT, generation: 2, reason: 'slower' } },
      { session: session() },
      'waiting',
      ['remove', 'p2p.state'],
    ],
    [
      'the peer lost its keys while both prove',
      at('proving'),
      { type: 'message', message: { type: 'p2p.demote', attempt: ATTEMPT, generation: 2, reason: 'x' } },
      {},
      'waiting',
      ['p2p.state'],
    ],
    [
      'this host lost them',
      at('proving'),
      { type: 'ended', attempt: ATTEMPT, reason: 'peer said goodbye' },
      { isLeader: false },
      'waiting',
      ['p2p.demote'],
    ],
    [
      'an order that is older',
      at('active', { generation: 5 }),
      { type: 'message', message: { type: 'p2p.demote', attempt: ATTEMPT, generation: 4, reason: 'slower' } },
      { session: session() },
      'active',
      [],
    ],
    ['the session is gone', at('active'), tick, {}, 'waiting', ['remove', 'p2p.demote', 'p2p.state']],
    [
      'revoked',
      at('active'),
      tick,
      { session: session(), obstacle: { code: 'not admitted' } },
      'idle',
      ['endSession', 'p2p.demote'],
    ],
    [
      'the keys expired',
      at('active'),
      { type: 'ended', attempt: ATTEMPT, reason: 'keys expired' },
      {},
      'waiting',
      ['p2p.demote', 'p2p.state'],
    ],
    [
      'the peer says that it does not send by UDP',
      at('active'),
      { type: 'message', message: { type: 'p2p.state', generation: 0, isPromoted: false } },
      { session: session() },
      'waiting',
      ['remove', 'p2p.demote', 'p2p.state'],
    ],
    ['the link broke', at('active'), tick, { session: session(), canSignal: false }, 'active', []],
  ],
  'resets: the next try comes at once; on UDP the way is looked at anew': [
    [
      'network changed',
      at('waiting', { schedule: { failures: 6, nextAt: 400_000 } }),
      { type: 'reset', cause: 'network changed' },
      {},
      'offered',
      ['probeNow', 'p2p.offer'],
    ],
    [
      'once in 10 s',
      at('waiting', { schedule: { failures: 6, nextAt: 400_000, resetAt: 90_001 } }),
      { type: 'reset', cause: 'peer restarted' },
      {},
      'waiting',
      ['probeNow'],
    ],
    [
      'the follower asks the leader',
      at('waiting'),
      { type: 'reset', cause: 'new endpoint' },
      { isLeader: false },
      'waiting',
      ['probeNow', 'p2p.request'],
    ],
    [
      'the leader is asked',
      at('waiting', { schedule: { failures: 6, nextAt: 400_000 } }),
      { type: 'message', message: { type: 'p2p.request', reason: 'resumed' } },
      {},
      'offered',
      ['p2p.offer'],
    ],
    [
      'on UDP',
      at('active'),
      { type: 'reset', cause: 'resumed' },
      { session: session() },
      'active',
      ['probeNow'],
    ],
  ],
  offers: [
    [
      'are answered by the follower',
      initial(0),
      { type: 'message', message: { type: 'p2p.offer', attempt: ATTEMPT, generation: 4 } },
      { isLeader: false },
      'proving',
      ['startSession', 'p2p.answer'],
    ],
    [
      'are refused where UDP is off',
      initial(0),
      { type: 'message', message: { type: 'p2p.offer', attempt: ATTEMPT, generation: 4 } },
      { isLeader: false, obstacle: { code: 'off' } },
      'idle',
      ['p2p.refuse'],
    ],
    [
      'of the higher hostId are ignored',
      at('proving'),
      { type: 'message', message: { type: 'p2p.offer', attempt: 'a', generation: 4 } },
      {},
      'proving',
      [],
    ],
    [
      'end what the leader does not know any more',
      at('active'),
      { type: 'message', message: { type: 'p2p.offer', attempt: 'a', generation: 4 } },
      { isLeader: false, session: session() },
      'proving',
      ['remove', 'startSession', 'p2p.answer'],
    ],
  ],
}

for (const [rule, rows] of Object.entries(steps))
  t.test(rule, async (t) => {
    for (const [name, state, input, part, phase, actions] of rows) {
      const step = escalate(state, input, facts(part))
      t.equal(step.state.phase, phase, name)
      t.same(step.actions.map(say), actions, name)
    }
  })

t.test('what a demotion counts as; a word that is not known is the careful guess', async (t) => {
  t.equal(demotionKind('no answer'), 'failure')
  t.equal(demotionKind('data lost'), 'failure')
  t.equal(demotionKind('slower'), 'choice')
  t.equal(demotionKind('off'), 'order')
  t.equal(demotionKind('something new'), 'failure')
})
