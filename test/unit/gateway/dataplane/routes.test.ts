/**
 * gateway/dataplane/routes: when a host has one, how long one stays that lost its way, and that others' changes are
 * mended.
 */
import t from 'tap'
import { PeerRoutes } from '../../../../gateway/dataplane/routes.ts'
import { SimTime } from '../../../helpers/sim/network.ts'

function simulation() {
  const time = new SimTime()
  const applied: number[][] = []
  const routes = new PeerRoutes({
    scheduler: time.scheduler(() => 0),
    apply: (hostIds) => applied.push([...hostIds].sort((a, b) => a - b)),
  })
  routes.start()
  const now = () => applied.at(-1)
  return { time, applied, routes, now }
}

t.test('hosts that come up together are one look at the kernel', (t) => {
  const { time, applied, routes } = simulation()
  for (let hostId = 1; hostId <= 200; hostId++) routes.set(hostId)
  time.run(1)
  t.equal(applied.length, 1)
  t.equal(applied[0]?.length, 200)
  t.end()
})

t.test('a way that is back within three seconds never lost its route', (t) => {
  const { time, applied, routes, now } = simulation()
  routes.set(2)
  time.run(10)
  routes.clear(2)
  time.run(2_900)
  t.same(now(), [2])
  routes.set(2)
  time.run(4_000)
  t.ok(applied.every((ids) => ids.includes(2)))
  routes.clear(2)
  time.run(3_001)
  t.same(now(), [], 'gone: the kernel says so to everybody')
  t.end()
})

t.test('routes of an earlier run stay until it is known how their hosts are reached', (t) => {
  const { time, routes, now } = simulation()
  routes.adopt([2, 3])
  routes.set(4)
  time.run(10)
  t.same(now(), [2, 3, 4])
  routes.set(2)
  time.run(3_100)
  t.same(now(), [2, 4])
  t.end()
})

t.test('a host that has left has no route at once', (t) => {
  const { time, routes, now } = simulation()
  routes.set(2)
  time.run(10)
  routes.forget(2)
  time.run(10)
  t.same(now(), [])
  t.end()
})

t.test('what others deleted is put back, and a gateway that stops touches nothing any more', (t) => {
  const { time, applied, routes } = simulation()
  routes.set(2)
  time.run(20_100)
  t.equal(applied.length, 5, 'at once, and every 5 s')
  routes.clear(2)
  routes.close()
  time.run(60_000)
  t.equal(applied.length, 5)
  t.end()
})
