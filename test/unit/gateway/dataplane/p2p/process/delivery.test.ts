/** What a session says of the packets that it sent: on counters and a clock that the tests move. */
import t from 'tap'
import { Delivery } from '../../../../../../gateway/dataplane/p2p/process/delivery.ts'

const zero = { txDatagrams: 0, txAcked: 0, txLost: 0 }

t.test('loss of the last seconds, by acknowledgements', async (t) => {
  const delivery = new Delivery(zero, 0)
  const counts = { ...zero }
  const pass = (seconds: number, lost: number) => {
    for (let i = 0; i < seconds; i++) {
      now += 1_000
      counts.txDatagrams += 100
      counts.txAcked += 100
      counts.txLost += lost
      delivery.watch(counts, now)
    }
    return delivery.view(now).dataLossRate ?? Number.NaN
  }
  let now = 0
  t.equal(pass(1, 0), 0)
  t.equal(pass(1, 100).toFixed(2), '0.56', 'the last second weighs most')
  t.ok(pass(10, 100) > 0.9)
  t.ok(pass(20, 0) < 0.02, 'is forgotten')
})

t.test('a second with many datagrams does not hide those after it', async (t) => {
  const delivery = new Delivery(zero, 0)
  const counts = { txDatagrams: 400_000, txAcked: 400_000, txLost: 0 }
  delivery.watch(counts, 1_000)
  for (let now = 2_000; now <= 3_000; now += 1_000) {
    counts.txDatagrams += 100
    counts.txAcked += 100
    counts.txLost += 30
    delivery.watch(counts, now)
  }
  t.ok((delivery.view(3_000).dataLossRate ?? 0) > 0.15, 'a third of 1 Mbit/s after 4 Gbit/s')
})

t.test('few datagrams say nothing of loss', async (t) => {
  const delivery = new Delivery(zero, 0)
  delivery.watch({ txDatagrams: 19, txAcked: 19, txLost: 19 }, 1_000)
  t.same(delivery.view(1_000), {})
})

t.test('sends without an acknowledgement: each half of a second counts once, until one comes', async (t) => {
  const delivery = new Delivery({ txDatagrams: 5, txAcked: 0, txLost: 0 }, 0)
  delivery.watch({ txDatagrams: 5, txAcked: 0, txLost: 0 }, 400)
  t.same(delivery.view(400), {}, 'what was sent before does not count')
  // A TCP connection that finds no answer tries again after 0.2, 0.6, 1.4 and 3 s.
  for (const [i, at] of [1_000, 1_200, 1_600, 2_400, 4_000].entries())
    delivery.watch({ txDatagrams: 6 + i, txAcked: 0, txLost: 0 }, at)
  t.same(delivery.view(4_100), { unacknowledged: { times: 4, forMs: 3_100 } })
  delivery.watch({ txDatagrams: 11, txAcked: 6, txLost: 0 }, 4_200)
  t.same(delivery.view(4_200), {})
})
