/** The prober: proof, suspicion and loss of one path, millisecond by millisecond. */
import t from 'tap'
import { follows, type SharedTimes } from '../../../../../../gateway/dataplane/p2p/process/cadence.ts'
import { Prober } from '../../../../../../gateway/dataplane/p2p/process/prober.ts'
import type { ProberAction } from '../../../../../../gateway/dataplane/p2p/process/prober-action.ts'

type Reported = Extract<ProberAction, { do: 'report' }>['what'] | 'blackHole'

/** A prober over a path that the test plays: time goes on by 1 ms, and each probe is answered or not. */
class Run {
  now = 0
  rttMs = 1
  /** Which probes pass. */
  passes: (size: string) => boolean = () => true
  isLocalFault = false
  isBaseLost = false
  hasTraffic = false
  readonly prober: Prober
  readonly sent: { at: number; size: string }[] = []
  readonly reports: { at: number; what: Reported }[] = []
  readonly #answers: { seq: number; at: number }[] = []

  constructor(times?: SharedTimes) {
    this.prober = new Prober(0, times)
  }

  until(end: number): this {
    for (; this.now < end; this.now++) this.#step()
    return this
  }

  /** Goes on until something is reported. @returns when, after `since`; undefined: not within 20 s */
  when(what: Reported, since = this.now): number | undefined {
    for (const end = this.now + 20_000; this.now < end; this.now++) {
      this.#step()
      const found = this.reports.find((r) => r.what === what && r.at >= since)
      if (found !== undefined) return found.at - since
    }
    return undefined
  }

  sizes(from: number): string[] {
    return this.sent.filter(({ at }) => at >= from).map(({ size }) => size)
  }

  gaps(from: number): number[] {
    const at = this.sent.filter((s) => s.at >= from).map((s) => s.at)
    return at.slice(1).map((x, i) => x - (at[i] ?? 0))
  }

  #step(): void {
    if (this.hasTraffic) this.prober.traffic(this.now)
    for (const answer of this.#answers.splice(0))
      if (answer.at > this.now) this.#answers.push(answer)
      else this.#take(this.prober.answered(answer.seq, this.now))
    if (this.now >= this.prober.nextAt) this.#take(this.prober.tick(this.now, () => this.isLocalFault))
  }

  #take(actions: readonly ProberAction[]): void {
    for (const action of actions) {
      if (action.do === 'send') {
        this.sent.push({ at: this.now, size: action.size })
        if (this.passes(action.size)) this.#answers.push({ seq: action.seq, at: this.now + this.rttMs })
      } else if (action.do === 'blackHole') {
        this.isBaseLost = action.isBaseLost
        this.reports.push({ at: this.now, what: 'blackHole' })
      } else this.reports.push({ at: this.now, what: action.what })
    }
  }
}

const proven = (hasTraffic = true, times?: SharedTimes): Run => {
  const run = new Run(times)
  run.hasTraffic = hasTraffic
  run.until(1_500)
  return run
}

t.test('proof: five own round trips in a row, two of them full-size, the first in 0.2 s', async (t) => {
  const run = new Run()
  const at = run.when('proven') ?? 0
  t.ok(at >= 200 && at <= 250, `proven after ${at} ms`)
  t.equal(run.sizes(0).length, 5)
  t.equal(run.sizes(0).filter((size) => size === 'full').length, 2)

  const lossy = new Run()
  lossy.passes = () => lossy.sent.length !== 4
  const later = lossy.when('proven') ?? 0
  t.ok(later > 1_000 && later < 2_500, `one lost: the next takes a second, proven after ${later} ms`)

  const again = proven()
  again.prober.fail(again.now)
  const next = again.when('proven') ?? 0
  t.ok(next >= 1_000 && next < 1_600, `after a failure: ${next} ms`)

  const small = new Run()
  small.passes = (size) => size !== 'full'
  t.equal(small.when('proven'), undefined, 'never proven without full-size datagrams')

  const far = new Run()
  far.rttMs = 300
  t.ok((far.when('proven') ?? 0) < 2_000, 'a round trip of 300 ms is proven within 2 s')
  const slow = new Run()
  slow.rttMs = 800
  t.ok(
    (slow.when('proven') ?? 0) < 4_000,
    'one of 800 ms as well, although it is longer than the first patience',
  )
})

