/** gateway/paths: facts of links and peers become routes, and the peers are told what a relay is chosen by. */
import t from 'tap'
import { silentLog } from '../../../../core/log.ts'
import { Events, type GatewayEvent } from '../../../../gateway/base/events.ts'
import type { ControlMessage, LinkView } from '../../../../gateway/links/types.ts'
import { PathController } from '../../../../gateway/paths/controller.ts'
import { viaText } from '../../../../gateway/paths/decide.ts'
import { PathTable } from '../../../../gateway/paths/table.ts'
import { SimTime, seeded } from '../../../helpers/sim/network.ts'

function world() {
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
  const controller = new PathController({
    hostId: 1,
    scheduler,
    random: seeded(1),
    log: silentLog,
    table,
    effects: {
      setRoute: (hostId, via) => routes.push(`${hostId} ${viaText(via)}`),
      clearRoute: (hostId) => routes.push(`${hostId} none`),
    },
    links: () => [...links.values()],
    quarantineOf: (hostId) => (state.quarantine.has(hostId) ? 'two machines' : undefined),
    noTunnel: () => state.noTunnel,
    freePairs: () => 5,
    relayProblem: (hostId, relay) => (state.failed.has(`${hostId} by ${relay}`) ? 'it is full' : undefined),
    hasChannel: () => state.hasChannel,
    channelRttMs: (hostId, relay) => state.measured.get(`${hostId} by ${relay}`),
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
  const w = world()
  w.set(2, { state: 'connecting' })
  t.equal(w.table.get(2)?.state, 'CONNECTING')
  w.set(2, up)
  w.set(3, up)
  w.time.run(3000)
  t.same(w.routes, ['2 gateway', '3 gateway'])
  t.match(w.table.get(2), { via: 'gateway', rttMs: 4 })
  w.controller.receive(3, {
    type: 'paths.links',
    links: [
      [2, 6],
      [1, 4],
    ],
    freePairs: 5,
    uptimeMs: 1,
  })
  w.set(2, { state: 'down', reason: 'silent', hasData: false })
  t.match(w.table.get(2), { state: 'GATEWAY_ONLY', via: 'relay:3', rttMs: 10, reason: /host 3: silent/ })
  t.ok(w.controller.isReached(2))
  w.jump(-3_600_000)
  w.set(2, up)
  w.time.run(1000)
  t.equal(w.table.get(2)?.via, 'relay:3')
  w.time.run(3000)
  t.equal(w.table.get(2)?.via, 'gateway')
  w.set(3, { state: 'down', hasData: false })
  w.set(2, { state: 'down', reason: 'silent', hasData: false })
  t.match(w.table.get(2), { state: 'ISOLATED', via: 'none', reason: 'silent' })
  t.notOk(w.controller.isReached(2))
  t.same(w.routes, ['2 gateway', '3 gateway', '2 relay:3', '2 gateway', '3 none', '2 none'])
  w.links.delete(2)
  w.controller.evaluateAll()
  t.equal(w.table.get(2), undefined, 'left the cluster')
  w.controller.stop()
  t.end()
})

t.test('a start and a restart are waited for a moment, before a relay is taken', (t) => {
  const w = world()
  const report = { type: 'paths.links', links: [[2, 6]], freePairs: 5, uptimeMs: 1 }
  w.set(2, { state: 'connecting' })
  w.set(3, up)
  w.controller.receive(3, report)
  w.time.run(250)
  w.set(2, { ...up, hasData: false })
  w.time.run(250)
  w.set(2, up)
  t.same(w.routes, ['3 gateway', '2 gateway'])
  w.time.run(5_000)
  w.controller.receive(2, { type: 'paths.drain' })
  w.set(2, { state: 'down', hasData: false, reason: 'closed' })
  w.controller.receive(3, report)
  w.time.run(1_900)
  t.match(w.table.get(2), { via: 'none', reason: 'closed' })
  w.time.run(1_500)
  t.equal(w.table.get(2)?.via, 'relay:3', 'it does not come back')
  w.controller.stop()
  t.end()
})

t.test('a relay that says nothing any more is none', (t) => {
  const w = world()
  w.set(2, { state: 'down', reason: 'silent' })
  w.set(3, up)
  w.controller.receive(3, { type: 'paths.links', links: [[2, 6]], freePairs: 5, uptimeMs: 1 })
  t.equal(w.table.get(2)?.via, 'relay:3')
  w.time.run(18_000)
  t.equal(w.table.get(2)?.state, 'ISOLATED')
  t.end()
})

t.test('a relay that failed for a host is none for it until it is usable again', (t) => {
  const w = world()
  for (const host of [2, 5]) w.set(host, { state: 'down', reason: 'silent' })
  for (const relay of [3, 4]) {
    w.set(relay, up)
    const links = [2, 5].map((host) => [host, relay])
    w.controller.receive(relay, { type: 'paths.links', links, freePairs: 5, uptimeMs: 1 })
  }
  const vias = (): unknown[] => [2, 5].map((host) => w.table.get(host)?.via)
  t.same(vias(), ['relay:3', 'relay:3'])
  w.state.failed.add('2 by 3')
  w.controller.evaluateAll()
  t.same(vias(), ['relay:4', 'relay:3'])
  w.state.failed.add('2 by 4')
  w.controller.evaluateAll()
  t.match(w.table.get(2), { state: 'ISOLATED', reason: 'silent; host 3 is no relay to it: it is full' })
  w.state.failed.clear()
  w.time.run(2_000)
  t.same(vias(), ['relay:3', 'relay:3'])
  t.end()
})

t.test('quarantine and a lost tunnel take routes away', (t) => {
  const w = world()
  w.set(2, up)
  w.state.quarantine.add(2)
  w.controller.evaluateAll()
  t.equal(w.table.get(2)?.state, 'QUARANTINED')
  w.state.quarantine.clear()
  w.controller.evaluateAll()
  w.state.noTunnel = 'the TUN device is gone'
  w.controller.evaluateAll()
  t.match(w.table.get(2), { state: 'GATEWAY_ONLY', reason: /web pages.*TUN/ })
  t.same(w.routes, ['2 gateway', '2 none', '2 gateway', '2 none'])
  t.end()
})

t.test('peers onFrame of our links soon after a change and every 5 s', (t) => {
  const w = world()
  w.set(2, up)
  w.set(3, { ...up, rttMs: undefined })
  w.time.run(150)
  t.same(w.sent[0], [
    2,
    {
      type: 'paths.links',
      links: [
        [2, 4],
        [3, 1000],
      ],
      freePairs: 5,
      uptimeMs: 100,
    },
  ])
  t.equal(w.sent.length, 2)
  w.set(2, { state: 'draining' })
  w.time.run(150)
  t.same(w.sent[2], [3, { type: 'paths.links', links: [[3, 1000]], freePairs: 5, uptimeMs: 250 }])
  w.state.noTunnel = 'none'
  w.time.run(6000)
  t.match(w.sent.at(-1)?.[1], { links: [], freePairs: 0 })
  t.end()
})

t.test('a peer that carries no packets gets no route, and is reached all the same', (t) => {
  const w = world()
  w.set(2, up)
  const report = { type: 'paths.links', links: [], freePairs: 0, uptimeMs: 1 }
  w.controller.receive(2, { ...report, noTunnel: 'load the kernel module\u001b[2J tun' })
  t.match(w.table.get(2), {
    state: 'GATEWAY_ONLY',
    via: 'gateway',
    reason:
      "only web pages, by the peer's gateway: host 2 carries no packets (load the kernel module [2J tun)",
  })
  t.equal(w.table.decision(2)?.isWebOnly, true)
  t.ok(w.controller.isReached(2))
  w.controller.receive(2, report)
  t.equal(w.table.get(2)?.reason, 'connected')
  t.same(w.routes, ['2 gateway', '2 none', '2 gateway'])
  t.end()
})

t.test('peers onFrame at once when the tunnel is lost, and when it is back', (t) => {
  const w = world()
  w.set(2, up)
  w.time.run(150)
  const before = w.sent.length
  w.state.noTunnel = 'the TUN device is gone'
  w.time.run(1_500)
  t.match(w.sent.slice(before), [[2, { noTunnel: 'the TUN device is gone', links: [] }]])
  w.state.noTunnel = undefined
  w.time.run(1_500)
  t.notOk('noTunnel' in w.sent.at(-1)![1])
  t.end()
})

t.test('what is no report is dropped; other messages are not ours', (t) => {
  const w = world()
  w.set(2, { state: 'down', reason: 'silent' })
  w.set(3, up)
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
    t.doesNotThrow(() => w.controller.receive(3, bad))
    t.equal(w.table.get(2)?.state, 'ISOLATED', JSON.stringify(bad))
  }
  t.end()
})

