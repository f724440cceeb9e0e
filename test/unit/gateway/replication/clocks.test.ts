/**
 * gateway/replication/clocks: whose wall clock is wrong is said, by those whose clocks are right and by the one that is
 * wrong.
 */
import t from 'tap'
import { SimNetwork, SimTime, seeded } from '../../../helpers/sim/network.ts'
import { emptyDisk, SimHost, type SimMembers, simKeys } from '../../../helpers/sim/sim-host.ts'

const HOUR = 3_600_000

/** Hosts 1, 2, … with clocks that are off by so much. */
function simulation(...clocks: number[]) {
  const time = new SimTime()
  const network = new SimNetwork(time, seeded(1), { isSerialized: true, delayMs: 20 })
  const keys = clocks.map(() => simKeys())
  const members: SimMembers = new Map(keys.map(({ keyId }, i) => [i + 1, keyId]))
  const hosts = clocks.map(
    (clockMs, i) => new SimHost(network, members, i + 1, emptyDisk(), { clockMs, keys: keys[i]! }),
  )
  const said = () =>
    hosts.map((h) => h.replication.alarms().map(({ hostId, reason }) => `${hostId}: ${reason}`))
  return { time, said, hosts }
}

t.test('the one of three that is wrong is named by all, itself included, once', (t) => {
  const { time, said, hosts } = simulation(0, 20_000, -2 * HOUR)
  for (const host of hosts) host.follow()
  time.run(5_000)
  t.same(said(), [[], [], []], 'a clock that was just started is put right by itself')
  time.run(120_000)
  t.same(said(), [
    ['3: its clock is 2 hours behind that of host 1'],
    ['3: its clock is 2 hours behind that of host 2'],
    ['3: its clock is 2 hours behind those of most other hosts'],
  ])
  for (const { seen } of hosts)
    t.match(
      seen.filter((e) => e.type === 'alarm'),
      [{ hostId: 3, next: /timedatectl set-ntp true/ }],
    )
  t.end()
})

t.test('of two nobody can tell', (t) => {
  const { time, said } = simulation(0, 7 * 60_000)
  time.run(60_000)
  t.same(said(), [
    ['2: its clock is 7 minutes ahead of that of host 1'],
    ['1: its clock is 7 minutes behind that of host 2'],
  ])
  t.end()
})

t.test('minutes do no harm, nor does a host of an earlier version, which says nothing', (t) => {
  const { time, said, hosts } = simulation(-4 * 60_000, 0, HOUR)
  for (const host of hosts)
    host.tamper = (from, message) => {
      const { now, ...rest } = message
      return from === 3 || host.hostId === 3 ? rest : message
    }
  time.run(120_000)
  t.same(said(), [[], [], []])
  t.end()
})