t.test('cadence: 250 ms with traffic in the last 10 s, 1 s idle, 5 s idle for a minute', async (t) => {
  t.same(new Set(proven().until(4_000).gaps(1_500)), new Set([250]), 'with traffic')
  const run = proven()
  run.hasTraffic = false
  run.until(11_600)
  t.same(new Set(run.until(30_000).gaps(13_000)), new Set([1_000]), 'after 10 s without')
  run.until(63_000)
  t.same(new Set(run.until(100_000).gaps(67_000)), new Set([5_000]), 'after 60 s')
  const since = run.now
  run.hasTraffic = true
  run.until(since + 600)
  t.equal(run.sent.find(({ at }) => at >= since)?.at, since, 'the first new packet: at once')
  t.same(run.gaps(since), [250, 250], 'and then every 250 ms')
})

const FOLLOWS: SharedTimes = { isFollower: true, clockOffsetMs: () => 0 }

t.test('an idle path of the host that follows is probed along with an answer to the peer', async (t) => {
  const run = proven(true, FOLLOWS)
  run.hasTraffic = false
  run.until(13_500)
  const own = run.sent.at(-1)?.at ?? 0
  t.equal(own % 200, 50, 'by itself 50 ms after the time of the host that leads')
  run.until(own + 400)
  run.prober.peerProbed(run.now)
  run.until(own + 700)
  t.equal(run.sent.at(-1)?.at, own, 'not with more than half of its time to go')
  run.until(own + 800)
  for (let i = 0; i < 3; i++) {
    run.prober.peerProbed(run.now)
    run.until(run.now + 1_000)
  }
  t.same(run.gaps(own + 700), [1_000, 1_000], 'as often as the peer probes')
  run.until(own + 5_000)
  t.equal(run.gaps(own + 2_700).at(0), 1_050, 'by its own time once the peer is silent')

  run.hasTraffic = true
  run.until(20_000)
  run.prober.peerProbed(run.now)
  t.ok(run.prober.nextAt > run.now, 'a busy path keeps its own time')
})

t.test('what goes in the answer is a probe like any other', async (t) => {
  const run = proven(true, FOLLOWS)
  t.equal(run.prober.alongWithAnswer(run.now), undefined, 'not on a busy path')
  run.hasTraffic = false
  run.until(13_500)
  const own = run.sent.at(-1)?.at ?? 0
  run.until(own + 400)
  t.equal(run.prober.alongWithAnswer(run.now), undefined, 'not with more than half of its time to go')
  run.until(own + 800)
  const before = run.sent.length
  const probe = run.prober.alongWithAnswer(run.now)
  t.match(
    probe,
    { do: 'send', size: run.sent.at(-1)?.size === 'full' ? 'small' : 'full' },
    'sizes take turns',
  )
  run.until(run.now + 100)
  t.equal(run.sent.length, before, 'nothing goes beside it')
  run.passes = () => false
  const lostAt = run.when('lost') ?? 0
  t.ok(lostAt <= 400, `without an answer the path is lost ${lostAt} ms later`)

  const answered = proven(true, FOLLOWS)
  answered.hasTraffic = false
  answered.until(13_300)
  const asked = answered.prober.alongWithAnswer(answered.now)
  const { answered: count } = answered.prober.trips.counts
  answered.prober.answered(asked?.seq ?? -1, answered.now + 7)
  t.equal(answered.prober.trips.counts.answered, count + 1)
})

