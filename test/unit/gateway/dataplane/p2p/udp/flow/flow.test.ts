/** Acknowledgements, credit and the choice of the form: pure, on a clock that the tests move. */
import fc from 'fast-check'
import t from 'tap'
import { Arrivals } from '../../../../../../../gateway/dataplane/p2p/udp/flow/arrivals.ts'
import { Credit } from '../../../../../../../gateway/dataplane/p2p/udp/flow/credit.ts'
import { Flood } from '../../../../../../../gateway/dataplane/p2p/udp/flow/flood.ts'
import { FormChooser } from '../../../../../../../gateway/dataplane/p2p/udp/flow/form.ts'
import { SentLog } from '../../../../../../../gateway/dataplane/p2p/udp/flow/sent-log.ts'
import { WindowedMinimum } from '../../../../../../../gateway/dataplane/p2p/udp/flow/windowed-minimum.ts'

t.test('loss is counted exactly, whatever is lost, in either form', async () => {
  const message = fc.record({
    parts: fc.integer({ min: 1, max: 44 }),
    isWhole: fc.boolean(),
    /** Which parts are lost, as bits. */
    lost: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 2 ** 30 })),
    isTold: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(message, { maxLength: 60 }), (messages) => {
      const log = new SentLog()
      const arrivals = new Arrivals()
      let [sent, lost, told] = [0, 0, 0]
      const tell = (now: number) => {
        const { id, received } = arrivals.snapshot()
        told += log.acknowledge(id, received, now)?.lost ?? 0
      }
      for (const [now, { parts, isWhole, lost: bits, isTold }] of messages.entries()) {
        const number = log.next(parts * 1_472, parts, now)
        sent += parts
        const there = Array.from({ length: parts }, (_, i) => i).filter((i) => (bits & (1 << (i % 30))) === 0)
        lost += parts - there.length
        if (!isWhole) for (const part of there) arrivals.record(number, part, parts)
        else {
          arrivals.parts(there.length)
          if (there.length === parts) arrivals.whole(number, 0)
        }
        if (isTold) tell(now)
      }
      // One more that arrives ends all that went before.
      const last = log.next(1, 1, 100)
      arrivals.record(last, 0, 1)
      tell(101)
      return told === lost && sent >= lost
    }),
  )
})

t.test(
  'parts of a later message that are there already are no gain, missing ones on their way no loss',
  async (t) => {
    const log = new SentLog()
    const arrivals = new Arrivals()
    for (let i = 0; i < 2; i++) log.next(14_720, 10, 0)
    arrivals.parts(10)
    // Four of the second message are in reassembly.
    arrivals.parts(4)
    arrivals.whole(1, 4)
    const first = arrivals.snapshot()
    t.same(first, { id: 1, received: 10 })
    t.match(log.acknowledge(first.id, first.received, 3), { datagrams: 10, lost: 0, bytes: 14_720, rttMs: 3 })
    arrivals.parts(6)
    arrivals.whole(2, 0)
    const second = arrivals.snapshot()
    t.match(log.acknowledge(second.id, second.received, 4), { datagrams: 10, lost: 0 })
  },
)

t.test('acknowledgements that say nothing new, or what was never sent', async (t) => {
  const log = new SentLog()
  for (let i = 0; i < 10; i++) log.next(100, 1, i)
  t.match(log.acknowledge(8, 8, 20), { datagrams: 8, lost: 0, rttMs: 13 })
  t.equal(log.acknowledge(8, 8, 21), undefined, 'again')
  t.equal(log.acknowledge(3, 3, 21), undefined, 'older')
  t.equal(log.acknowledge(11, 11, 21), undefined, 'not sent')
  t.equal(log.acknowledge(0x8000, 1, 21), undefined)
})

t.test('totals wrap at 2^32, numbers at 2^16', async (t) => {
  const log = new SentLog()
  let lost = 0
  let bytes = 0
  for (let i = 1; i <= 200_000; i++) {
    log.next(60_000, 44, i)
    // Every 100th message is acknowledged; 1 datagram in each is lost.
    if (i % 100 !== 0) continue
    const news = log.acknowledge(i & 0xffff, (i * 43) >>> 0, i)
    lost += news?.lost ?? 0
    bytes += news?.bytes ?? 0
  }
  t.equal(lost, 200_000)
  t.equal(bytes, 200_000 * 60_000)
})

t.test('a log that is full is skipped, and the next acknowledgement puts the loss right', async (t) => {
  const log = new SentLog()
  while (!log.isFull) log.next(100, 2, 0)
  const sent = log.number
  log.skip()
  t.notOk(log.isFull)
  log.next(100, 2, 1)
  t.match(log.acknowledge((sent + 1) & 0xffff, 2, 2), { datagrams: 2, lost: sent * 2 })
})

