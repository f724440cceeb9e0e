/** gateway/relay capacity: what a host gives to others, how full it is, and what the peers are told. */
import t from 'tap'
import { TokenBucket } from '../../../../../gateway/dataplane/relay/bucket.ts'
import { Capacity } from '../../../../../gateway/dataplane/relay/capacity.ts'

const MBIT_BYTES = 125_000

t.test('pairs and bandwidth are shares of what is given; the scarcer one counts', (t) => {
  const capacity = new Capacity({ volunteer: true, maxPairs: 10, bandwidthMbit: 8, region: 'fra' }, 0)
  t.same(capacity.offered(0, 0), { freePairs: 10, freeShare: 1, region: 'fra' })
  t.same(capacity.offered(4, 0), { freePairs: 6, freeShare: 0.6, region: 'fra' })
  capacity.passed(8 * MBIT_BYTES * 5 * 0.75)
  t.equal(capacity.offered(4, 4_999).freeShare, 0.6, 'not measured yet')
  t.equal(capacity.offered(4, 5_000).freeShare, 0.25)
  t.equal(capacity.load(4, 5_001).bps, 6_000_000)
  capacity.passed(8 * MBIT_BYTES * 50)
  t.equal(capacity.offered(4, 10_000).freeShare, 0, 'never below nothing')
  t.equal(capacity.offered(4, 15_000).freeShare, 0.6, 'and free again when it rests')
  t.end()
})

t.test('without a bound of the bandwidth only pairs count', (t) => {
  const capacity = new Capacity({ volunteer: true, maxPairs: 4 }, 0)
  capacity.passed(1e12)
  t.same(capacity.offered(1, 5_000), { freePairs: 3, freeShare: 0.75 })
  const pair = new TokenBucket(1, 1, 0)
  t.equal(capacity.rateOf(pair), pair)
  t.end()
})

t.test('all pairs together send no more than is given', (t) => {
  const capacity = new Capacity({ volunteer: true, maxPairs: 4, bandwidthMbit: 1 }, 0)
  const [one, two] = [1, 2].map(() => capacity.rateOf(new TokenBucket(50 * MBIT_BYTES, 8 * MBIT_BYTES, 0)))
  t.equal(one?.reserve(MBIT_BYTES, 0), 0, 'the burst of a second')
  t.equal(two?.reserve(MBIT_BYTES / 2, 0), 500)
  t.equal(one?.reserve(MBIT_BYTES / 2, 0), 1_000)
  t.equal(two?.reserve(MBIT_BYTES, 2_000), 0)
  t.end()
})

t.test('no more pairs than get a piece through each second', (t) => {
  const pairsWith = (bandwidthMbit: number) =>
    new Capacity({ volunteer: true, maxPairs: 64, bandwidthMbit }, 0).maxPairs
  t.same([1, 2, 8, 1_000].map(pairsWith), [1, 3, 15, 64])
  t.end()
})

t.test('a host that does not volunteer says so', (t) => {
  const capacity = new Capacity({ volunteer: false, maxPairs: 4, region: 'fra' }, 0)
  t.match(capacity.offered(0, 0), { freePairs: 0, freeShare: 0, refusal: /relay\.volunteer/ })
  t.match(capacity.refusal, /relay\.volunteer/)
  t.same(capacity.load(0, 0), {
    volunteer: false,
    pairs: 0,
    maxPairs: 4,
    bps: 0,
    bandwidthMbit: null,
    region: 'fra',
  })
  t.end()
})
