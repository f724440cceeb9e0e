/** The replay window against a model that remembers every counter. */
import fc from 'fast-check'
import t from 'tap'
import {
  REPLAY_WINDOW,
  ReplayWindow,
} from '../../../../../../../gateway/dataplane/p2p/udp/wire/replay-window.ts'

t.test('each counter is new once, and only inside the window', async () => {
  const near = fc.integer({ min: -10_000, max: 10_000 })
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 45 }), fc.array(near, { maxLength: 300 }), (start, steps) => {
      const window = new ReplayWindow()
      const seen = new Set<number>()
      let at = start
      let highest = -1
      for (const step of steps) {
        at = Math.max(0, at + step)
        const expected = at > highest - REPLAY_WINDOW && !seen.has(at)
        if (window.isNew(at) !== expected) return false
        if (!expected) continue
        window.accept(at)
        seen.add(at)
        highest = Math.max(highest, at)
      }
      return window.highest === highest
    }),
    { numRuns: 300 },
  )
})

t.test('the edge of the window', async (t) => {
  const window = new ReplayWindow()
  for (let i = 0; i < 20_000; i++) {
    if (!window.isNew(i)) t.fail(`${i} in order`)
    window.accept(i)
  }
  t.ok(Array.from({ length: 20_000 }, (_, i) => window.isNew(i)).every((isNew) => !isNew))
  const sparse = new ReplayWindow()
  sparse.accept(REPLAY_WINDOW)
  t.notOk(sparse.isNew(0), 'just outside')
  t.ok(sparse.isNew(1), 'just inside')
})

t.test('what is no counter', async (t) => {
  const window = new ReplayWindow()
  for (const counter of [-1, 2 ** 53, 2 ** 63, Number.NaN, Number.POSITIVE_INFINITY])
    t.notOk(window.isNew(counter))
})