t.test('a full log has room for the packets that were read already', async (t) => {
  const log = new SentLog()
  while (!log.isFull) log.next(100, 1, 0)
  const sent = log.number
  for (let i = 0; i < 3; i++) log.next(100, 1, 0)
  t.match(log.acknowledge(sent & 0xffff, sent, 1), { datagrams: sent, lost: 0 })
})

t.test('a flood: 30 single datagrams of full size in a millisecond', async (t) => {
  const flood = new Flood()
  const at = (now: number, packets: number, bytes = 1_438) => {
    for (let i = 0; i < packets; i++) flood.add(bytes)
    return flood.isOn(now)
  }
  t.notOk(at(0.5, 100), 'not before the millisecond is over')
  t.ok(at(1, 0))
  t.ok(at(1.5, 0), 'until the next one is over')
  t.notOk(at(2, 29))
  t.notOk(at(3, 100, 62), 'acknowledgements')
  t.notOk(at(4, 100, 60_000), 'super-packets')
  t.notOk(at(104, 100), 'after a pause')
})

t.test('a log that grows while much is out keeps what an acknowledgement may name', async (t) => {
  const log = new SentLog()
  for (let i = 1; i <= 50; i++) log.next(100, 1, i)
  t.match(log.acknowledge(50, 50, 60), { datagrams: 50, lost: 0 })
  for (let i = 51; i <= 1_000; i++) log.next(1_000, 2, i)
  t.match(log.acknowledge(51, 52, 1_001), { bytes: 1_000, datagrams: 2, lost: 0, rttMs: 950 }, 'the oldest')
  t.match(log.acknowledge(700, 1_350, 1_001), { bytes: 649_000, datagrams: 1_298, lost: 0, rttMs: 301 })
  t.match(log.acknowledge(1_000, 1_940, 1_001), { bytes: 300_000, datagrams: 600, lost: 10, rttMs: 1 })
})

t.test('when to acknowledge', async (t) => {
  const arrivals = new Arrivals()
  arrivals.count(1_000_000, 0)
  t.notOk(arrivals.isDue(1_000, true), 'no message has ended')
  const message = (number: number, bytes: number, now: number) => {
    arrivals.record(number, 0, 1)
    arrivals.count(bytes, now)
  }
  message(1, 10, 1_000)
  t.ok(arrivals.isDue(1_000, false), 'by amount')
  arrivals.snapshot()
  message(2, 1_000, 1_001)
  t.notOk(arrivals.isDue(1_100, true), 'little')
  t.notOk(arrivals.isDue(1_300, false), 'while there is more to receive')
  t.ok(arrivals.isDue(1_300, true), 'seldom')
  message(3, 64 << 10, 1_301)
  t.ok(arrivals.isDue(1_301, true), '64 KB, and nothing more is there')
})

t.test('credit: 256 KB at first, twice what came back in a round trip and 10 ms, 4 MB at most', async (t) => {
  const credit = new Credit()
  credit.sent(256 << 10, 0)
  t.notOk(credit.isOpen(0))
  credit.acked(1, 1, 0.5)
  t.ok(credit.isOpen(1))
  for (let now = 1; now < 100; now++) {
    credit.sent(1 << 20, now)
    credit.acked(1 << 20, now, 0.5)
  }
  t.equal(credit.window, 4 << 20)
  for (let now = 100; now < 200; now += 20) {
    credit.sent(10_000, now)
    credit.acked(10_000, now, 0.5)
  }
  t.equal(credit.window, 256 << 10)
})

t.test('credit: without news what is out counts as lost after 20 ms and two round trips', async (t) => {
  const credit = new Credit()
  credit.sent(1_000, 0)
  credit.acked(1_000, 8, 8)
  credit.sent(1 << 20, 10)
  t.equal(credit.waitMs(10), 36)
  t.notOk(credit.isOpen(45))
  t.equal(credit.expired, 0)
  t.ok(credit.isOpen(46))
  t.equal(credit.outstanding, 0)
  t.equal(credit.expired, 1)
  credit.acked(1 << 20, 50, 8)
  t.equal(credit.outstanding, 0, 'and when they arrive after all, nothing is below zero')
})

