/** gateway/paths/escalation: what happens to a pair on UDP, and around it, on a fake clock. */
import t from 'tap'
import { escalate } from '../../../../../gateway/paths/escalation/escalation.ts'
import { initial } from '../../../../../gateway/paths/escalation/transitions.ts'
import { viewOf } from '../../../../../gateway/paths/escalation/view.ts'
import { Pair, STEP_MS } from '../../../../helpers/gateway/p2p-simulation.ts'

const ACTIVE = 'active active'
const MINUTE = 60_000

t.test('80 ms more on UDP demote as slower in 10 to 12 s; 800 ms more on both do not', async (t) => {
  const pair = new Pair()
  pair.until(ACTIVE, 10_000)
  pair.cable.rttMs = 85
  const tookMs = pair.until('waiting waiting', 20_000)
  t.ok(tookMs >= 10_000 && tookMs <= 12_000, `${tookMs} ms`)
  t.match(pair.leader.demotions[0], /slower|demoted/)
  pair.run(5 * MINUTE)
  t.equal(pair.leader.promotions, 1, 'stays on the gateway path while UDP is slower')
  t.equal(pair.leader.offers, 1, 'keys are good, so nothing is offered again')
  pair.cable.rttMs = 5
  // The mean needs 13 probes until it is as short as the gateway path's.
  t.ok(pair.until(ACTIVE, MINUTE) <= 5_000)

  const both = new Pair()
  both.until(ACTIVE, 10_000)
  both.cable.rttMs = 805
  for (const side of [both.leader, both.follower]) side.gateway = { isUp: true, rttMs: 805 }
  both.run(5 * MINUTE)
  t.same(both.leader.demotions, [])
  t.equal(both.leader.state.reason.code, 'slow both ways')
})

t.test('a path that is worse under load and better without it is left for longer each time', async (t) => {
  const pair = new Pair()
  pair.run(120 * MINUTE, () => {
    pair.cable.rttMs = pair.leader.state.phase === 'active' ? 85 : 5
  })
  t.ok(pair.leader.promotions >= 5 && pair.leader.promotions <= 13, `${pair.leader.promotions} in two hours`)
})

t.test('the gateway path is down: UDP carries on through total loss, and says so', async (t) => {
  const pair = new Pair()
  pair.until(ACTIVE, 10_000)
  for (const side of [pair.leader, pair.follower]) side.gateway = { isUp: false }
  pair.canSignal = false
  pair.run(MINUTE)
  t.equal(pair.leader.state.reason.code, 'gateway path is down')
  pair.loss = 1
  pair.run(MINUTE)
  t.equal(pair.phases, ACTIVE)
  t.equal(pair.leader.state.reason.code, 'both degraded')
  for (const side of [pair.leader, pair.follower]) side.gateway = { isUp: true, rttMs: 5 }
  pair.canSignal = true
  t.ok(pair.until('waiting waiting', 5_000) <= 1_000, 'and is left as soon as the gateway path is back')
})

t.test('small datagrams alone never promote', async (t) => {
  const pair = new Pair()
  pair.cable.isNarrow = true
  pair.run(10 * MINUTE)
  t.equal(pair.leader.promotions, 0)
  t.equal(pair.leader.state.reason.code, 'full size lost')
})

t.test('a gateway that is started anew adopts the session, and no packet moves', async (t) => {
  for (const who of ['leader', 'follower'] as const) {
    const pair = new Pair()
    pair.until(ACTIVE, 10_000)
    pair[who].restartGateway()
    pair.run(MINUTE)
    t.equal(pair.phases, ACTIVE, who)
    t.equal(pair.leader.offers, 1)
    t.same([...pair.leader.demotions, ...pair.follower.demotions], [])
  }
})

t.test('a link that is up before the process is adopted: both ends go by the same path', async (t) => {
  for (const who of ['leader', 'follower'] as const) {
    const pair = new Pair()
    pair.until(ACTIVE, 10_000)
    const side = pair[who]
    side.state = initial(pair.now)
    side.obstacle = { code: 'no process', detail: 'is being started' }
    side.give({ type: 'linkUp' })
    pair.run(STEP_MS)
    t.not(pair.peerOf(side).state.phase, 'active', 'the peer has left UDP')
    side.obstacle = undefined
    side.restartGateway()
    pair.run(2 * STEP_MS)
    t.notMatch(pair.phases, /active/, `${who}: neither end stays on UDP alone`)
    t.ok(pair.until(ACTIVE, MINUTE) <= 30_000, 'both are back')
  }
})

t.test('a P2P process that is started anew with its gateway is back on UDP soon', async (t) => {
  for (const who of ['leader', 'follower'] as const) {
    const pair = new Pair()
    pair.until(ACTIVE, 10_000)
    pair[who].session = undefined
    pair[who].restartGateway()
    pair.run(STEP_MS)
    t.not(pair.phases, ACTIVE, 'both went back to the gateway path')
    t.ok(pair.until(ACTIVE, MINUTE) <= 15_000, who)
  }
})