t.test(
  'the host that leads keeps to multiples of the wall clock, also when the peer was first',
  async (t) => {
    const run = proven(false, { isFollower: false, clockOffsetMs: () => 137.25 })
    run.until(13_000)
    run.prober.peerProbed(run.now)
    run.until(20_000)
    const off = run.sent.filter(({ at }) => at > 13_100).map(({ at }) => (at + 137.25) % 200)
    t.ok(off.length >= 5)
    for (const ms of off) t.ok(ms < 1, `${ms} ms after`)
  },
)

t.test('of each pair one host leads, and each host leads half of its pairs', async (t) => {
  for (let host = 1; host <= 254; host++) {
    let leads = 0
    for (let peer = 1; peer <= 254; peer++) {
      if (peer === host) continue
      if (follows(host, peer) === follows(peer, host)) t.fail(`${host} and ${peer}`)
      if (!follows(host, peer)) leads++
    }
    t.ok(leads >= 126 && leads <= 127, `${leads}`)
  }
})

t.test('lost: a probe unanswered, then a burst of three at 50 ms', async (t) => {
  for (const offset of [0, 60, 120, 180, 240]) {
    const run = proven().until(2_000 + offset)
    run.passes = () => false
    const since = run.now
    const at = run.when('lost') ?? 0
    t.ok(at <= 600, `under traffic lost after ${at} ms`)
    t.notOk(run.prober.isProven)
    const suspectAt = run.reports.find(({ what }) => what === 'suspect')?.at ?? 0
    t.same(
      run.sent
        .filter((s) => s.at >= suspectAt)
        .slice(0, 3)
        .map((s) => [s.at - suspectAt, s.size]),
      [
        [0, 'small'],
        [50, 'base'],
        [100, 'full'],
      ],
    )
    t.ok(suspectAt - since >= 100, 'not before 100 ms')
  }
  const idle = proven(false).until(20_500)
  idle.passes = () => false
  const at = idle.when('lost') ?? 0
  t.ok(at <= 2_000, `idle for 20 s: lost after ${at} ms`)
})

t.test('patience is four round trips on a far path', async (t) => {
  const run = new Run()
  run.rttMs = 100
  run.hasTraffic = true
  run.until(5_000)
  run.passes = () => false
  run.when('suspect')
  const last = run.sent.filter((s) => s.at <= run.now - 390).at(-1)
  t.ok(run.now - (last?.at ?? 0) >= 400, 'suspect only after 400 ms')
})

t.test('one lost probe costs nothing but a burst', async (t) => {
  const run = proven()
  run.passes = () => false
  run.until(run.now + 140)
  run.passes = () => true
  run.until(run.now + 5_000)
  t.same(
    run.reports.map(({ what }) => what),
    ['proven', 'suspect', 'cleared'],
  )
  t.ok(run.prober.isProven)
  t.ok(run.prober.trips.lossRate > 0 && run.prober.trips.lossRate < 0.1)
})

t.test('an answer to no probe, or to one that was answered, changes nothing', async (t) => {
  const prober = new Prober(0)
  const [probe] = prober.tick(0, () => false)
  if (probe?.do !== 'send') throw new Error('no probe')
  t.same(prober.answered(probe.seq + 1, 1), [])
  t.equal(prober.trips.srttMs, undefined)
  prober.answered(probe.seq, 1)
  prober.answered(probe.seq, 50)
  t.equal(prober.trips.srttMs, 1)
  t.equal(prober.trips.counts.answered, 1)
})

t.test('loss is of the last forty probes', async (t) => {
  const run = proven()
  let n = 0
  run.passes = () => n++ % 10 !== 0
  run.until(run.now + 30_000)
  const { lossRate, counts } = run.prober.trips
  t.equal(counts.window, 40)
  t.ok(lossRate >= 0.075 && lossRate <= 0.125, `10 % lost, measured ${lossRate}`)
  run.passes = () => true
  run.until(run.now + 11_000)
  t.equal(run.prober.trips.lossRate, 0, 'forgotten after forty good ones')
})

