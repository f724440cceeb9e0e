/** gateway/paths/escalation: two hosts, fake P2P processes and a fake clock; hours in milliseconds. */
import t from 'tap'
import { Pair, STEP_MS } from '../../../../helpers/gateway/p2p-simulation.ts'

const ACTIVE = 'active active'
const MINUTE = 60_000

t.test('a pair moves to UDP within 5 s of the first try', async (t) => {
  const pair = new Pair()
  t.ok(pair.until(ACTIVE, 10_000) <= 5_000, `after ${pair.now} ms`)
  t.equal(pair.leader.offers, 1)
  t.equal(pair.leader.state.generation, 1)
  t.equal(pair.follower.state.generation, 1)
})

t.test('a follower whose first round trips are too long moves when the next ones are not', async (t) => {
  const pair = new Pair()
  const { follower, leader } = pair
  pair.run(2_500, () => {
    if (follower.session !== undefined) follower.session.srttMs = pair.now <= 2_000 ? 60 : 5
  })
  t.equal(pair.phases, ACTIVE)
  t.equal(leader.state.generation, 1, 'by the first question')
})

t.test('no promotion while one direction is blocked, either one', async (t) => {
  for (const direction of ['lossOut', 'lossBack'] as const) {
    const pair = new Pair()
    pair.cable[direction] = 1
    pair.run(10 * MINUTE)
    t.equal(pair.leader.promotions + pair.follower.promotions, 0, direction)
  }
})

t.test('one direction that breaks takes both hosts back, and healing brings both to UDP', async (t) => {
  const pair = new Pair()
  pair.until(ACTIVE, 10_000)
  pair.cable.lossBack = 1
  t.ok(pair.until('waiting waiting', 5_000) <= 1_000)
  pair.run(8_000)
  pair.cable.lossBack = 0
  t.ok(pair.until(ACTIVE, 60_000) <= 20_000, 'within 20 s')
})

t.test('the order of loss: 2 % stays, 5 % warns, 12 % both ways and 30 % one way demote', async (t) => {
  const stays = new Pair(7)
  stays.until(ACTIVE, 10_000)
  stays.cable.lossOut = 0.02
  stays.run(5 * MINUTE)
  t.same(stays.leader.demotions, [], '2 %')

  for (const [out, back] of [
    [0.12, 0.12],
    [0.3, 0],
  ] as const) {
    const times = Array.from({ length: 40 }, (_, seed) => {
      const pair = new Pair(seed)
      pair.until(ACTIVE, 10_000)
      pair.run(10_000)
      Object.assign(pair.cable, { lossOut: out, lossBack: back })
      return pair.until('waiting waiting', 30_000)
    }).sort((a, b) => a - b)
    t.ok(Number(times[36]) <= 10_000, `${out} and ${back}: nine of ten within ${times[36]} ms`)
  }
})

t.test(
  'blocked and unblocked every 5 s for six hours: at most four promotions, then ever fewer',
  async (t) => {
    const pair = new Pair()
    let isBlocked = false
    const flap = (): void => {
      isBlocked = pair.now % 10_000 >= 5_000
      pair.loss = isBlocked ? 1 : 0
    }
    pair.run(5 * MINUTE, flap)
    const first = pair.leader.promotions
    t.ok(first >= 1 && first <= 4, `${first} in 5 minutes`)
    pair.run(355 * MINUTE, flap)
    const perHour = pair.leader.promotions / 6
    t.ok(perHour <= 20, `${perHour} in an hour`)
  },
)

t.test(
  'blocked for 24 hours: tries go on every 5 minutes, and the first one after it succeeds',
  async (t) => {
    const pair = new Pair()
    pair.loss = 1
    pair.stepMs = 2_000
    pair.run(24 * 60 * MINUTE)
    pair.stepMs = STEP_MS
    t.ok(pair.leader.offers >= 230 && pair.leader.offers <= 400, `${pair.leader.offers} offers`)
    t.equal(pair.leader.promotions, 0)
    pair.loss = 0
    t.ok(pair.until(ACTIVE, 10 * MINUTE) <= 20_000, 'the process finds it by its own probes')
  },
)
