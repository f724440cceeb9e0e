/** gateway/replication: what one host writes all others come to know, and nothing that they should not. */
import t, { type Test } from 'tap'
import { attachmentKey } from '../../../../core/attachment.ts'
import type { ControlMessage } from '../../../../gateway/links/types.ts'
import { type NetworkOptions, SimNetwork, SimTime, seeded } from '../../../helpers/sim/network.ts'
import {
  agree,
  container,
  copyOf,
  emptyDisk,
  SimHost,
  type SimHostOptions,
  type SimKeys,
  type SimMembers,
  simKeys,
  tableOf,
} from '../../../helpers/sim/sim-host.ts'

interface Simulation {
  readonly time: SimTime
  readonly network: SimNetwork
  readonly members: SimMembers
  readonly keys: Map<number, SimKeys>
  host(hostId: number, disk?: SimHost['disk'], options?: SimHostOptions): SimHost
}

function simulation(options: NetworkOptions = {}, seed = 1): Simulation {
  const time = new SimTime()
  const network = new SimNetwork(time, seeded(seed), { isSerialized: true, ...options })
  const members: SimMembers = new Map()
  const keys = new Map<number, SimKeys>()
  return {
    time,
    network,
    members,
    keys,
    host(hostId, disk = emptyDisk(), more = {}) {
      const key = more.keys ?? keys.get(hostId) ?? simKeys()
      if (!keys.has(hostId)) keys.set(hostId, key)
      if (!members.has(hostId)) members.set(hostId, key.keyId)
      return new SimHost(network, members, hostId, disk, { ...more, keys: key })
    },
  }
}

const count = (host: SimHost, reason: Parameters<SimHost['drops']['get']>[0]): number =>
  host.drops.get(reason) ?? 0

const same = (t: Test, hosts: readonly SimHost[]): void => {
  for (const owner of hosts) {
    const truth = tableOf(owner, owner.hostId)
    for (const h of hosts) t.same(tableOf(h, owner.hostId), truth, `host ${h.hostId} of ${owner.hostId}`)
  }
}

t.test('a change is known everywhere after its way, not after a round', (t) => {
  const sim = simulation({ delayMs: 1 })
  const [a, b, c] = [sim.host(1), sim.host(2), sim.host(3)]
  sim.time.run(1000)
  a.put(container(1, 10))
  sim.time.run(3)
  t.equal(b.registry.byName('web-1-10').length, 1)
  t.equal(c.registry.byIp('10.100.1.10')?.containerId, container(1, 10).containerId)
  a.put(container(1, 11))
  a.put(container(1, 12))
  a.remove(attachmentKey(container(1, 10)))
  sim.time.run(3)
  t.equal(b.registry.sizeOf(1), 1, 'within 20 ms of the last they wait for more')
  sim.time.run(20)
  t.same(tableOf(b, 1), tableOf(a, 1))
  t.same(b.registry.byName('web-1-10'), [])
  same(t, [a, b, c])
  t.end()
})

t.test('who comes later gets what is there, and what changed while he was away', (t) => {
  const sim = simulation()
  const a = sim.host(1)
  for (let n = 10; n < 200; n++) a.put(container(1, n))
  const b = sim.host(2)
  sim.time.run(500)
  same(t, [a, b])
  sim.network.allow(() => false)
  sim.time.run(4000)
  t.equal(b.registry.freshness(1), 'unreachable')
  t.equal(b.registry.byName('web-1-10').length, 1, 'still there')
  for (let n = 10; n < 150; n++) a.remove(attachmentKey(container(1, n)))
  a.put(container(1, 10, { name: 'other' }))
  sim.network.allow(() => true)
  t.type(
    sim.time.runUntil(() => agree([a, b]), 10_000),
    'number',
  )
  same(t, [a, b])
  t.equal(b.registry.freshness(1), 'live')
  t.end()
})

