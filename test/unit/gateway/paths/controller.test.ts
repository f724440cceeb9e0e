/** gateway/paths: facts of links and peers become routes, and the peers are told what a relay is chosen by. */
import t from 'tap'
import { silentLog } from '../../../../core/log.ts'
import { Events, type GatewayEvent } from '../../../../gateway/base/events.ts'
import type { ControlMessage, LinkView } from '../../../../gateway/links/types.ts'
import { PathController } from '../../../../gateway/paths/controller.ts'
import { Reports } from '../../../../gateway/paths/reports.ts'
import { PathTable } from '../../../../gateway/paths/table.ts'
import { Tiers } from '../../../../gateway/paths/tiers.ts'
import { type Candidate, type Transport, viaText } from '../../../../gateway/paths/transport.ts'
import { directOf, relayOf } from '../../../helpers/gateway/path-facts.ts'
import { SimTime, seeded } from '../../../helpers/sim/network.ts'

function simulation() {
  const time = new SimTime()
  // Jumps, as wall clocks do; nothing here may depend on it.
  let wall = 1_795_000_000_000
  const scheduler = { ...time.scheduler(() => 0), now: () => wall }
  const links = new Map<number, LinkView>()
  const routes: string[] = []
  const sent: [number, ControlMessage][] = []
  const events = new Events()
  const seen: GatewayEvent[] = []
  events.listen(({ event }) => seen.push(event))
  const state = {
    quarantine: new Set<number>(),
    noTunnel: undefined as string | undefined,
    failed: new Set<string>(),
    hasChannel: true,
    measured: new Map<string, number>(),
  }
  const table = new PathTable(1, scheduler, events)
  const reports = new Reports()
  /** What the routes of the kernel would be: that of the transport that was used last, until it gives it up. */
  const routed = new Map<number, Transport['kind']>()
  const transport = (
    kind: Transport['kind'],
    candidates: (hostId: number) => readonly Candidate[],
  ): Transport => ({
    kind,
    candidates,
    use(hostId, candidate) {
      if (candidate === undefined && routed.get(hostId) !== kind) return
      routes.push(`${hostId} ${candidate === undefined ? 'none' : viaText(candidate.id)}`)
      if (candidate === undefined) routed.delete(hostId)
      else routed.set(hostId, kind)
    },
    onChange: () => () => {},
  })
  const direct = transport('gateway', (hostId) => {
    const view = links.get(hostId)
    return view === undefined ? [] : [directOf(view)]
  })
  const relays = transport('relay', (hostId) =>
    reports
      .offers(hostId, scheduler.monotonic(), (relay) => links.get(relay))
      .map((offer): Candidate => {
        const key = `${hostId} by ${offer.hostId}`
        const problem = state.failed.has(key) ? 'it is full' : undefined
        const candidate = relayOf({ ...offer, hasChannel: state.hasChannel })
        return { ...candidate, problem, rttMs: state.measured.get(key) }
      }),
  )
  const controller = new PathController({
    tiers: new Tiers(),
    hostId: 1,
    scheduler,
    random: seeded(1),
    log: silentLog,
    table,
    reports,
    transports: [direct, relays],
    carriage: { noTunnel: () => state.noTunnel, relayCapacity: () => ({ freePairs: 5, freeShare: 0.5 }) },
    carriesLetters: true,
    links: () => [...links.values()],
    quarantineOf: (hostId) => (state.quarantine.has(hostId) ? 'two machines' : undefined),
    draining: (hostId) => {
      const view = links.get(hostId)
      if (view !== undefined) links.set(hostId, { ...view, state: 'draining' })
    },
    send: (hostId, message) => {
      sent.push([hostId, message])
      return true
    },
  })
  controller.start()
  const set = (hostId: number, part: Partial<LinkView>): void => {
    const fresh: LinkView = {
      hostId,
      state: 'connecting',
      reason: '',
      rttMs: undefined,
      hasData: false,
      since: wall,
    }
    links.set(hostId, { ...(links.get(hostId) ?? fresh), ...part })
    controller.linkChanged(hostId)
  }
  const jump = (ms: number): void => {
    wall += ms
  }
  return { time, links, routes, sent, seen, state, table, controller, set, jump }
}

const up = { state: 'up', hasData: true, rttMs: 4 } as const