t.test('since is that of state and way, not of the words', (t) => {
  const w = world()
  w.set(2, { state: 'down', reason: 'one' })
  const since = w.table.get(2)?.since
  w.jump(5000)
  w.set(2, { reason: 'two' })
  t.match(w.table.get(2), { since, reason: 'two' })
  const events = w.seen.length
  w.set(2, { rttMs: 9 })
  t.equal(w.seen.length, events)
  w.set(2, up)
  t.not(w.table.get(2)?.since, since)
  t.end()
})

t.test('a gateway that is about to stop: its peers are told, and it is no relay any more', (t) => {
  const w = world()
  for (const host of [2, 3, 4]) w.set(host, up)
  w.controller.drain()
  const told = w.sent.filter(([, message]) => message.type === 'paths.drain').map(([host]) => host)
  t.same(told, [2, 3, 4])
  for (const relay of [3, 4])
    w.controller.receive(relay, { type: 'paths.links', links: [[2, relay]], freePairs: 5, uptimeMs: 1 })
  w.set(2, { state: 'down', hasData: false, reason: 'gone' })
  t.equal(w.table.get(2)?.via, 'relay:3')
  w.controller.receive(3, { type: 'paths.drain' })
  t.equal(w.table.get(2)?.via, 'relay:4')
  t.match(w.table.get(3), { via: 'gateway', reason: /stopping/ }, 'what is on its way still goes there')
  t.end()
})

