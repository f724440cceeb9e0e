/** The race of candidates: its cadence, and which address is chosen. */
import t from 'tap'
import { CandidateRace } from '../../../../../../gateway/dataplane/p2p/process/candidates.ts'

const FAR = '198.51.100.7:7443'
const NEAR = '192.0.2.7:7443'
const LAN = '10.0.0.7:7443'
const isLan = (address: string): boolean => address.startsWith('10.')

/** Runs a race in which address `a` answers after `rtts[a]` ms, or never. */
class Run {
  now = 0
  readonly race = new CandidateRace(isLan, 0)
  rtts: Record<string, number> = {}
  used: string | undefined
  readonly sent: { at: number; address: string }[] = []
  readonly #answers: { seq: number; at: number }[] = []

  until(end: number): this {
    for (; this.now < end; this.now++) {
      for (const answer of this.#answers.splice(0))
        if (answer.at > this.now) this.#answers.push(answer)
        else this.race.answered(answer.seq, this.now)
      if (this.now < this.race.nextAt) continue
      for (const { seq, address } of this.race.tick(this.now, this.used)) {
        this.sent.push({ at: this.now, address })
        const rtt = this.rtts[address]
        if (rtt !== undefined) this.#answers.push({ seq, at: this.now + rtt })
      }
    }
    return this
  }

  times(address: string): number[] {
    return this.sent.filter((s) => s.address === address).map(({ at }) => at)
  }
}

t.test('each: five probes in 100 ms, then each 250 ms for 5 s, then each 30 s', async (t) => {
  const run = new Run()
  run.race.offer([NEAR], 0)
  run.until(70_000)
  const times = run.times(NEAR)
  t.same(times.slice(0, 5), [0, 20, 40, 60, 80])
  t.same(times.slice(5, 8), [250, 500, 750])
  t.equal(times.filter((at) => at > 100 && at <= 5_000).length, 20)
  t.same(
    times.filter((at) => at > 5_000),
    [35_000, 65_000],
  )
})

t.test('they start 50 ms apart: the LAN, then as they were offered', async (t) => {
  const run = new Run()
  run.race.offer([FAR, NEAR, LAN], 0)
  run.until(6_000)
  t.same(
    [LAN, FAR, NEAR].map((address) => run.times(address)[0]),
    [0, 50, 100],
  )
  run.race.restart(6_000)
  run.until(7_000)
  t.same(
    run
      .times(NEAR)
      .filter((at) => at >= 6_000)
      .slice(0, 2),
    [6_100, 6_120],
    'each race anew',
  )
})

t.test('a new address begins at once, known ones go on', async (t) => {
  const run = new Run()
  run.race.offer([FAR], 0)
  run.until(10_000)
  run.race.offer([FAR], run.now)
  t.equal(run.race.nextAt, 35_000)
  run.race.offer([FAR, NEAR], run.now)
  t.equal(run.race.nextAt, 10_000)
  t.same(run.until(10_090).times(NEAR), [10_000, 10_020, 10_040, 10_060, 10_080])
  t.equal(run.times(FAR).at(-1), 5_000)
  run.race.seen(LAN, run.now)
  t.same(run.until(10_120).times(LAN), [10_090, 10_110], 'one that a probe came from, too')
})

t.test('the choice', async (t) => {
  const cases: {
    name: string
    rtts: Record<string, number>
    current?: string
    at?: number
    chosen?: string
  }[] = [
    { name: 'nothing answers: none', rtts: {} },
    { name: 'the LAN is taken at its first answer', rtts: { [LAN]: 2 }, at: 5, chosen: LAN },
    { name: 'so is any other', rtts: { [FAR]: 30 }, at: 85, chosen: FAR },
    { name: 'the least round trip', rtts: { [FAR]: 30, [NEAR]: 9 }, at: 500, chosen: NEAR },
    { name: 'the LAN before a shorter one', rtts: { [LAN]: 12, [NEAR]: 3 }, at: 500, chosen: LAN },
    { name: 'the best already', rtts: { [NEAR]: 9 }, current: NEAR },
    { name: 'a tenth better does not switch', rtts: { [NEAR]: 18, [FAR]: 20 }, current: FAR },
    { name: 'a third better does', rtts: { [NEAR]: 10, [FAR]: 20 }, current: FAR, chosen: NEAR },
    { name: 'below 2 ms nothing does', rtts: { [NEAR]: 1, [FAR]: 2 }, current: FAR },
    { name: 'the LAN always does', rtts: { [LAN]: 10, [FAR]: 9 }, current: FAR, chosen: LAN },
    {
      name: 'one that answers instead of one that does not',
      rtts: { [FAR]: 80 },
      current: NEAR,
      chosen: FAR,
    },
  ]
  for (const { name, rtts, current, at = 1_000, chosen } of cases) {
    const run = new Run()
    run.rtts = rtts
    run.race.offer([FAR, NEAR, LAN], 0)
    run.until(at)
    const used =
      current === undefined || rtts[current] === undefined
        ? undefined
        : { address: current, rttMs: rtts[current] }
    t.equal(run.race.choose(used, run.now)?.address, chosen, name)
  }
})

t.test('an answer before probes that had none is no reason to choose', async (t) => {
  const run = new Run()
  run.rtts = { [NEAR]: 5 }
  run.race.offer([NEAR], 0)
  run.until(6_000)
  run.rtts = {}
  run.until(80_000)
  t.equal(run.race.choose(undefined, run.now), undefined)
})

t.test('an answer to no probe counts for nothing', async (t) => {
  const race = new CandidateRace(isLan, 0)
  race.offer([NEAR], 0)
  const [probe] = race.tick(0)
  t.notOk(race.answered(99, 1))
  t.ok(race.answered(probe?.seq ?? -1, 1))
  t.notOk(race.answered(probe?.seq ?? -1, 2), 'once')
})

t.test('addresses that probes came from are raced too, the newest sixteen', async (t) => {
  const race = new CandidateRace(isLan, 0)
  race.offer([NEAR], 0)
  for (let i = 1; i <= 30; i++) race.seen(`203.0.113.${i}:4000`, 0)
  t.equal(race.addresses.length, 17)
  t.ok(race.addresses.includes(NEAR))
  t.ok(race.addresses.includes('203.0.113.30:4000'))
  t.notOk(race.addresses.includes('203.0.113.1:4000'))
})

t.test('a race without candidates waits for nothing', async (t) => {
  const race = new CandidateRace(isLan, 0)
  t.equal(race.nextAt, Number.POSITIVE_INFINITY)
  t.same(race.tick(1e6), [])
})

t.test(
  'the address in use is left to the path’s own probes once its race is over, the others are not',
  async (t) => {
    const run = new Run()
    run.rtts = { [NEAR]: 5, [FAR]: 20 }
    run.used = NEAR
    run.race.offer([NEAR, FAR], 0)
    run.until(200_000)
    const rest = (address: string): number[] => run.times(address).filter((at) => at > 6_000)
    t.equal(run.times(NEAR).length, 25, 'its race is as long as ever')
    t.equal(rest(NEAR).length, 0)
    t.equal(rest(FAR).length, 6, 'each 30 s')
    t.equal(run.race.choose({ address: NEAR, rttMs: 5 }, run.now), undefined, 'and it stays')
    run.used = undefined
    run.until(240_000)
    t.ok(rest(NEAR).length >= 1, 'it is asked again when it does not answer')
    run.used = NEAR
    run.race.restart(run.now)
    run.until(run.now + 6_000)
    t.ok(run.times(NEAR).filter((at) => at >= 240_000).length >= 25, 'and in each new race')
  },
)
