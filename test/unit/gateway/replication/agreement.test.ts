/** gateway/replication: whatever happens, hosts that live and see each other end with what each owner holds. */
import fc from 'fast-check'
import t from 'tap'
import { attachmentKey } from '../../../../core/attachment.ts'
import { SimNetwork, SimTime, seeded } from '../../../helpers/sim/network.ts'
import {
  agree,
  container,
  copyOf,
  emptyDisk,
  type SimDisk,
  SimHost,
  type SimKeys,
  type SimMembers,
  simKeys,
  tableOf,
} from '../../../helpers/sim/sim-host.ts'

const HOSTS = [1, 2, 3, 4]
/** Made once: 100 runs need the same ones. */
const KEYS = new Map<number, SimKeys>(HOSTS.map((id) => [id, simKeys()]))

const hostId = fc.constantFrom(...HOSTS)
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('toggle' as const), hostId, n: fc.integer({ min: 10, max: 14 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 6000 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('split' as const), side: fc.subarray(HOSTS) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reset' as const), hostId, other: hostId }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('snapshot' as const), hostId }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('restart' as const),
      hostId,
      disk: fc.constantFrom('kept' as const, 'lost' as const, 'old' as const),
      downMs: fc.integer({ min: 0, max: 4000 }),
      clockMs: fc.constantFrom(0, 3_600_000, -3_600_000, -1_796_000_000_000),
    }),
  },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

class Simulation {
  readonly time = new SimTime()
  readonly network: SimNetwork
  readonly hosts = new Map<number, SimHost>()
  readonly #members: SimMembers = new Map(HOSTS.map((id) => [id, KEYS.get(id)!.keyId]))
  readonly #snapshots = new Map<number, SimDisk>()

  constructor(seed: number, loss: number) {
    this.network = new SimNetwork(this.time, seeded(seed), { delayMs: 5, loss, isSerialized: true })
    for (const id of HOSTS) this.boot(id, emptyDisk(), 0)
  }

  boot(id: number, disk: SimDisk, clockMs: number): void {
    const keys = KEYS.get(id)!
    this.hosts.set(id, new SimHost(this.network, this.#members, id, disk, { keys, clockMs }))
  }

  act(s: Step): void {
    switch (s.do) {
      case 'toggle': {
        const host = this.hosts.get(s.hostId)!
        const key = attachmentKey(container(s.hostId, s.n))
        if (host.registry.get(key) === undefined) host.put(container(s.hostId, s.n))
        else host.remove(key)
        return
      }
      case 'wait':
        this.time.run(s.ms)
        return
      case 'split': {
        const side = new Set(s.side)
        this.network.allow((a, b) => side.has(a.hostId) === side.has(b.hostId))
        return
      }
      case 'reset':
        this.network.reset(this.hosts.get(s.hostId)!, this.hosts.get(s.other)!)
        return
      case 'snapshot':
        this.#snapshots.set(s.hostId, copyOf(this.hosts.get(s.hostId)!.disk))
        return
      case 'restart': {
        const { disk } = this.hosts.get(s.hostId)!
        this.hosts.get(s.hostId)!.crash()
        this.time.run(s.downMs)
        const old = this.#snapshots.get(s.hostId) ?? disk
        this.boot(
          s.hostId,
          s.disk === 'kept' ? disk : s.disk === 'old' ? copyOf(old) : emptyDisk(),
          s.clockMs,
        )
      }
    }
  }
}

t.test('after healing all hosts agree with each owner', (t) => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 1, maxLength: 40 }),
      fc.integer(),
      fc.constantFrom(0, 0.05),
      (steps, seed, loss) => {
        const simulation = new Simulation(seed, loss)
        simulation.time.run(500)
        for (const s of steps) simulation.act(s)
        simulation.network.allow(() => true)
        const hosts = [...simulation.hosts.values()]
        const isEqual = (): boolean =>
          agree(hosts) && hosts.every((h) => HOSTS.every((id) => h.registry.freshness(id) === 'live'))
        if (simulation.time.runUntil(isEqual, 30_000, 50) === undefined) return false
        return hosts.every((h) =>
          hosts.every((owner) => {
            const truth = tableOf(owner, owner.hostId).join('\n')
            return (
              tableOf(h, owner.hostId).join('\n') === truth &&
              h.replication.quarantineOf(owner.hostId) === undefined
            )
          }),
        )
      },
    ),
    { numRuns: Number(process.env['FLATNET_RUNS'] ?? 60), endOnFailure: false },
  )
  t.end()
})

t.test('a partition with adds and deletes on both sides: equal within 10 s of healing', (t) => {
  for (const seed of [1, 2, 3]) {
    const simulation = new Simulation(seed, 0.01)
    const put = (id: number, n: number) => simulation.hosts.get(id)!.put(container(id, n))
    const remove = (id: number, n: number) =>
      simulation.hosts.get(id)!.remove(attachmentKey(container(id, n)))
    for (const id of HOSTS) for (let n = 10; n < 60; n++) put(id, n)
    simulation.time.run(2000)
    simulation.act({ do: 'split', side: [1, 2] })
    simulation.time.run(4000)
    for (const id of HOSTS) {
      for (let n = 10; n < 30; n++) remove(id, n)
      for (let n = 60; n < 90; n++) put(id, n)
    }
    simulation.time.run(60_000)
    t.equal(simulation.hosts.get(1)!.registry.byName('web-3-10').length, 1, 'the other side is as it was')
    simulation.network.allow(() => true)
    const hosts = [...simulation.hosts.values()]
    const tookMs = simulation.time.runUntil(() => agree(hosts), 10_000)
    t.type(tookMs, 'number', `after ${tookMs} ms`)
    for (const h of hosts) {
      for (const owner of hosts) {
        const table = tableOf(h, owner.hostId)
        t.same(table, tableOf(owner, owner.hostId))
        t.equal(table.length, 60, 'nothing lost, nothing back')
      }
    }
  }
  t.end()
})

t.test(
  'a change reaches a host that its owner never meets, by members that meet one after the other',
  (t) => {
    const simulation = new Simulation(4, 0)
    const only = (a: number, b: number) =>
      simulation.network.allow((x, y) => [a, b].includes(x.hostId) && [a, b].includes(y.hostId))
    const [one, four] = [simulation.hosts.get(1)!, simulation.hosts.get(4)!]
    one.put(container(1, 10))
    simulation.time.run(5_000)
    t.same(tableOf(four, 1), tableOf(one, 1))
    only(0, 0)
    simulation.time.run(20_000)
    one.put(container(1, 11))
    one.remove(attachmentKey(container(1, 10)))
    for (const [a, b] of [
      [1, 2],
      [2, 3],
    ] as const) {
      only(a, b)
      simulation.time.run(20_000)
    }
    t.not(String(tableOf(four, 1)), String(tableOf(one, 1)))
    only(3, 4)
    const ms = simulation.time.runUntil(() => String(tableOf(four, 1)) === String(tableOf(one, 1)), 10_000)
    t.type(ms, 'number', `${ms} ms after the last two met, links included`)
    t.end()
  },
)