t.test('direct, relayed, direct again; a route is set once for each change', (t) => {
  const sim = simulation()
  sim.set(2, { state: 'connecting' })
  t.equal(sim.table.get(2)?.state, 'CONNECTING')
  sim.set(2, up)
  sim.set(3, up)
  sim.time.run(3000)
  t.same(sim.routes, ['2 gateway', '3 gateway'])
  t.match(sim.table.get(2), { via: 'gateway', rttMs: 4 })
  sim.controller.receive(3, {
    type: 'paths.links',
    links: [
      [2, 6],
      [1, 4],
    ],
    freePairs: 5,
    uptimeMs: 1,
  })
  sim.set(2, { state: 'down', reason: 'silent', hasData: false })
  t.match(sim.table.get(2), { state: 'GATEWAY_ONLY', via: 'relay:3', rttMs: 10, reason: /host 3: silent/ })
  t.ok(sim.table.isReached(2))
  sim.jump(-3_600_000)
  sim.set(2, up)
  sim.time.run(1000)
  t.equal(sim.table.get(2)?.via, 'relay:3')
  sim.time.run(3000)
  t.equal(sim.table.get(2)?.via, 'gateway')
  sim.set(3, { state: 'down', hasData: false })
  sim.set(2, { state: 'down', reason: 'silent', hasData: false })
  t.match(sim.table.get(2), { state: 'ISOLATED', via: 'none', reason: 'silent' })
  t.notOk(sim.table.isReached(2))
  t.same(sim.routes, ['2 gateway', '3 gateway', '2 relay:3', '2 gateway', '3 none', '2 none'])
  sim.links.delete(2)
  sim.controller.evaluateAll()
  t.equal(sim.table.get(2), undefined, 'left the cluster')
  sim.controller.stop()
  t.end()
})

t.test('a start and a restart are waited for a moment, before a relay is taken', (t) => {
  const sim = simulation()
  const report = { type: 'paths.links', links: [[2, 6]], freePairs: 5, uptimeMs: 1 }
  sim.set(2, { state: 'connecting' })
  sim.set(3, up)
  sim.controller.receive(3, report)
  sim.time.run(250)
  sim.set(2, { ...up, hasData: false })
  sim.time.run(250)
  sim.set(2, up)
  t.same(sim.routes, ['3 gateway', '2 gateway'])
  sim.time.run(5_000)
  sim.controller.receive(2, { type: 'paths.drain' })
  sim.set(2, { state: 'down', hasData: false, reason: 'closed' })
  sim.controller.receive(3, report)
  sim.time.run(1_900)
  t.match(sim.table.get(2), { via: 'none', reason: 'closed' })
  sim.time.run(1_500)
  t.equal(sim.table.get(2)?.via, 'relay:3', 'it does not come back')
  sim.controller.stop()
  t.end()
})

t.test('a relay that says nothing any more is none', (t) => {
  const sim = simulation()
  sim.set(2, { state: 'down', reason: 'silent' })
  sim.set(3, up)
  sim.controller.receive(3, { type: 'paths.links', links: [[2, 6]], freePairs: 5, uptimeMs: 1 })
  t.equal(sim.table.get(2)?.via, 'relay:3')
  sim.time.run(18_000)
  t.equal(sim.table.get(2)?.state, 'ISOLATED')
  t.end()
})

t.test('a relay that failed for a host is none for it until it is usable again', (t) => {
  const sim = simulation()
  for (const host of [2, 5]) sim.set(host, { state: 'down', reason: 'silent' })
  for (const relay of [3, 4]) {
    sim.set(relay, up)
    const links = [2, 5].map((host) => [host, relay])
    sim.controller.receive(relay, { type: 'paths.links', links, freePairs: 5, uptimeMs: 1 })
  }
  const vias = (): unknown[] => [2, 5].map((host) => sim.table.get(host)?.via)
  t.same(vias(), ['relay:3', 'relay:3'])
  sim.state.failed.add('2 by 3')
  sim.controller.evaluateAll()
  t.same(vias(), ['relay:4', 'relay:3'])
  sim.state.failed.add('2 by 4')
  sim.controller.evaluateAll()
  t.match(sim.table.get(2), { state: 'ISOLATED', reason: 'silent; host 3 is no relay to it: it is full' })
  sim.state.failed.clear()
  sim.time.run(2_000)
  t.same(vias(), ['relay:3', 'relay:3'])
  t.end()
})

t.test('quarantine and a lost tunnel take routes away', (t) => {
  const sim = simulation()
  sim.set(2, up)
  sim.state.quarantine.add(2)
  sim.controller.evaluateAll()
  t.equal(sim.table.get(2)?.state, 'QUARANTINED')
  sim.state.quarantine.clear()
  sim.controller.evaluateAll()
  sim.state.noTunnel = 'the TUN device is gone'
  sim.controller.evaluateAll()
  t.match(sim.table.get(2), { state: 'GATEWAY_ONLY', reason: /web pages.*TUN/ })
  t.same(sim.routes, ['2 gateway', '2 none', '2 gateway', '2 none'])
  t.end()
})

