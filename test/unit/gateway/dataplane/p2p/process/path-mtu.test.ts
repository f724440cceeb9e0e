/** The search of the path MTU, over paths that carry so much and no more. */
import t from 'tap'
import { PathMtu } from '../../../../../../gateway/dataplane/p2p/process/path-mtu.ts'

const PATIENCE = 100

/** Searches over a path that carries `limit` bytes; `link` is this host's own, whose kernel refuses more. */
class Run {
  now = 0
  readonly mtu: PathMtu
  readonly sent: { at: number; bytes: number }[] = []
  limit: number
  readonly #link: number

  constructor(limit: number, options: { isLan?: boolean; link?: number } = {}) {
    this.limit = limit
    this.#link = options.link ?? 65_535
    this.mtu = new PathMtu(options.isLan ?? false)
    this.mtu.open()
  }

  until(end: number): this {
    for (; this.now < end; this.now += 5) {
      if (this.now < this.mtu.nextAt(this.now)) continue
      const probe = this.mtu.tick(this.now, PATIENCE)
      if (probe === undefined) continue
      this.sent.push({ at: this.now, bytes: probe.bytes })
      if (probe.bytes > this.#link) this.mtu.refused(probe.bytes, this.now)
      else if (probe.bytes <= this.limit) this.mtu.answered(probe.seq, this.now)
    }
    return this
  }
}

t.test('the search', async (t) => {
  const cases: [name: string, limit: number, options: { isLan?: boolean; link?: number }, found: number][] = [
    ['Ethernet', 1_500, {}, 1_500],
    ['PPPoE', 1_492, {}, 1_492],
    ['a tunnel of a provider', 1_420, {}, 1_400],
    ['nothing more than 1,280', 1_280, {}, 1_280],
    ['jumbo frames in a LAN', 9_000, { isLan: true }, 9_000],
    ['jumbo frames are not tried elsewhere', 9_000, {}, 1_500],
    ['a LAN without them', 1_500, { isLan: true }, 1_500],
    ['this host’s own link is smaller', 9_000, { isLan: true, link: 1_500 }, 1_500],
  ]
  for (const [name, limit, options, found] of cases)
    t.equal(new Run(limit, options).until(2_000).mtu.bytes, found, name)
})

t.test('before the path has answered nothing is searched', async (t) => {
  const mtu = new PathMtu(false)
  t.equal(mtu.tick(0, PATIENCE), undefined)
  t.equal(mtu.nextAt(0), Number.POSITIVE_INFINITY)
})

t.test('a size counts when it is answered twice', async (t) => {
  const mtu = new PathMtu(false)
  mtu.open()
  const first = mtu.tick(0, PATIENCE)
  t.notOk(mtu.answered(first?.seq ?? -1, 1))
  t.notOk(mtu.answered(first?.seq ?? -1, 1), 'one answer counts once')
  t.equal(mtu.bytes, 1_280)
  const second = mtu.tick(60, PATIENCE)
  t.ok(mtu.answered(second?.seq ?? -1, 61))
  t.equal(mtu.bytes, 1_400)
})

t.test('a size that does not pass is tried three times, and again in ten minutes', async (t) => {
  const run = new Run(1_400).until(599_000)
  t.equal(run.sent.filter(({ bytes }) => bytes === 1_492).length, 3)
  t.notOk(
    run.sent.some(({ bytes }) => bytes === 1_500),
    'what is larger still is not tried',
  )
  run.limit = 1_500
  t.equal(run.until(602_000).mtu.bytes, 1_500)
})

t.test('EMSGSIZE: down one step at once', async (t) => {
  const { mtu, now } = new Run(1_500).until(2_000)
  t.ok(mtu.refused(1_500, now))
  t.equal(mtu.bytes, 1_492)
  t.equal(mtu.tick(now, PATIENCE), undefined, 'what was refused is not tried again')
  t.notOk(new PathMtu(false).refused(1_280, 0), 'there is nothing below the base')
})

t.test('full-size datagrams are lost: down to the base, then what lies between', async (t) => {
  const run = new Run(1_500).until(2_000)
  run.limit = 1_450
  t.ok(run.mtu.blackHole(run.now))
  t.equal(run.mtu.bytes, 1_280)
  t.equal(run.until(run.now + 1_000).mtu.bytes, 1_400)
  t.notOk(
    run.sent.some(({ at, bytes }) => at >= 2_000 && bytes === 1_500),
    'not what has just failed',
  )
  run.limit = 1_500
  t.equal(run.until(610_000).mtu.bytes, 1_500, 'in ten minutes')
  t.notOk(new PathMtu(false).blackHole(0), 'not even the base passes')
})

t.test('another path is searched from the base', async (t) => {
  const run = new Run(1_500).until(2_000)
  run.mtu.restart(false)
  t.equal(run.mtu.bytes, 1_280)
  run.mtu.open()
  t.equal(run.until(4_000).mtu.bytes, 1_500)
})

t.test('nothing to do is never due now', async (t) => {
  const run = new Run(1_300).until(5_000)
  const count = run.sent.length
  t.ok(run.mtu.nextAt(run.now) > run.now + 100_000)
  t.equal(run.mtu.tick(run.now, PATIENCE), undefined)
  t.equal(run.sent.length, count)
})
