/** gateway/paths/escalation: the sentence that says why a pair is not direct, which of several causes it names. */
import t from 'tap'
import { NO_DAMPING, penalized } from '../../../../../gateway/paths/escalation/damping.ts'
import { type P2pReason, peerText } from '../../../../../gateway/paths/escalation/reasons.ts'
import { initial } from '../../../../../gateway/paths/escalation/transitions.ts'
import type { Escalation, EscalationFacts } from '../../../../../gateway/paths/escalation/types.ts'
import { viewOf } from '../../../../../gateway/paths/escalation/view.ts'

const NOW = 1_000_000
const facts: EscalationFacts = {
  now: NOW,
  random: 0.5,
  newAttempt: '0123456789abcdef',
  isLeader: true,
  canSignal: true,
  gateway: { isUp: true, rttMs: 5 },
}
const failed: P2pReason = { code: 'no answer' }
const waiting: Escalation = { ...initial(NOW), phase: 'waiting', reason: failed, problem: failed }
const refused: P2pReason = { code: 'refused', detail: 'its P2P process does not run' }
let damping = NO_DAMPING
for (let i = 0; i < 4; i++) damping = penalized(damping, NOW)

type Row = readonly [name: string, state: Escalation, part: Partial<EscalationFacts>, reason: string]
const rows: readonly Row[] = [
  ['the last failure', waiting, {}, 'UDP stopped answering'],
  ['not yet tried', initial(NOW), {}, 'the first try is about to begin'],
  // What is in the way here comes first: only it can be repaired here.
  [
    'off here, and refused there',
    { ...initial(NOW), reason: { code: 'off' } },
    { obstacle: { code: 'off' }, peerObstacle: refused },
    'P2P is off on this host (p2p.enabled)',
  ],
  // Then what makes every try futile, with the last failure behind it.
  [
    'no link after a failure',
    waiting,
    { canSignal: false, peerObstacle: refused },
    'waits for the control link, over which both hosts agree on keys: UDP stopped answering',
  ],
  [
    'no link from the start',
    initial(NOW),
    { canSignal: false },
    'waits for the control link, over which both hosts agree on keys',
  ],
  [
    'the link went during the offer',
    { ...waiting, reason: { code: 'no link' }, problem: { code: 'no link' } },
    { canSignal: false },
    'waits for the control link, over which both hosts agree on keys',
  ],
  [
    'a symmetric NAT on this side',
    { ...waiting, problem: { code: 'no probe answered' } },
    { symmetric: { here: true, there: false } },
    'no probe was answered: the NAT of this host gives each destination another port (symmetric); flatnet netcheck here says what helps',
  ],
  [
    'symmetric NATs on both sides, while the next try is under way',
    { ...waiting, phase: 'proving', reason: { code: 'proving' }, problem: { code: 'no probe answered' } },
    { symmetric: { here: true, there: true } },
    'proves that UDP works both ways; before: no probe was answered: the NATs of both hosts give each destination another port (symmetric); flatnet netcheck says what helps',
  ],
  [
    'UDP is blocked at this host, whatever the NAT of the peer does',
    { ...waiting, problem: { code: 'no probe answered' } },
    { symmetric: { here: false, there: true }, udp: { here: 'silent', there: 'works' } },
    'no probe was answered: UDP is blocked at this host, nothing answers it; flatnet netcheck here says what helps',
  ],
  [
    'UDP is blocked at the peer',
    { ...waiting, problem: { code: 'no probe answered' } },
    { udp: { here: 'works', there: 'silent' } },
    'no probe was answered: UDP is blocked at the peer, nothing answers it; flatnet netcheck there says what helps',
  ],
  [
    'UDP works at both ends',
    { ...waiting, problem: { code: 'no probe answered' } },
    { symmetric: { here: false, there: false }, udp: { here: 'works', there: 'works' } },
    'no probe was answered: UDP works at both hosts and not between them, where a NAT or a firewall drops it; flatnet netcheck at both says more',
  ],
  [
    'a peer that does not say whether UDP works there',
    { ...waiting, problem: { code: 'no probe answered' } },
    { udp: { here: 'works', there: undefined } },
    'no probe was answered: UDP works at this host, so it is blocked at the peer or between the two',
  ],
  [
    'a symmetric NAT that is not the cause',
    waiting,
    { symmetric: { here: false, there: true } },
    'UDP stopped answering',
  ],
  ['the peer says why', waiting, { peerObstacle: refused }, 'the peer refuses: its P2P process does not run'],
  [
    'the peer says nothing',
    initial(NOW),
    { peerObstacle: { code: 'no word' } },
    'the peer says nothing about UDP; it runs an older version',
  ],
  [
    'damped',
    { ...waiting, damping },
    {},
    'UDP failed too often and is not used for a while: UDP stopped answering',
  ],
  [
    'a try goes on',
    { ...waiting, phase: 'proving', reason: { code: 'proving' }, problem: undefined },
    {},
    'proves that UDP works both ways',
  ],
  [
    'a try goes on after a failure',
    { ...waiting, phase: 'proving', reason: { code: 'proving' } },
    {},
    'proves that UDP works both ways; before: UDP stopped answering',
  ],
]

t.test('which cause is named', async (t) => {
  for (const [name, state, part, reason] of rows)
    t.equal(viewOf(state, { ...facts, ...part }).reason, reason, name)
})

t.test('without a link no next try is promised', async (t) => {
  t.type(viewOf(waiting, facts).nextAttemptAt, 'number')
  t.equal(viewOf(waiting, { ...facts, canSignal: false }).nextAttemptAt, undefined)
})

t.test("a peer's `this host` is the peer", async (t) => {
  t.equal(peerText('P2P is off on this host (p2p.enabled)'), 'P2P is off there (p2p.enabled)')
  t.equal(peerText('off for host'), 'P2P with this host is off there (p2p.hosts)')
  t.equal(peerText('the P2P process has no device: ENOENT'), 'its P2P process has no device: ENOENT')
  t.equal(peerText('no answer'), 'UDP stopped answering')
  t.equal(peerText('words of a newer version'), 'words of a newer version')
})