/** Feeds a chooser with 1 MB and 700 datagrams each ms of `ms`, of which some are lost. */
function feed(
  chooser: FormChooser,
  from: number,
  ms: number,
  lossRate: number,
  options: { rtt?: number; share?: number } = {},
): number {
  const { rtt = 0.5, share = 1 } = options
  let owed = 0
  for (let now = from; now < from + ms; now++) {
    owed += 700 * share * lossRate
    const lost = Math.floor(owed)
    owed -= lost
    chooser.observe(1e6 * share, 700 * share, lost, rtt, now)
  }
  return from + ms
}

t.test('form: record at first, whole when the path is clean and fast', async (t) => {
  const chooser = new FormChooser()
  t.match(chooser, { form: 'record', reason: 'rate' })
  feed(chooser, 10_000, 300, 0)
  t.match(chooser, { form: 'whole', reason: 'clean and fast' })
})

t.test('form: loss above 0.2 % is counted; clean again means 2 s', async (t) => {
  const chooser = new FormChooser()
  let now = feed(chooser, 10_000, 300, 0)
  now = feed(chooser, now, 1_000, 0.0015)
  t.match(chooser, { form: 'whole' }, '0.15 % stays')
  now = feed(chooser, now, 60, 0.003)
  t.match(chooser, { form: 'record', reason: 'loss' })
  now = feed(chooser, now, 1_900, 0)
  t.match(chooser, { form: 'record' }, 'not yet')
  now = feed(chooser, now, 300, 0)
  t.match(chooser, { form: 'whole' })
  now = feed(chooser, now, 3, 0.03)
  t.match(chooser, { form: 'record' }, '3 % is seen at once')
  now = feed(chooser, now, 5_000, 0.001)
  t.match(chooser, { form: 'record' }, '0.1 % is not clean enough to go back')
})

t.test('form: a far path and a slow one are record, with hysteresis', async (t) => {
  const chooser = new FormChooser()
  let now = feed(chooser, 10_000, 300, 0)
  now = feed(chooser, now, 10, 0, { rtt: 4.5 })
  t.match(chooser, { form: 'whole' })
  now = feed(chooser, now, 10, 0, { rtt: 5.5 })
  t.match(chooser, { form: 'record', reason: 'round trip' })
  now = feed(chooser, now, 300, 0, { rtt: 4.5 })
  t.match(chooser, { form: 'record' })
  now = feed(chooser, now, 300, 0, { rtt: 3.5 })
  t.match(chooser, { form: 'whole' })
  now = feed(chooser, now, 500, 0, { share: 0.03 })
  t.match(chooser, { form: 'whole' }, 'slow for half a second')
  now = feed(chooser, now, 2_000, 0, { share: 0.03 })
  t.match(chooser, { form: 'record', reason: 'rate' })
})

t.test('form: fixed by its owner', async (t) => {
  const chooser = new FormChooser()
  chooser.fix('whole')
  t.match(chooser, { form: 'whole', reason: 'fixed' })
  feed(chooser, 0, 3_000, 0.1)
  t.equal(chooser.form, 'whole')
  chooser.fix(undefined)
  t.match(chooser, { form: 'record', reason: 'loss' })
})

t.test('form: with a peer that asks for lost parts, whole lives with loss, but not with much', async (t) => {
  const chooser = new FormChooser()
  chooser.canResend = true
  let now = feed(chooser, 10_000, 2_500, 0.01, { share: 0.03 })
  t.match(chooser, { form: 'whole', reason: 'resends', mayResend: true }, 'on a slow path as well')
  now = feed(chooser, now, 300, 0.01, { rtt: 5.5 })
  t.match(chooser, { form: 'record', reason: 'round trip', mayResend: false })
  now = feed(chooser, now, 300, 0.02)
  t.match(chooser, { form: 'whole', mayResend: true })
  now = feed(chooser, now, 10, 0.1)
  t.match(chooser, { form: 'record', reason: 'loss', mayResend: false })
  now = feed(chooser, now, 9_000, 0.01)
  t.match(chooser, { form: 'record', mayResend: false }, 'the TCP inside shall see it for ten seconds')
  now = feed(chooser, now, 1_500, 0.01)
  t.match(chooser, { form: 'whole', mayResend: true })
})

t.test('the least round trip is forgotten after two seconds at most', async (t) => {
  const least = new WindowedMinimum()
  t.equal(least.value, undefined)
  least.add(3, 5_000)
  least.add(1, 5_100)
  least.add(7, 5_900)
  t.equal(least.value, 1)
  least.add(7, 6_200)
  t.equal(least.value, 1)
  least.add(7, 7_300)
  t.equal(least.value, 7)
  least.add(9, 20_000)
  t.equal(least.value, 9, 'nothing of what is long past')
})