t.test('a late answer is not a lost one', async (t) => {
  const run = proven()
  run.rttMs = 130
  run.until(run.now + 12_000)
  t.equal(run.prober.trips.lossRate, 0)
  t.ok(run.prober.isProven)
})

t.test('a fault of this host: the burst is made once more before it counts', async (t) => {
  const run = proven()
  run.isLocalFault = true
  run.passes = () => false
  const at = run.when('lost') ?? 0
  t.ok(at > 380 && at < 800, `lost after ${at} ms instead`)
  t.same(
    run.reports.map(({ what }) => what),
    ['proven', 'suspect', 'extended', 'lost'],
  )
})

t.test('full-size datagrams vanish and others do not', async (t) => {
  const run = proven()
  run.passes = (size) => size !== 'full'
  const at = run.when('blackHole') ?? 0
  t.ok(at <= 1_200, `known after ${at} ms`)
  t.ok(run.prober.isProven, 'the path itself is not lost')
  t.notOk(run.isBaseLost)
  t.notOk(run.prober.isFullSize)
  run.prober.resized()
  t.ok(run.prober.isFullSize, 'until the smaller size is tried')
  t.notOk(run.reports.some(({ what }) => what === 'lost'))
})

t.test('datagrams of 1,280 bytes vanish too', async (t) => {
  const run = proven()
  run.passes = (size) => size === 'small'
  const at = run.when('blackHole') ?? 0
  t.ok(at <= 1_000, `known after ${at} ms`)
  t.ok(run.isBaseLost, 'so that no second is spent on the smaller size')
})

t.test(
  'before the proof small and full-size probes take turns, also while full-size ones vanish',
  async (t) => {
    const begun = new Run()
    const failed = proven()
    failed.passes = () => false
    failed.when('lost')
    failed.hasTraffic = false
    for (const [what, run] of Object.entries({ 'a new path': begun, 'one that was lost': failed })) {
      const since = run.now
      run.passes = (size) => size !== 'full'
      run.prober.probeNow(since)
      run.until(since + 20_000)
      const sizes = run.sizes(since)
      const small = sizes.filter((size) => size === 'small').length
      const full = sizes.filter((size) => size === 'full').length
      // Each full-size one that is missing begins a burst, whose small one is answered.
      t.ok(full >= 10 && small >= full, `${what}: ${small} small and ${full} full-size ones in 20 s`)
      t.not(run.prober.trips.srttMs, undefined, `${what}: known to be there, by the small ones`)
      t.notOk(run.prober.isProven, `${what}: not proven`)
    }
  },
)

t.test('after a failure or a change', async (t) => {
  const run = proven()
  run.passes = () => false
  run.when('lost')
  run.until(run.now + 100_000)
  run.hasTraffic = false
  const lostAt = run.now
  run.until(lostAt + 61_000)
  t.same(
    run.reports.filter(({ what }) => what === 'lost').length,
    1,
    'lost is said once, however long it lasts',
  )
  t.same(new Set(run.until(lostAt + 90_000).gaps(lostAt + 66_000)), new Set([5_000]), 'and probed seldom')
  run.passes = () => true
  run.prober.probeNow(run.now)
  t.ok((run.when('proven') ?? 9_999) < 1_200, 'proven again within 1.2 s of the first answer')

  run.prober.moved(run.now, 40)
  t.ok(run.prober.isProven, 'another address: proven until a probe there stays without an answer')
  run.passes = () => false
  t.ok((run.when('lost') ?? 9_999) < 500)

  const still = proven()
  still.passes = () => false
  still.until(still.now + 60)
  still.now += 20_000
  still.prober.forgive(still.now)
  still.passes = () => true
  still.until(still.now + 1_000)
  t.same(
    still.reports.map(({ what }) => what),
    ['proven'],
    'a process that stood still suspects no path',
  )
})