t.test('a leader that was started anew learns from the link how far its peer has counted', async (t) => {
  const pair = new Pair()
  const { follower, leader } = pair
  pair.until(ACTIVE, 10_000)
  pair.loss = 1
  pair.run(2 * MINUTE)
  pair.loss = 0
  leader.session = undefined
  leader.restartGateway()
  follower.give({ type: 'linkUp' })
  follower.give({ type: 'reset', cause: 'operator' })
  const { generation } = follower.state
  t.ok(generation > 1)
  t.ok(pair.until(ACTIVE, MINUTE) <= 4_000, 'its first question is no older one')
  t.equal(leader.state.generation, generation + 1)
})

t.test(
  'a question that a follower keeps is no older one when the leader says its number again',
  async (t) => {
    const pair = new Pair()
    const { follower } = pair
    pair.until(ACTIVE, 10_000)
    const { attempt = '', generation } = follower.state
    const asked = { attempt, generation: generation + 1, at: pair.now }
    const message = { type: 'p2p.state', attempt, generation: generation + 1, isPromoted: false } as const
    const facts = { ...follower.facts(), session: undefined }
    const { state } = escalate(
      { ...follower.state, phase: 'proving', asked },
      { type: 'message', message },
      facts,
    )
    t.match(state, { phase: 'proving', generation, asked })
  },
)

t.test('an old peer is asked ever less often, and never taken for one that takes part', async (t) => {
  const pair = new Pair()
  pair.follower.isDeaf = true
  pair.run(60 * MINUTE)
  t.ok(pair.leader.offers >= 14 && pair.leader.offers <= 25, `${pair.leader.offers} offers in an hour`)
  t.equal(pair.leader.state.reason.code, 'no answer to offer')
})

t.test('damped: asks once a minute whether it would work, and says so; a person ends it', async (t) => {
  const pair = new Pair()
  pair.run(3 * MINUTE, () => {
    pair.loss = pair.now % 10_000 >= 5_000 ? 1 : 0
  })
  pair.loss = 0
  const before = pair.leader.probes
  pair.run(3 * MINUTE)
  t.ok(pair.leader.probes - before >= 2 && pair.leader.probes - before <= 3)
  const view = viewOf(pair.leader.state, pair.leader.facts())
  t.match(view.reason, /failed too often.*it would work now/)
  t.ok(Number(view.nextAttemptAt) > pair.now)
  pair.leader.give({ type: 'reset', cause: 'operator' })
  t.ok(pair.until(ACTIVE, MINUTE) <= 2_000)
})

t.test('a person at the other host ends it as well', async (t) => {
  const pair = new Pair()
  pair.run(3 * MINUTE, () => {
    pair.loss = pair.now % 10_000 >= 5_000 ? 1 : 0
  })
  pair.loss = 0
  pair.follower.give({ type: 'reset', cause: 'operator' })
  t.ok(pair.until(ACTIVE, MINUTE) <= 20_000)
})

t.test('generations rise with each promotion and demotion, at both hosts', async (t) => {
  const pair = new Pair(3)
  const seen: number[] = [0]
  pair.run(10 * MINUTE, () => {
    pair.loss = pair.now % MINUTE > 50_000 ? 1 : 0
    const { generation } = pair.leader.state
    if (generation !== seen.at(-1)) seen.push(generation)
  })
  t.ok(seen.length > 4)
  t.same(
    seen,
    [...seen].sort((a, b) => a - b),
  )
  t.equal(pair.leader.state.generation, pair.follower.state.generation)
})

t.test('253 peers that are blocked, then not, then switched off: nothing is left', async (t) => {
  const pairs = Array.from({ length: 253 }, (_, seed) => new Pair(seed))
  for (const pair of pairs) pair.loss = 1
  for (const pair of pairs) pair.run(2 * MINUTE)
  const offers = pairs.map((p) => p.leader.offers)
  t.ok(Math.max(...offers) <= 7, `${Math.max(...offers)} offers at most`)
  const starts = new Set(pairs.map((p) => Math.round(p.leader.state.schedule.nextAt / 1_000)))
  t.ok(starts.size > 10, `their next tries are spread over ${starts.size} different seconds`)
  for (const pair of pairs) pair.loss = 0
  const times = pairs.map((p) => p.until(ACTIVE, 10 * MINUTE))
  t.ok(Math.max(...times) < 20_000, `all direct within ${Math.max(...times)} ms`)
  for (const { leader } of pairs) leader.obstacle = { code: 'off' }
  for (const pair of pairs) pair.run(2 * STEP_MS)
  t.ok(pairs.every((p) => p.leader.session === undefined && p.leader.state.phase === 'idle'))
  t.ok(pairs.every((p) => p.follower.state.phase === 'waiting'))
})
