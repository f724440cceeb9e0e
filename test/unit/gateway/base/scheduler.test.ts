/** gateway/base/scheduler: what runs again and again, in virtual time. */
import t from 'tap'
import { SimTime } from '../../../helpers/sim/network.ts'

t.test('a task runs again each time after its wait, until it is ended', (t) => {
  const time = new SimTime()
  const at: number[] = []
  const end = time.scheduler(() => 0).every(100, () => at.push(time.now))
  time.run(350)
  end()
  time.run(1_000)
  t.same(at, [100, 200, 300])
  t.end()
})

t.test('a task may end itself', (t) => {
  const time = new SimTime()
  let runs = 0
  const end = time
    .scheduler(() => 0)
    .every(10, () => {
      if (++runs === 2) end()
    })
  time.run(100)
  t.equal(runs, 2)
  t.end()
})

t.test('waits are jittered each by its own, within a fifth', (t) => {
  const time = new SimTime()
  const at: number[] = []
  const randoms = [0, 1, 0.5]
  time
    .scheduler(() => 0)
    .every(
      100,
      () => at.push(time.now),
      () => randoms.shift() ?? 0.5,
    )
  time.run(300)
  t.same(at, [80, 200, 300])
  t.end()
})