t.test('peers onFrame of our links soon after a change and every 5 s', (t) => {
  const sim = simulation()
  sim.set(2, up)
  sim.set(3, { ...up, rttMs: undefined })
  sim.time.run(150)
  t.same(sim.sent[0], [
    2,
    {
      type: 'paths.links',
      links: [
        [2, 4],
        [3, 1000],
      ],
      freePairs: 5,
      freePercent: 50,
      uptimeMs: 100,
      letters: true,
    },
  ])
  t.equal(sim.sent.length, 2)
  sim.set(2, { state: 'draining' })
  sim.time.run(150)
  t.same(sim.sent[2], [
    3,
    { type: 'paths.links', links: [[3, 1000]], freePairs: 5, freePercent: 50, uptimeMs: 250, letters: true },
  ])
  sim.state.noTunnel = 'none'
  sim.time.run(6000)
  t.match(sim.sent.at(-1)?.[1], { links: [], freePairs: 0, freePercent: 0 })
  t.end()
})

t.test('a peer that carries no packets gets no route, and is reached all the same', (t) => {
  const sim = simulation()
  sim.set(2, up)
  const report = { type: 'paths.links', links: [], freePairs: 0, uptimeMs: 1 }
  sim.controller.receive(2, { ...report, noTunnel: 'load the kernel module\u001b[2J tun' })
  t.match(sim.table.get(2), {
    state: 'GATEWAY_ONLY',
    via: 'gateway',
    reason:
      "only web pages, by the peer's gateway: host 2 carries no packets (load the kernel module [2J tun)",
  })
  t.equal(sim.table.decision(2)?.isWebOnly, true)
  t.ok(sim.table.isReached(2))
  sim.controller.receive(2, report)
  t.equal(sim.table.get(2)?.reason, 'connected')
  t.same(sim.routes, ['2 gateway', '2 none', '2 gateway'])
  t.end()
})

t.test('peers onFrame at once when the tunnel is lost, and when it is back', (t) => {
  const sim = simulation()
  sim.set(2, up)
  sim.time.run(150)
  const before = sim.sent.length
  sim.state.noTunnel = 'the TUN device is gone'
  sim.time.run(1_500)
  t.match(sim.sent.slice(before), [[2, { noTunnel: 'the TUN device is gone', links: [] }]])
  sim.state.noTunnel = undefined
  sim.time.run(1_500)
  t.notOk('noTunnel' in sim.sent.at(-1)![1])
  t.end()
})

t.test('what is no report is dropped; other messages are not ours', (t) => {
  const sim = simulation()
  sim.set(2, { state: 'down', reason: 'silent' })
  sim.set(3, up)
  const good = { type: 'paths.links', links: [[2, 6]], freePairs: 5, uptimeMs: 1 }
  for (const bad of [
    { type: 'paths.links' },
    { ...good, links: [[2, -1]] },
    { ...good, links: [[2]] },
    { ...good, links: 'x' },
    { ...good, freePairs: '5' },
    { ...good, noTunnel: true },
    { type: 'paths.more' },
  ]) {
    t.doesNotThrow(() => sim.controller.receive(3, bad))
    t.equal(sim.table.get(2)?.state, 'ISOLATED', JSON.stringify(bad))
  }
  t.end()
})

t.test('since is that of state and way, not of the words', (t) => {
  const sim = simulation()
  sim.set(2, { state: 'down', reason: 'one' })
  const since = sim.table.get(2)?.since
  sim.jump(5000)
  sim.set(2, { reason: 'two' })
  t.match(sim.table.get(2), { since, reason: 'two' })
  const events = sim.seen.length
  sim.set(2, { rttMs: 9 })
  t.equal(sim.seen.length, events)
  sim.set(2, up)
  t.not(sim.table.get(2)?.since, since)
  t.end()
})

t.test('a gateway that is about to stop: its peers are told, and it is no relay any more', (t) => {
  const sim = simulation()
  for (const host of [2, 3, 4]) sim.set(host, up)
  sim.controller.drain()
  const told = sim.sent.filter(([, message]) => message.type === 'paths.drain').map(([host]) => host)
  t.same(told, [2, 3, 4])
  for (const relay of [3, 4])
    sim.controller.receive(relay, { type: 'paths.links', links: [[2, relay]], freePairs: 5, uptimeMs: 1 })
  sim.set(2, { state: 'down', hasData: false, reason: 'gone' })
  t.equal(sim.table.get(2)?.via, 'relay:3')
  sim.controller.receive(3, { type: 'paths.drain' })
  t.equal(sim.table.get(2)?.via, 'relay:4')
  t.match(sim.table.get(3), { via: 'gateway', reason: /stopping/ }, 'what is on its way still goes there')
  t.end()
})

