/** gateway/dataplane/p2p/letters/hello: who is called when, and when letters are the way. */
import t from 'tap'
import { Hello } from '../../../../../../gateway/dataplane/p2p/letters/hello.ts'

t.test('a host alone is called ever more seldom, and at once when another member is met', async (t) => {
  const hello = new Hello()
  const calls: number[] = []
  const run = (from: number, to: number): void => {
    for (let now = from; now < to; now += 100) {
      hello.look(true, now)
      if (!hello.isDue(now)) continue
      calls.push(now)
      hello.called(now)
    }
  }
  run(0, 60_000)
  t.same(calls, [700, 1_700, 6_700, 21_700, 51_700])
  calls.length = 0
  hello.afresh(60_000)
  run(60_000, 62_000)
  t.same(calls, [60_700, 61_700])
  calls.length = 0
  hello.heard(62_000)
  hello.afresh(63_000)
  t.ok(hello.isOpen(63_000), 'one that answers stays')
  run(62_000, 130_000)
  t.same(calls, [92_000, 122_000])
  t.ok(hello.isOpen(161_000))
  t.notOk(hello.isOpen(163_000), 'three calls without an answer')
})

t.test('links that come and go do not have a silent host called each time, an order does', async (t) => {
  const hello = new Hello()
  let calls = 0
  const second = (now: number, isOrdered = false): void => {
    hello.afresh(now, isOrdered)
    for (let at = now; at < now + 1_000; at += 100) {
      hello.look(true, at)
      if (!hello.isDue(at)) continue
      calls++
      hello.called(at)
    }
  }
  for (let now = 0; now < 60_000; now += 1_000) second(now)
  t.ok(calls < 15, `${calls} calls in a minute`)
  calls = 0
  second(60_000, true)
  t.equal(calls, 1)
})

t.test('a link or a relay ends it, and a try that began has its time', async (t) => {
  const hello = new Hello()
  hello.look(false, 0)
  hello.heard(100)
  t.notOk(hello.isDue(5_000))
  t.notOk(hello.isOpen(5_000), 'a host with a link')
  hello.look(true, 5_000)
  t.notOk(hello.isOpen(5_600), 'a link or a relay may be about to come')
  t.ok(hello.isOpen(5_700))
  hello.look(false, 6_000)
  t.ok(hello.isOpen(20_000))
  t.notOk(hello.isOpen(21_000))
})