t.test('a host out of reach is unreachable, then gone, then forgotten, and comes back', (t) => {
  const sim = simulation()
  const [a, b, c] = [sim.host(1), sim.host(2).follow(), sim.host(3)]
  a.put(container(1, 10, { name: 'web' }))
  c.put(container(3, 10, { name: 'web', createdAt: '2026-01-01T00:00:00.000Z' }))
  sim.time.run(500)
  t.equal(b.registry.byName('web')[0]?.hostId, 1, 'all came at the start: the lower number')
  sim.network.allow((x, y) => x !== a && y !== a)
  sim.time.run(4000)
  t.equal(b.registry.byName('web')[0]?.hostId, 3, 'the one that is reached')
  sim.time.run(600_000)
  t.equal(b.registry.freshness(1), 'gone')
  t.same(
    b.registry.byName('web').map((x) => x.hostId),
    [3],
  )
  t.equal(b.registry.byIp('10.100.1.10')?.name, 'web', 'for a lookup by address')
  sim.time.run(86_400_000)
  t.equal(b.registry.byIp('10.100.1.10'), undefined)
  const fresh = sim.host(4)
  sim.time.run(30_000)
  t.equal(fresh.registry.version(1), undefined, 'nobody passes it on')
  sim.network.allow(() => true)
  sim.time.run(15_000)
  same(t, [a, b, c, fresh])
  t.same(
    b.seen.flatMap((e) => (e.type === 'hostChanged' && e.hostId === 1 ? [e.state] : [])),
    ['live', 'unreachable', 'gone', 'live'],
  )
  t.end()
})

t.test('a table is passed on with the signature of its owner', (t) => {
  const sim = simulation()
  // 1 and 3 do not see each other.
  sim.network.allow((x, y) => x.hostId === 2 || y.hostId === 2)
  const [a, b, c] = [sim.host(1), sim.host(2), sim.host(3, emptyDisk(), { isReached: (id) => id === 1 })]
  for (let n = 10; n < 60; n++) a.put(container(1, n))
  t.ok(sim.time.runUntil(() => c.registry.sizeOf(1) === 50, 15_000))
  t.equal(c.registry.freshness(1), 'live', 'reached over a relay')
  a.remove(attachmentKey(container(1, 10)))
  t.ok(sim.time.runUntil(() => c.registry.sizeOf(1) === 49, 15_000))
  same(t, [a, b, c])
  t.end()
})

t.test('what is forged, replayed, foreign or broken is counted and dropped', (t) => {
  const sim = simulation()
  const [a, b, c] = [sim.host(1), sim.host(2), sim.host(3)]
  sim.network.allow((x, y) => x.hostId === 2 || y.hostId === 2)
  const heard: ControlMessage[] = []
  b.tamper = (_, m) => {
    if (m.type === 'registry.table') heard.push(m)
    return m
  }
  a.put(container(1, 10))
  sim.time.run(20_000)
  const [page] = heard.filter((m) => m['hostId'] === 1)
  const before = tableOf(c, 1)
  t.equal(before.length, 1)
  const inject = (m: ControlMessage) => c.replication.receive(2, m)
  const [record] = page!['records'] as unknown[][]
  const newer = { ...page, type: 'registry.table', seq: 99 }
  inject(newer)
  t.equal(count(c, 'forged'), 1, 'the signature is for another version')
  inject({ ...page!, ageMs: 0 })
  t.ok(count(c, 'old') > 0, 'a replay')
  inject({ ...page!, hostId: 2, seq: 99 })
  t.equal(count(c, 'stale-epoch') + count(c, 'quarantined'), 1, 'under his own name')
  inject({ ...page!, hostId: 3, seq: 99 })
  t.equal(count(c, 'not-owner'), 1, 'about ourselves')
  inject({ ...page!, hostId: 77, seq: 99 })
  t.equal(count(c, 'stranger'), 1)
  for (const broken of [
    { type: 'registry.table' },
    { type: 'registry.nonsense' },
    { ...page!, page: 1 },
    { ...page!, epoch: -1 },
    { ...page!, records: 'x' },
    { type: 'registry.digest', scope: 'all', know: [[1, 2]] },
    { type: 'registry.want', hostId: '1', epoch: 0, seq: 0 },
  ]) {
    const dropped = [...c.drops.values()].reduce((x, y) => x + y, 0)
    inject(broken as ControlMessage)
    t.equal(
      [...c.drops.values()].reduce((x, y) => x + y, 0),
      dropped + 1,
      JSON.stringify(broken).slice(0, 60),
    )
  }
  // Its owner himself cannot give what is not his.
  const delta = { ...page, type: 'registry.delta', hostId: 1, from: 1, seq: 2, size: 2, put: [], del: [] }
  for (const [put, del, reason] of [
    [[[...record!.slice(0, 3), ['10.100.2.10/24'], ...record!.slice(4)]], [], 'out-of-slice'],
    [[[...record!.slice(0, 3), ['10.100.1.255/24'], ...record!.slice(4)]], [], 'out-of-slice'],
    [[], ['10.100.3.1'], 'out-of-slice'],
    [[[...record!.slice(0, 9), 'yesterday']], [], 'malformed'],
    [[record, record], [], 'malformed'],
    [[{}], [], 'malformed'],
  ] as const) {
    const dropped = count(b, reason)
    b.replication.receive(1, { ...delta, put, del })
    t.equal(count(b, reason), dropped + 1, reason)
  }
  t.same(tableOf(c, 1), before)
  same(t, [a, b])
  t.end()
})

