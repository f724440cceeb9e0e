/** gateway/relay: the parts without streams: tokens, and when an end tries again. */
import { duplexPair } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import { TLSSocket } from 'node:tls'
import t from 'tap'
import { TokenBucket } from '../../../../../gateway/dataplane/relay/bucket.ts'
import { type Connection, Connections } from '../../../../../gateway/dataplane/relay/connections.ts'
import { RelayDialer } from '../../../../../gateway/dataplane/relay/dialer.ts'
import { Problems } from '../../../../../gateway/dataplane/relay/problems.ts'
import { SimTime } from '../../../../helpers/sim/network.ts'

t.test('tokens: a burst is free, what is beyond it is paid for before more is sent', (t) => {
  const bucket = new TokenBucket(1_000_000, 5_000, 100)
  t.equal(bucket.reserve(5_000, 100), 0)
  t.equal(bucket.reserve(2_000, 100), 2)
  t.equal(bucket.reserve(1_000, 101), 2, 'a lender is asked again before all is paid')
  t.equal(bucket.reserve(0, 103), 0)
  t.equal(bucket.reserve(6_000, 60_103), 1, 'no more than a burst is saved')
  t.equal(bucket.reserve(0, 60_000), 1, 'a clock that goes back earns nothing and costs nothing')
  t.end()
})

t.test('a failure counts for its host and its relay, for 10 s', (t) => {
  const problems = new Problems()
  problems.add(2, 3, 'full', 1_000)
  problems.add(2, 4, 'silent', 2_000)
  const state = (now: number): (string | undefined)[] =>
    [
      [2, 3],
      [2, 4],
      [5, 3],
    ].map(([host, relay]) => problems.of(host!, relay!, now))
  t.same(state(10_999), ['full', 'silent', undefined])
  t.same(state(11_000), [undefined, 'silent', undefined])
  t.ok(problems.end(2, 4))
  t.notOk(problems.end(2, 4), 'that is no news')
  t.same(state(11_000), [undefined, undefined, undefined])
  problems.add(2, 3, 'gone', 20_000)
  problems.add(5, 3, 'gone', 20_000)
  problems.endAll(3)
  t.same(state(20_000), [undefined, undefined, undefined])
  t.end()
})

t.test(
  'of two connections both ends keep the one that the lower hostId opened, and the newer of one end',
  (t) => {
    const keeps = (ownHostId: number, dialledBy: readonly number[]): number => {
      const connections = new Connections({
        ownHostId: () => ownHostId,
        scheduler: new SimTime().scheduler(() => 0),
        lost() {},
        closed() {},
      })
      const made = dialledBy.map((by): Connection => {
        const socket = new TLSSocket(duplexPair()[0])
        return { socket, keyId: 'k', hostId: 3 - ownHostId, relay: 9, dialledBy: by, since: 0 }
      })
      for (const each of made) connections.adopt(each)
      const kept = connections.all().flatMap((c) => made.indexOf(c))
      t.same(
        made.map((c) => c.socket.destroyed),
        made.map((_, i) => !kept.includes(i)),
        'the others are closed',
      )
      for (const { socket } of made) socket.destroy()
      return kept.length === 1 ? kept[0]! : -1
    }
    for (const own of [1, 2]) {
      t.equal(keeps(own, [1, 2]), 0)
      t.equal(keeps(own, [2, 1]), 1)
      t.equal(keeps(own, [1, 1]), 1)
      t.equal(keeps(own, [2, 2]), 1)
      t.equal(keeps(own, [2, 1, 2, 1]), 3)
    }
    t.end()
  },
)

function dialling(answer: () => Promise<void>, headStartMs = 0) {
  const time = new SimTime()
  const tries: number[] = []
  const failures: string[] = []
  const state = { isNeeded: true, aborted: 0 }
  const dialer = new RelayDialer({
    scheduler: time.scheduler(() => 0),
    random: () => 0.5,
    headStartMs,
    isNeeded: () => state.isNeeded,
    dial(signal) {
      tries.push(time.now)
      signal.addEventListener('abort', () => state.aborted++)
      return answer()
    },
    failed: (err) => failures.push(String(err)),
  })
  const run = async (ms: number): Promise<void> => {
    for (let left = ms; left > 0; left--) {
      time.run(1)
      await turn()
    }
  }
  return { dialer, tries, failures, state, run }
}

t.test('a relay that always refuses: waits that double to 5 s, for as long as it is wanted', async (t) => {
  const d = dialling(() => Promise.reject(new Error('full')))
  d.dialer.start()
  d.dialer.start()
  await d.run(60_000)
  // To 10 ms: a refusal takes a turn of the event loop.
  const gaps = d.tries.slice(1).map((at, i) => Math.round((at - d.tries[i]!) / 10) * 10)
  t.same(gaps.slice(0, 7), [200, 400, 800, 1_600, 3_200, 5_000, 5_000])
  t.equal(d.tries.length, 16)
  t.same(new Set(d.failures), new Set(['Error: full']))
  d.dialer.retryNow()
  await d.run(100)
  t.equal(d.tries.length, 17, 'at once when there is news of the relay')
  d.dialer.stop()
  await d.run(6_000)
  t.equal(d.tries.length, 17)
})

t.test('no try while there is a connection, or while one is made', async (t) => {
  const gate = Promise.withResolvers<void>()
  const d = dialling(() => gate.promise, 250)
  d.dialer.start()
  d.state.isNeeded = false
  await d.run(1_000)
  t.same(d.tries, [], 'the other end was faster')
  d.state.isNeeded = true
  d.dialer.start()
  await d.run(1_000)
  d.dialer.start()
  await d.run(10_000)
  t.equal(d.tries.length, 1, 'a head start is given once')
  d.dialer.stop()
  t.equal(d.state.aborted, 1)
  gate.reject(new Error('late'))
  await turn()
  t.same(d.failures, [], 'what is not wanted does not fail')
})

t.test('a connection that is taken and dropped at once counts as a failure each time', async (t) => {
  const d = dialling(() => Promise.resolve())
  d.dialer.start()
  await d.run(3_500)
  t.equal(d.tries.length, 5)
  t.same(new Set(d.failures), new Set(['Error: the other end closed the connection']))
})
