/** Letters in a cluster of 254: none where all reach each other, and a bounded number where half are out of reach. */
import t from 'tap'
import { silentLog } from '../../../../../../core/log.ts'
import type { MemberSignallingDeps } from '../../../../../../gateway/dataplane/p2p/letters/member-signalling.ts'
import { MemberSignalling } from '../../../../../../gateway/dataplane/p2p/letters/member-signalling.ts'
import { identityOf } from '../../../../../helpers/gateway/gossip-world.ts'
import { LetterSimulation } from '../../../../../helpers/gateway/letter-simulation.ts'
import { SimTime, seeded } from '../../../../../helpers/sim/network.ts'

const MEMBERS = 253
const WALL = 1_795_000_000_000
const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
/** To each host that is silent: after 1, 5, 15, 30, 60, 120 and 300 s, and then every 300 s. */
const CALLS_IN_20_MIN = 10
/** Three members get a call that none of them leads to, where no one knows the host. */
const FAN_OUT = 3

interface Gateway {
  readonly memberSignalling: MemberSignalling
  readonly time: SimTime
  readonly counts: Map<string, number>
  sends: number
  /** Tasks that were made less those that ran or were called off. */
  timers: number
}

/** Host 254 among 253 members, of which those up to `lastLinked` have a link to it. */
function gateway(lastLinked: number, part: Partial<MemberSignallingDeps> = {}): Gateway {
  const time = new SimTime()
  const me = identityOf(254)
  const members = Array.from({ length: MEMBERS }, (_, i) => i + 1)
  const spki = new Map(members.map((id) => [id, identityOf(id).spki]))
  const linked = members.filter((id) => id <= lastLinked)
  const scheduler = time.scheduler(() => WALL)
  const made: Gateway = {
    time,
    counts: new Map(),
    sends: 0,
    timers: 0,
    memberSignalling: new MemberSignalling({
      hostId: 254,
      enabled: true,
      usesUdp: true,
      scheduler: {
        ...scheduler,
        every(everyMs, task, random) {
          made.timers++
          const stop = scheduler.every(everyMs, task, random)
          return () => {
            made.timers--
            stop()
          }
        },
        after(delayMs, task) {
          made.timers++
          return scheduler.after(delayMs, () => {
            made.timers--
            task()
          })
        },
      },
      random: seeded(1),
      log: silentLog,
      identity: () => me.identity,
      validTo: () => WALL + HOUR_MS,
      spkiOf: (id) => spki.get(id),
      members: () => members,
      isConnected: (id) => id <= lastLinked,
      linked: () => linked,
      takesLetters: () => true,
      leadingTo: (id) => (id <= lastLinked ? linked.filter((member) => member !== id) : []),
      send: () => {
        made.sends++
        return true
      },
      count: (what, reason) => {
        const name = reason === undefined ? what : `${what} ${reason}`
        made.counts.set(name, (made.counts.get(name) ?? 0) + 1)
      },
      ...part,
    }),
  }
  made.memberSignalling.start()
  return made
}

const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1_000
}

t.test('253 members that reach each other: no call, no letter, one timer, little CPU', async (t) => {
  const made = gateway(MEMBERS)
  made.time.run(60_000)
  const before = cpuMs()
  made.time.run(HOUR_MS)
  const share = (cpuMs() - before) / HOUR_MS
  t.equal(made.sends, 0)
  t.equal(made.counts.size, 0)
  t.equal(made.timers, 1)
  t.comment(`${(share * 100).toFixed(3)} % of a core`)
  // The work of an hour in one go, so that a busy machine weighs little.
  t.ok(share < 0.005, `${(share * 100).toFixed(3)} % of a core`)
  made.memberSignalling.stop()
  t.equal(made.timers, 0)
})

t.test('253 members, half of them silent: the calls of 20 min are bounded', async (t) => {
  const made = gateway(126)
  const silent = MEMBERS - 126
  made.time.run(MINUTE_MS)
  const first = made.sends
  const before = cpuMs()
  made.time.run(19 * MINUTE_MS)
  const share = (cpuMs() - before) / (19 * MINUTE_MS)
  const calls = made.counts.get('sent') ?? 0
  const later = ((made.sends - first) / (19 * 60)).toFixed(1)
  t.comment(
    `${first} letters in the first minute, ${later} a second after it, ${(share * 100).toFixed(3)} % of a core`,
  )
  t.ok(calls >= silent * (CALLS_IN_20_MIN - 2) && calls <= silent * CALLS_IN_20_MIN, `${calls} calls`)
  t.ok(made.sends <= calls * FAN_OUT, `${made.sends} letters`)
  t.ok(first <= FAN_OUT * (64 + 8 * 60), `${first} letters in the first minute`)
  t.same([...made.counts.keys()], ['sent'], 'none is refused')
  t.equal(made.timers, 1)
})

t.test('a member that comes and goes all the time brings no storm of calls', async (t) => {
  const made = gateway(126)
  made.time.run(5 * MINUTE_MS)
  const before = made.counts.get('sent') ?? 0
  // Members report a link to host 200 and lose it again, each second.
  for (let i = 0; i < 300; i++) {
    made.memberSignalling.wayFound(200)
    made.time.run(1_000)
  }
  const calls = (made.counts.get('sent') ?? 0) - before
  t.comment(`${calls} calls in five minutes`)
  // At three returns and at one in a minute, and each 300 s anyway.
  t.ok(calls <= (MEMBERS - 126) * (3 + 5 + 1), `${calls} calls`)
  t.notOk(made.counts.has('refused too many'))
})

t.test('a cluster of 16, half of them silent: what passes over all links', async (t) => {
  const hosts = Array.from({ length: 8 }, (_, i) => i + 1)
  const mesh = hosts.flatMap((a) => hosts.filter((b) => b > a).map((b) => [a, b] as const))
  const world = new LetterSimulation(16, mesh, (hostId) => ({ enabled: hostId <= 8 }))
  world.time.run(10 * MINUTE_MS)
  const letters = (): number => [...world.hosts.values()].reduce((sum, host) => sum + host.letters.length, 0)
  const before = letters()
  world.time.run(10 * MINUTE_MS)
  const [calls, perCall] = [8 * 8 * 2, FAN_OUT + FAN_OUT * FAN_OUT]
  t.comment(`${letters() - before} letters in ten minutes, ${calls} calls`)
  t.ok(letters() - before <= calls * perCall * 1.5, `${letters() - before} letters`)
})