t.test('an old snapshot does not bring back what is gone; its host raises its epoch', (t) => {
  const sim = simulation()
  const b = sim.host(2)
  // Without a clock that is right, as on a machine that was just restored.
  let a = sim.host(1, emptyDisk(), { clockMs: -1_796_000_000_000 })
  for (let n = 10; n < 20; n++) a.put(container(1, n))
  sim.time.run(1000)
  const old = copyOf(a.disk)
  a.remove(attachmentKey(container(1, 10)))
  a.crash()
  a = sim.host(1, a.disk, { clockMs: -1_796_000_000_000 })
  sim.time.run(1000)
  const before = b.registry.version(1)!
  a.crash()
  old.leases.delete(attachmentKey(container(1, 11)))
  const restored = sim.host(1, old, { clockMs: -1_796_000_000_000 })
  t.ok(restored.disk.epoch <= before.epoch)
  sim.time.run(3000)
  t.ok(b.registry.version(1)!.epoch > before.epoch)
  t.equal(restored.disk.epoch, b.registry.version(1)!.epoch, 'on its disk')
  same(t, [restored, b])
  t.equal(b.replication.quarantineOf(1), undefined)
  restored.put(container(1, 30))
  sim.time.run(100)
  same(t, [restored, b])
  t.end()
})

t.test('memory restored from a snapshot: the same run at an earlier seq takes a new epoch', (t) => {
  const sim = simulation()
  const b = sim.host(2)
  const a = sim.host(1)
  a.put(container(1, 10))
  sim.time.run(1000)
  const hello: ControlMessage[] = []
  sim.network.reset(a, b)
  b.tamper = (_, m) => {
    if (m.type === 'registry.hello') hello.push(m)
    return m
  }
  sim.time.run(1000)
  b.tamper = undefined
  a.put(container(1, 11))
  sim.time.run(1000)
  const sent: ControlMessage[] = []
  a.tamper = (_, m) => {
    sent.push(m)
    return m
  }
  b.replication.receive(1, hello[0]!)
  sim.time.run(100)
  t.ok(sent.some((m) => m.type === 'registry.stale'))
  same(t, [a, b])
  t.end()
})

t.test('a clone is seen, kept out at every peer, and released by a person', (t) => {
  const sim = simulation()
  const hosts = [sim.host(2).follow(), sim.host(3).follow()]
  const a = sim.host(1)
  a.put(container(1, 10))
  sim.time.run(1000)
  const clone = sim.host(1, copyOf(a.disk))
  clone.put(container(1, 20))
  sim.time.run(15_000)
  for (const h of hosts) {
    t.match(h.replication.quarantineOf(1)?.reason, /two machines/)
    const alarms = h.seen.filter((e) => e.type === 'alarm')
    t.equal(alarms.length, 1)
    t.match(alarms[0], { hostId: 1, next: /flatnet hosts release 1$/ })
    t.match(tableOf(h, 1), [/10\.100\.1\.10/], 'the first one is shown')
  }
  clone.crash()
  sim.time.run(10_000)
  for (const h of hosts) {
    t.ok(h.replication.quarantineOf(1), 'a person has to say that it is over')
    t.ok(h.replication.release(1))
    t.notOk(h.replication.release(1))
  }
  sim.time.run(15_000)
  a.put(container(1, 30))
  sim.time.run(100)
  same(t, [a, ...hosts])
  t.equal(hosts[0]!.replication.quarantineOf(1), undefined)
  t.end()
})

t.test('two machines at one epoch are told apart as well', (t) => {
  const sim = simulation()
  const b = sim.host(2)
  const disk = emptyDisk()
  const a = sim.host(1, copyOf(disk))
  const clone = sim.host(1, copyOf(disk))
  t.equal(a.disk.epoch, clone.disk.epoch)
  t.ok(sim.time.runUntil(() => b.replication.quarantineOf(1) !== undefined, 20_000))
  t.end()
})

