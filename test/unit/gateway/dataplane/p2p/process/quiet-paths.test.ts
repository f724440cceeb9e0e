/** Paths without packets: what their probes cost, with each version of a peer, and what is noticed all the same. */
import t from 'tap'
import { attempt, introduce, type SimHost, SimWorld } from '../../../../../helpers/sim/p2p-world.ts'

/** After a minute without packets a path is probed every 5 s. */
const QUIET_MS = 80_000

interface Pair {
  readonly world: SimWorld
  readonly a: SimHost
  readonly b: SimHost
}

/** @param isBefore whether each host is of a version from before questions */
function quiet(isBefore: readonly [boolean, boolean] = [false, false]): Pair {
  const world = new SimWorld()
  const a = world.host(1, ['10.0.0.1:7443'], 10_000_000)
  const b = world.host(2, ['10.0.0.2:7443'], 10_000_000)
  a.isBeforeQuestions = isBefore[0]
  b.isBeforeQuestions = isBefore[1]
  introduce(a, b)
  world.until('proven', () => a.view(2).isProven && b.view(1).isProven)
  world.run(1_000)
  for (const [host, peer] of [
    [a, 2],
    [b, 1],
  ] as const) {
    host.order({ type: 'gatewayPath', hostId: peer, isUp: true })
    host.order({ type: 'promote', hostId: peer, attempt, generation: 1 })
  }
  world.run(QUIET_MS)
  return { world, a, b }
}

function minuteOf({ world, a, b }: Pair): { datagrams: number; lines: number } {
  const [sent, since] = [a.sent + b.sent, world.now]
  world.run(60_000)
  return { datagrams: a.sent + b.sent - sent, lines: a.heard('state', since).length }
}

t.test('three datagrams each 5 s measure the round trips of both hosts', async (t) => {
  const pair = quiet()
  const { datagrams, lines } = minuteOf(pair)
  t.comment(`${datagrams} datagrams and ${lines} lines in a minute`)
  t.ok(datagrams <= 13 * 3, `${datagrams} datagrams`)
  t.ok(lines <= 2, `${lines} lines`)
  for (const view of [pair.a.view(2), pair.b.view(1)]) {
    t.equal(view.lossRate, 0)
    t.equal(view.rttMs, 2)
    t.ok(view.isProven && view.isFullSize)
    t.ok(view.probes.answered >= view.probes.sent - 1, JSON.stringify(view.probes))
  }
})

t.test(
  'with a version before questions it takes four, and no probe goes where it is not understood',
  async (t) => {
    for (const isBefore of [
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      const pair = quiet(isBefore)
      const { datagrams } = minuteOf(pair)
      t.ok(datagrams <= 13 * 4, `${isBefore}: ${datagrams} datagrams`)
      for (const view of [pair.a.view(2), pair.b.view(1)]) {
        t.equal(view.lossRate, 0)
        t.ok(view.isProven && view.isFullSize)
      }
    }
  },
)

t.test('a path that carries full-size datagrams no more, one way, is found out, and goes on', async (t) => {
  for (const blocked of [1, 2]) {
    const { world, a, b } = quiet()
    const [sender, receiverId] = blocked === 2 ? [a, 2] : [b, 1]
    world.loses = ({ bytes, to }) => bytes > 1_400 && to === `10.0.0.${blocked}:7443`
    const since = world.now
    const ms = world.until('it knows', () => sender.view(receiverId).mtu < 1_500)
    t.ok(ms <= 12_000, `${ms} ms`)
    world.run(30_000)
    t.equal(sender.view(receiverId).mtu, 1_400)
    t.ok(a.routes.has(2) && b.routes.has(1), 'both keep their routes')
    t.same([...a.heard('demoted', since), ...b.heard('demoted', since)], [])
  }
})

t.test(
  'a path that is blocked one way is left by both hosts within 6 s, and at once when packets come',
  async (t) => {
    for (const blocked of [1, 2]) {
      const { world, a, b } = quiet()
      world.loses = ({ to }) => to === `10.0.0.${blocked}:7443`
      const ms = world.until('both left it', () => a.routes.size + b.routes.size === 0)
      t.ok(ms <= 6_000, `${ms} ms`)
    }
    const { world, a } = quiet()
    world.loses = () => true
    const peer = a.peers.get(2)
    if (peer === undefined) throw new Error('no peer')
    peer.counters.txBytes += 100
    a.sessions.look({ takeNews: () => [peer] })
    const ms = world.until('it left', () => a.routes.size === 0)
    t.ok(ms <= 600, `${ms} ms after the first packet`)
  },
)

t.test('an answer to an unanswered probe leaves no timer behind', async (t) => {
  const { world, a } = quiet()
  const wakes: number[] = []
  let last = a.sessions.nextAt
  for (const end = world.now + 20_000; world.now < end; ) {
    world.run(1)
    if (a.sessions.nextAt !== last && last <= world.now) wakes.push(last)
    last = a.sessions.nextAt
  }
  // Its own probe or the peer's each 5 s, and each second a look at what changed.
  t.ok(wakes.length <= 20 + 5, `${wakes.length} wake-ups by timers in 20 s`)
})