t.test('a relay that is chosen reaches nobody before its connection stands', (t) => {
  const sim = simulation()
  sim.set(2, up)
  sim.set(3, up)
  sim.controller.receive(3, { type: 'paths.links', links: [[2, 4]], freePairs: 5, uptimeMs: 1 })
  sim.state.hasChannel = false
  sim.set(2, { state: 'down', hasData: false, reason: 'gone' })
  t.match(sim.table.get(2), { state: 'CONNECTING', via: 'relay:3', reason: /through host 3: gone/ })
  t.notOk(sim.table.isReached(2))
  t.equal(sim.routes.at(-1), '2 relay:3', 'it is asked for')
  sim.state.hasChannel = true
  sim.controller.evaluateAll()
  t.match(sim.table.get(2), { state: 'GATEWAY_ONLY', via: 'relay:3' })
  t.ok(sim.table.isReached(2))
  t.end()
})

t.test(
  'a connection for packets that breaks again and again leaves them to a relay for longer and longer',
  (t) => {
    const sim = simulation()
    sim.set(2, up)
    sim.set(3, up)
    sim.state.measured.set('2 by 3', 31)
    const report = { type: 'paths.links', links: [[2, 6]], freePairs: 5, uptimeMs: 1 }
    sim.time.run(120_000)
    const tell = (): void => void sim.controller.receive(3, report)
    tell()
    sim.set(2, { hasData: false })
    sim.time.run(50)
    sim.set(2, up)
    t.equal(sim.table.get(2)?.via, 'gateway', 'a blip after a long time')
    /**
     * It breaks 3 s after it carries packets: what is large does not get through. @returns how long a relay had them
     */
    const flap = (): number => {
      sim.time.run(3_000)
      tell()
      sim.set(2, { hasData: false })
      t.equal(sim.table.get(2)?.via, 'relay:3')
      sim.time.run(50)
      sim.set(2, up)
      for (let ms = 0; ; ms += 1_000) {
        if (sim.table.get(2)?.via === 'gateway') return ms
        t.equal(sim.table.get(2)?.rttMs, 31, 'as measured through it')
        sim.time.run(1_000)
        tell()
      }
    }
    const waits = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(flap)
    for (const [i, atLeast] of [4, 8, 16, 32, 64, 128, 256, 300, 300].entries())
      t.ok(
        (waits[i] ?? 0) >= atLeast * 1_000 && (waits[i] ?? 0) < atLeast * 1_000 + 3_000,
        `${atLeast}: ${waits[i]}`,
      )
    sim.time.run(70_000)
    tell()
    sim.set(2, { hasData: false })
    sim.time.run(50)
    sim.set(2, up)
    t.equal(sim.table.get(2)?.via, 'gateway', 'it was well for a minute: forgiven')
    sim.controller.stop()
    t.end()
  },
)

t.test('a peer that starts anew again and again is no flapping one', (t) => {
  const sim = simulation()
  sim.set(2, up)
  for (let i = 0; i < 5; i++) {
    sim.time.run(3_000)
    sim.controller.receive(2, { type: 'paths.drain' })
    sim.set(2, { state: 'down', hasData: false, reason: 'closed' })
    sim.time.run(500)
    sim.set(2, up)
  }
  sim.set(3, up)
  sim.controller.receive(3, { type: 'paths.links', links: [[2, 6]], freePairs: 5, uptimeMs: 1 })
  sim.time.run(3_000)
  sim.set(2, { hasData: false })
  t.equal(sim.table.get(2)?.via, 'none', 'waited for')
  sim.controller.stop()
  t.end()
})

t.test('of equally near relays one in the region of the ends is taken, alike at both', (t) => {
  const reports = new Reports('fra')
  const view = { state: 'up', hasData: true, rttMs: 5 } as LinkView
  const says = (from: number, region: string | undefined, links: [number, number][]) =>
    reports.handle(from, { type: 'paths.links', links, freePairs: 1, uptimeMs: 1, region }, 0)
  t.ok(says(2, 'ams', []))
  for (const [from, region] of [
    [3, undefined],
    [4, 'ams'],
    [5, 'fra'],
    [6, 'nyc'],
  ] as const)
    t.ok(says(from, region, [[2, 5]]))
  const found = reports.offers(2, 0, () => view).map((o) => [o.hostId, o.endsInRegion])
  t.same(found, [
    [3, 0],
    [4, 1],
    [5, 1],
    [6, 0],
  ])
  t.notOk(says(3, 'x'.repeat(65), []), 'a region has an end')
  t.notOk(
    reports.handle(3, { type: 'paths.links', links: [], freePairs: 1, uptimeMs: 1, freePercent: 101 }, 0),
  )
  t.end()
})