t.test('a clone that never gets a link, as the link of the first stands, is seen by what it says', (t) => {
  const sim = simulation()
  const [a, b] = [sim.host(1), sim.host(2).follow()]
  sim.time.run(1000)
  const elsewhere = simulation()
  elsewhere.keys.set(1, sim.keys.get(1)!)
  const hellos: ControlMessage[] = []
  const listener = elsewhere.host(2)
  listener.tamper = (_, m) => {
    if (m.type === 'registry.hello') hellos.push(m)
    return m
  }
  elsewhere.host(1, copyOf(a.disk))
  elsewhere.time.run(1000)
  const [hello] = hellos
  t.ok(hello)
  // One that has just started anew says the same, until the dead link is given up.
  b.replication.rival(1, hello!)
  sim.time.run(3000)
  b.replication.rival(1, hello!)
  sim.network.reset(a, b)
  sim.time.run(3000)
  b.replication.rival(1, hello!)
  t.equal(b.replication.quarantineOf(1), undefined)
  for (const message of [{ type: 'registry.hello' }, { ...hello!, hostId: 2 }, { type: 'x' }])
    b.replication.rival(1, message)
  sim.time.run(5000)
  b.replication.rival(1, hello!)
  t.match(b.replication.quarantineOf(1)?.reason, /two machines/)
  t.equal(b.seen.filter((e) => e.type === 'alarm').length, 1)
  sim.time.run(100)
  t.match(
    a.replication.alarms(),
    [{ hostId: 1, reason: /host 2 sees a second machine/ }],
    'the first one is told',
  )
  t.ok(b.replication.release(1))
  sim.time.run(1000)
  t.equal(b.replication.quarantineOf(1), undefined, 'the first one is let in again')
  t.end()
})

t.test('quarantine outlives a restart of the peer', async (t) => {
  const sim = simulation()
  const a = sim.host(1)
  const b = sim.host(2)
  sim.time.run(1000)
  const clone = sim.host(1, copyOf(a.disk))
  t.ok(sim.time.runUntil(() => b.replication.quarantineOf(1) !== undefined, 20_000))
  clone.crash()
  await b.replication.stop()
  b.crash()
  const again = sim.host(2, b.disk)
  t.match(again.replication.quarantineOf(1)?.reason, /two machines/)
})

t.test('another key for a hostId raises one alarm an hour while it goes on, and changes nothing', (t) => {
  const sim = simulation()
  const [a, b] = [sim.host(1), sim.host(2).follow()]
  a.put(container(1, 10))
  sim.time.run(500)
  const alarms = () => b.seen.filter((e) => e.type === 'alarm')
  const dialFor = (ms: number): void => {
    for (let passed = 0; passed < ms; passed += 4000) {
      b.replication.duplicate(1, 'f00', '192.0.2.9')
      sim.time.run(4000)
    }
  }
  b.replication.duplicate(1, 'bad', '192.0.2.8')
  t.same([alarms(), b.replication.alarms()], [[], []], 'until the list of members has had the time to come')
  dialFor(60_000)
  t.match(alarms(), [
    { hostId: 1, reason: /192\.0\.2\.9 calls itself host 1 with another key/, next: /leave --force.*join/ },
  ])
  t.match(b.replication.alarms(), [{ hostId: 1, since: /^2026-11-/ }])
  dialFor(3_600_000)
  t.equal(alarms().length, 2)
  sim.time.run(700_000)
  t.same(b.replication.alarms(), [], 'it has been quiet')
  t.equal(b.replication.quarantineOf(1), undefined)
  same(t, [a, b])
  t.end()
})

t.test('who is no member any more loses his table; another machine in his place starts anew', (t) => {
  const sim = simulation()
  const [a, b] = [sim.host(1), sim.host(2)]
  a.put(container(1, 10))
  sim.time.run(500)
  a.crash()
  sim.members.delete(1)
  sim.time.run(2000)
  t.equal(b.registry.byIp('10.100.1.10'), undefined)
  t.equal(b.registry.version(1), undefined)
  const keys = simKeys()
  sim.members.set(1, keys.keyId)
  // Its clock is far behind: under another key that does not matter.
  const other = sim.host(1, emptyDisk(), { keys, clockMs: -1_700_000_000_000 })
  other.put(container(1, 11))
  sim.time.run(2000)
  same(t, [other, b])
  t.end()
})