t.test('a relay that is chosen reaches nobody before its connection stands', (t) => {
  const w = world()
  w.set(2, up)
  w.set(3, up)
  w.controller.receive(3, { type: 'paths.links', links: [[2, 4]], freePairs: 5, uptimeMs: 1 })
  w.state.hasChannel = false
  w.set(2, { state: 'down', hasData: false, reason: 'gone' })
  t.match(w.table.get(2), { state: 'CONNECTING', via: 'relay:3', reason: /through host 3: gone/ })
  t.notOk(w.controller.isReached(2))
  t.equal(w.routes.at(-1), '2 relay:3', 'it is asked for')
  w.state.hasChannel = true
  w.controller.evaluateAll()
  t.match(w.table.get(2), { state: 'GATEWAY_ONLY', via: 'relay:3' })
  t.ok(w.controller.isReached(2))
  t.end()
})

t.test(
  'a connection for packets that breaks again and again leaves them to a relay for longer and longer',
  (t) => {
    const w = world()
    w.set(2, up)
    w.set(3, up)
    w.state.measured.set('2 by 3', 31)
    const report = { type: 'paths.links', links: [[2, 6]], freePairs: 5, uptimeMs: 1 }
    w.time.run(120_000)
    const tell = (): void => void w.controller.receive(3, report)
    tell()
    w.set(2, { hasData: false })
    w.time.run(50)
    w.set(2, up)
    t.equal(w.table.get(2)?.via, 'gateway', 'a blip after a long time')
    /** It breaks 3 s after it carries packets: what is large does not get through. @returns how long a relay had them */
    const flap = (): number => {
      w.time.run(3_000)
      tell()
      w.set(2, { hasData: false })
      t.equal(w.table.get(2)?.via, 'relay:3')
      w.time.run(50)
      w.set(2, up)
      for (let ms = 0; ; ms += 1_000) {
        if (w.table.get(2)?.via === 'gateway') return ms
        t.equal(w.table.get(2)?.rttMs, 31, 'as measured through it')
        w.time.run(1_000)
        tell()
      }
    }
    const waits = [1, 2, 3, 4, 5, 6, 7, 8, 9].map(flap)
    for (const [i, atLeast] of [4, 8, 16, 32, 64, 128, 256, 300, 300].entries())
      t.ok(
        (waits[i] ?? 0) >= atLeast * 1_000 && (waits[i] ?? 0) < atLeast * 1_000 + 3_000,
        `${atLeast}: ${waits[i]}`,
      )
    w.time.run(70_000)
    tell()
    w.set(2, { hasData: false })
    w.time.run(50)
    w.set(2, up)
    t.equal(w.table.get(2)?.via, 'gateway', 'it was well for a minute: forgiven')
    w.controller.stop()
    t.end()
  },
)

t.test('a peer that starts anew again and again is no flapping one', (t) => {
  const w = world()
  w.set(2, up)
  for (let i = 0; i < 5; i++) {
    w.time.run(3_000)
    w.controller.receive(2, { type: 'paths.drain' })
    w.set(2, { state: 'down', hasData: false, reason: 'closed' })
    w.time.run(500)
    w.set(2, up)
  }
  w.set(3, up)
  w.controller.receive(3, { type: 'paths.links', links: [[2, 6]], freePairs: 5, uptimeMs: 1 })
  w.time.run(3_000)
  w.set(2, { hasData: false })
  t.equal(w.table.get(2)?.via, 'none', 'waited for')
  w.controller.stop()
  t.end()
})