t.test('a cold start shows what was known, stale, until the owner is there', async (t) => {
  const sim = simulation()
  const [a, b] = [sim.host(1), sim.host(2)]
  a.put(container(1, 10))
  sim.time.run(11_000)
  await b.replication.stop()
  a.crash()
  b.crash()
  const cold = sim.host(2, b.disk)
  t.equal(cold.registry.byName('web-1-10').length, 1)
  t.equal(cold.registry.freshness(1), 'unreachable')
  const back = sim.host(1, a.disk)
  back.remove(attachmentKey(container(1, 10)))
  sim.time.run(1000)
  t.equal(cold.registry.byName('web-1-10').length, 0)
  same(t, [back, cold])
})

t.test('a wall clock an hour off, either way, changes nothing', (t) => {
  const sim = simulation()
  const hosts = [
    sim.host(1, emptyDisk(), { clockMs: 3_600_000 }),
    sim.host(2, emptyDisk(), { clockMs: -3_600_000 }),
    sim.host(3),
  ]
  for (const h of hosts) h.put(container(h.hostId, 10))
  sim.time.run(1000)
  same(t, hosts)
  const [ahead] = hosts
  ahead!.crash()
  // Its clock was put right meanwhile.
  const right = sim.host(1, ahead!.disk)
  right.put(container(1, 11))
  sim.time.run(1000)
  same(t, [right, ...hosts.slice(1)])
  t.equal(hosts[1]!.registry.freshness(1), 'live')
  t.end()
})

t.test('1,000 changes in 10 s, with loss', (t) => {
  const sim = simulation({ delayMs: 20, loss: 0.01 })
  const hosts = [sim.host(1), sim.host(2), sim.host(3)]
  sim.time.run(1000)
  for (let i = 0; i < 1000; i++) {
    const n = 10 + (i % 200)
    const known = hosts[0]!.registry.byIp(`10.100.1.${n}`)
    if (known === undefined) hosts[0]!.put(container(1, n))
    else hosts[0]!.remove(attachmentKey(known))
    sim.time.run(10)
  }
  const tookMs = sim.time.runUntil(() => agree(hosts), 5_000)
  t.type(tookMs, 'number')
  same(t, hosts)
  t.end()
})

t.test('a wide slice goes in pages, and its changes do not', (t) => {
  const sim = simulation()
  const a = sim.host(1)
  const ports = Array.from({ length: 200 }, (_, i) => ({
    protocol: 'tcp' as const,
    hostIP: '',
    hostPort: 1000 + i,
    containerPort: 80,
  }))
  for (let n = 10; n < 250; n++) a.put(container(1, n, { ports }))
  const b = sim.host(2)
  const pages: number[] = []
  b.tamper = (_, m) => {
    if (m.type === 'registry.table') pages.push(Number(m['pages']))
    return m
  }
  sim.time.run(1000)
  t.ok(pages.length > 3 && pages.length === pages[0], `${pages.length} pages`)
  same(t, [a, b])
  a.put(container(1, 250))
  sim.time.run(100)
  t.equal(pages.length, pages[0])
  same(t, [a, b])
  t.end()
})

t.test('a table that lost something without notice is found and mended', (t) => {
  const sim = simulation()
  const [a, b] = [sim.host(1), sim.host(2)]
  a.put(container(1, 10))
  a.put(container(1, 11))
  sim.time.run(1000)
  b.registry.patch(1, b.registry.version(1)!, { put: [], del: [0x0a64010a] })
  t.equal(b.registry.sizeOf(1), 1)
  sim.time.run(30_000)
  same(t, [a, b])
  t.end()
})

t.test('a peer that asks without end is not answered without end', (t) => {
  const sim = simulation()
  const [a] = [sim.host(1), sim.host(2)]
  a.put(container(1, 10))
  sim.time.run(1000)
  const ask = (): void => a.replication.receive(2, { type: 'registry.want', hostId: 1, epoch: 0, seq: 0 })
  for (let i = 0; i < 1000; i++) ask()
  t.equal(count(a, 'flood'), 1000 - 4, 'the whole table five times, once of it at the start')
  sim.time.run(2000)
  for (let i = 0; i < 10; i++) ask()
  t.equal(count(a, 'flood'), 1000 - 4 + 10 - 2, 'and then once a second')
  t.end()
})

t.test('a list that names one host again and again is no list of versions', (t) => {
  const sim = simulation()
  const [a] = [sim.host(1), sim.host(2)]
  sim.time.run(1000)
  const know = Array.from({ length: 60_000 }, () => [1, 0, 0])
  a.replication.receive(2, { type: 'registry.digest', scope: 'all', know })
  t.equal(count(a, 'malformed'), 1)
  t.end()
})
