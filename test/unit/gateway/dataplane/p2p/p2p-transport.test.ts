/** gateway/dataplane/p2p: the gateway's side of the UDP path, with fake links, fake processes and virtual time. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { DEFAULT_TIERS, type SwitchedTier } from '../../../../../conf/tiers.ts'
import { silentLog } from '../../../../../core/log.ts'
import { OwnAddresses } from '../../../../../gateway/dataplane/p2p/own-addresses.ts'
import type { P2pTransportDeps } from '../../../../../gateway/dataplane/p2p/p2p-deps.ts'
import { P2pTransport } from '../../../../../gateway/dataplane/p2p/p2p-transport.ts'
import type { SessionView, ToProcess } from '../../../../../gateway/dataplane/p2p/protocol.ts'
import type { ControlMessage } from '../../../../../gateway/links/types.ts'
import { SimTime, seeded } from '../../../../helpers/sim/network.ts'

type Session = Extract<ToProcess, { readonly type: 'session' }>

/** One host: its gateway's part, and a process that proves at once when both ends have the same key. */
class Host {
  readonly id: number
  readonly transport: P2pTransport
  readonly told: ToProcess[] = []
  readonly counts: string[] = []
  readonly changes: string[] = []
  problem: string | undefined
  session: Session | undefined
  generation = 0
  isPromoted = false
  isMember = true
  refusal: string | undefined
  readonly #world: World

  constructor(world: World, id: number, part: Partial<P2pTransportDeps>) {
    this.id = id
    this.#world = world
    const random = seeded(id)
    const host = this
    const scheduler = world.time.scheduler(() => 1_000_000)
    const overlay = { base: 0x0a640000, prefixLen: 16 }
    this.transport = new P2pTransport({
      hostId: id,
      conf: { enabled: true, off: new Set() },
      tiers: DEFAULT_TIERS,
      scheduler,
      random,
      newAttempt: () =>
        Math.floor(random() * 2 ** 48)
          .toString(16)
          .padStart(16, '0'),
      log: silentLog,
      links: {
        isUp: () => world.isUp,
        kind: () => (world.isUp ? 'link' : undefined),
        startInMs: () => world.startInMs,
        send: (to, message) => world.send(id, to, message),
        exportKey: (_to, bytes, label, context) =>
          world.isUp ? world.keyOf(bytes, label, context.toString()) : undefined,
        addresses: (to) => ({ local: `::ffff:192.0.2.${id}`, remote: `192.0.2.${to}` }),
      },
      process: {
        get problem() {
          return host.problem
        },
        send: (message) => host.#take(message),
      },
      members: () => (host.isMember ? [world.other(id)] : []),
      refusalOf: () => host.refusal,
      gatewayPath: () => ({ isUp: world.isUp, rttMs: 5 }),
      validUntil: () => world.validUntil,
      overlay,
      addresses: new OwnAddresses({
        overlay,
        scheduler,
        log: silentLog,
        stun: [],
        resolve: async () => [],
        members: () => [`192.0.2.${world.other(id)}:7443`],
        announced: () => [`192.0.2.${id}:7443`, 'name.example:7443', '[2001:db8::1]:7443'],
        advertised: [],
        portMapped: () => undefined,
        toProcess: (message) => host.#take(message),
      }),
      count: (name, _to, reason) => this.counts.push(reason === undefined ? name : `${name} ${reason}`),
      ...part,
    })
  }

  listen(): void {
    this.transport.onChange((to) => {
      const [candidate] = this.transport.candidates(to)
      this.changes.push(`${candidate?.escalation?.state} ${candidate?.tier} ${candidate?.hasChannel}`)
    })
  }

  hello(sessions: readonly SessionView[] = []): void {
    this.transport.processConnected({
      type: 'hello',
      protocol: 1,
      version: '0',
      pid: 1,
      hostId: this.id,
      device: { ifname: 'flatnet-p2p' },
      udp: { port: 7000 },
      features: { cipher: 'AES-256-GCM', gso: true, gro: true, uso: true, record: true },
      sessions,
    })
  }

  view(): SessionView | undefined {
    const { session } = this
    const peer = this.#world.host(this.#world.other(this.id)).session
    if (session === undefined) return undefined
    const isProven = peer?.secret === session.secret && this.#world.isOpen
    const answered = isProven ? 40 : 0
    return {
      hostId: session.hostId,
      attempt: session.attempt,
      generation: this.generation,
      isPromoted: this.isPromoted,
      isProven,
      isFullSize: isProven,
      ...(isProven && { rttMs: 4, jitterMs: 0.2, address: session.candidates[0]?.address ?? '' }),
      lossRate: 0,
      probes: { sent: 40, answered, window: answered },
      mtu: 1500,
      form: 'whole',
      txBytes: 0,
      rxBytes: answered,
      txBps: 0,
      rxBps: 0,
      suspect: false,
      lagMs: 0,
      since: 0,
    }
  }

  /** What the process does in a quarter of a second. */
  step(): void {
    const view = this.view()
    if (view !== undefined && this.problem === undefined)
      this.transport.processSaid({ type: 'state', session: view })
  }

  #take(message: ToProcess): boolean {
    if (this.problem !== undefined) return false
    this.told.push(message)
    const { time } = this.#world
    if (message.type === 'session') this.session = message
    else if (message.type === 'end') this.session = undefined
    else if (message.type === 'demote') this.isPromoted = false
    else if (message.type === 'promote') {
      this.isPromoted = true
      this.generation = message.generation
      time.after(1, () => this.transport.processSaid({ ...message, type: 'promoted' }))
    }
    return true
  }
}

class World {
  readonly time = new SimTime()
  isUp = true
  isOpen = true
  connection = 1
  validUntil = 2_000_000
  startInMs = 0
  readonly hosts: readonly Host[]
  readonly sent: ControlMessage[] = []

  constructor(part: (id: number) => Partial<P2pTransportDeps> = () => ({})) {
    this.hosts = [1, 2].map((id) => new Host(this, id, part(id)))
  }

  other = (id: number): number => 3 - id

  host(id: number): Host {
    const host = this.hosts[id - 1]
    if (host === undefined) throw new Error(`no host ${id}`)
    return host
  }

  keyOf(bytes: number, label: string, context: string): Buffer {
    const text = `${label} ${context} ${this.connection}`
    return createHash('shake256', { outputLength: bytes }).update(text).digest()
  }

  send(from: number, to: number, message: ControlMessage): boolean {
    if (!this.isUp) return false
    this.sent.push(message)
    const copy = JSON.parse(JSON.stringify(message)) as ControlMessage
    this.time.after(2, () => this.host(to).transport.receive(from, copy))
    return true
  }

  start(): this {
    for (const host of this.hosts) {
      host.listen()
      host.transport.start()
      host.hello()
    }
    return this
  }

  run(ms: number): this {
    for (let i = 0; i < ms / 250; i++) {
      this.time.run(250)
      for (const host of this.hosts) host.step()
    }
    return this
  }

  get states(): string {
    return this.hosts.map((h) => h.transport.view(this.other(h.id))?.state).join(' ')
  }
}

const ACTIVE = 'P2P_ACTIVE P2P_ACTIVE'

t.test('two hosts agree on keys and addresses, prove the path and move to it', async (t) => {
  const world = new World().start().run(5_000)
  t.equal(world.states, ACTIVE)
  const [one, two] = [world.host(1), world.host(2)]
  t.equal(one.session?.secret, two.session?.secret)
  t.equal(one.session?.secret.length, 128)
  t.equal(one.session?.validUntil, 2_000_000)
  t.same(
    one.session?.candidates.map((c) => c.address),
    ['192.0.2.2:7000', '[2001:db8::1]:7000'],
    'the UDP port, no names, no IPv4 in IPv6, each once',
  )
  t.match(one.told.slice(-1), [{ type: 'promote', generation: 1 }])
  t.match(
    one.told.find((m) => m.type === 'gatewayPath'),
    { isUp: true, rttMs: 5 },
  )
  t.same(one.counts, ['offered', 'promoted'])
  t.same(two.counts, ['promoted'])
  t.same([...new Set(one.changes)], ['P2P_ATTEMPTING ipv4 false', 'P2P_ACTIVE ipv4 true'])
})

t.test(
  'what STUN servers see is offered to peers that a try is under way with, and to no others',
  async (t) => {
    const world = new World().start()
    const offers = (): ControlMessage[] => world.sent.filter((m) => m.type === 'p2p.candidates')
    const say = (address: string): void =>
      world.host(1).transport.processSaid({
        type: 'ownAddresses',
        hosts: ['192.0.2.1:7000'],
        mapped: [{ server: '192.0.2.2:7443', address }],
      })
    world.time.run(100)
    say('203.0.113.7:4711')
    t.match(offers(), [{ candidates: ['192.0.2.1:7000', '203.0.113.7:4711'] }])
    world.run(5_000)
    t.equal(world.states, ACTIVE)
    say('203.0.113.7:4712')
    t.equal(offers().length, 1)
  },
)

t.test('nothing is tried where UDP is off, and the other host says why', async (t) => {
  const off =
    (conf: Partial<P2pTransportDeps['conf']>) =>
    (id: number): Partial<P2pTransportDeps> =>
      id === 2 ? { conf: { enabled: true, off: new Set(), ...conf } } : {}
  for (const conf of [{ enabled: false }, { off: new Set([1]) }]) {
    const world = new World(off(conf)).start().run(3_000)
    t.equal(world.states, 'GATEWAY_FALLBACK GATEWAY_ONLY')
    t.match(world.host(1).transport.view(2)?.reason, /^the peer refuses: P2P .*off there/)
    t.match(world.host(2).transport.view(1)?.reason, /^P2P .*off/)
  }
})

t.test('either host says what is in the way at the other one, and when it is gone', async (t) => {
  const world = new World().start()
  for (const host of world.hosts) host.transport.linkUp(world.other(host.id))
  world.run(5_000)
  t.equal(world.states, ACTIVE)
  for (const id of [1, 2]) {
    const [here, there] = [world.host(id), world.host(world.other(id))]
    here.transport.processSaid({ type: 'udp', port: 0, problem: 'EADDRINUSE' })
    // Before the next try, which begins 0.8 to 1.2 s later.
    world.run(500)
    t.match(here.transport.view(there.id)?.reason, /^the P2P process has no UDP socket: EADDRINUSE/)
    const { reason } = there.transport.view(id) ?? {}
    t.equal(reason, 'the peer refuses: its P2P process has no UDP socket: EADDRINUSE')
    here.transport.processSaid({ type: 'udp', port: 7000 })
    world.run(1_000)
    t.notMatch(there.transport.view(id)?.reason, /^the peer refuses/)
    world.run(20_000)
    t.equal(world.states, ACTIVE)
  }
  const said = world.sent.filter((m) => m.type === 'p2p.obstacle').map((m) => m['reason'])
  const socket = 'the P2P process has no UDP socket: EADDRINUSE'
  t.same(said, ['', '', socket, '', socket, ''], 'once for each link and each change')
})

t.test('a peer that says nothing runs an older version, and is believed when it speaks', async (t) => {
  const world = new World(() => ({}))
  const one = world.host(1)
  world.host(2).transport.receive = () => {}
  world.send = (from, to, message) => {
    if (from === 1 && world.isUp) world.time.after(2, () => world.host(to).transport.receive(from, message))
    return true
  }
  world.start()
  one.transport.linkUp(2)
  const reasons: string[] = []
  for (let ms = 0; ms < 20_000; ms += 250) reasons.push(world.run(250) && `${one.transport.view(2)?.reason}`)
  const [silent, unanswered] = [
    /says nothing about UDP; it runs an older version/,
    /does not answer the offer/,
  ]
  t.ok(reasons.slice(0, 39).some((reason) => unanswered.test(reason)))
  t.notOk(
    reasons.slice(0, 39).some((reason) => silent.test(reason)),
    'not in the first 10 s',
  )
  t.ok(reasons.some((reason) => silent.test(reason)))
  one.transport.receive(2, { type: 'p2p.state', generation: 0, isPromoted: false })
  t.notMatch(one.transport.view(2)?.reason, /says nothing/)
})

t.test('a host that is quarantined or leaves loses its keys at once', async (t) => {
  const world = new World().start().run(5_000)
  const one = world.host(1)
  one.refusal = 'two machines hold it'
  one.transport.refresh()
  t.match(one.told.at(-1), { type: 'end', hostId: 2, reason: 'not admitted' })
  t.match(one.transport.view(2)?.reason, /not admitted: two machines/)
  world.run(1_000)
  t.match(world.states, /GATEWAY_ONLY GATEWAY_FALLBACK/)

  const other = new World().start().run(5_000)
  const two = other.host(2)
  two.isMember = false
  two.transport.refresh()
  t.same(two.told.at(-1), { type: 'end', hostId: 1, reason: 'no member' })
  t.equal(two.transport.view(1), undefined)
  t.same(two.transport.hostIds(), [])
})

t.test('a process that is gone for a moment changes nothing; one that stays away does', async (t) => {
  const world = new World().start().run(5_000)
  const one = world.host(1)
  one.problem = 'ECONNREFUSED'
  one.transport.processDisconnected()
  world.run(1_000)
  t.equal(world.states, ACTIVE)
  one.problem = undefined
  const view = one.view()
  one.hello(view === undefined ? [] : [view])
  world.run(1_000)
  t.equal(world.states, ACTIVE, 'the gateway alone had lost it')

  one.problem = 'ECONNREFUSED'
  one.transport.processDisconnected()
  world.run(4_000)
  t.match(one.transport.view(2), { state: 'GATEWAY_ONLY', reason: /process does not run: ECONN/ })
  one.problem = undefined
  one.session = undefined
  one.isPromoted = false
  one.hello()
  world.run(20_000)
  t.equal(world.states, ACTIVE, 'and is back with a new process')
})

t.test('a session of a host that is no member is ended when the process is met', async (t) => {
  const world = new World().start().run(5_000)
  const one = world.host(1)
  const view = one.view()
  if (view === undefined) throw new Error('no session')
  one.hello([view, { ...view, hostId: 99 }])
  t.ok(one.told.some((m) => m.type === 'end' && m.hostId === 99))
  t.equal(world.states, ACTIVE)
})

t.test('keys of another connection prove nothing; the next try does', async (t) => {
  const world = new World()
  const two = world.host(2)
  world.start()
  world.time.after(3, () => {
    world.connection++
  })
  world.run(5_000)
  t.not(two.session?.secret, world.host(1).session?.secret)
  world.run(15_000)
  t.equal(world.states, ACTIVE)
})

t.test('an address that a peer sees is offered, at once to those who try', async (t) => {
  const world = new World()
  world.isOpen = false
  world.start().run(2_000)
  world.host(2).transport.processSaid({ type: 'observed', hostId: 1, address: '203.0.113.9:4000' })
  world.run(250)
  t.match(
    world.sent.filter((m) => m.type === 'p2p.candidates'),
    [{ candidates: ['192.0.2.2:7000', '[2001:db8::1]:7000', '203.0.113.9:4000'] }],
  )
  t.ok(world.host(1).told.some((m) => m.type === 'candidates' && m.hostId === 2))
  world.host(2).transport.processSaid({ type: 'observed', hostId: 1, address: '203.0.113.9:4000' })
  t.equal(world.sent.filter((m) => m.type === 'p2p.candidates').length, 1, 'said once')
})

t.test('a member that floods or talks nonsense is counted and not followed', async (t) => {
  const world = new World().start()
  const one = world.host(1)
  for (let i = 0; i < 100; i++) one.transport.receive(2, { type: 'p2p.request', reason: 7 })
  const tooMany = one.counts.filter((c) => c === 'refused too many').length
  const nonsense = one.counts.filter((c) => c === 'refused not understood').length
  t.equal(tooMany + nonsense, 100)
  t.ok(nonsense <= 31, `${nonsense} were read`)
  world.run(20_000)
  t.equal(world.states, ACTIVE, 'the peer itself goes on a moment later')
})

t.test('an offer of another version is refused with both numbers', async (t) => {
  const world = new World().start()
  const offer = { type: 'p2p.offer', attempt: '0'.repeat(16), generation: 0, candidates: [], version: 9 }
  world.host(2).transport.receive(1, offer)
  t.match(world.sent.at(-1), { type: 'p2p.refuse', reason: 'speaks version 9, this gateway 1' })
})

t.test('a device or a port that is lost ends the path and says why', async (t) => {
  const world = new World().start().run(5_000)
  const one = world.host(1)
  one.transport.processSaid({ type: 'device', ifname: 'flatnet-p2p', problem: 'EBUSY' })
  world.run(1_000)
  t.equal(world.states, ACTIVE, 'one that is back in a moment changes nothing here')
  world.run(3_000)
  t.match(one.transport.view(2), { state: 'GATEWAY_ONLY', reason: /no device: EBUSY/ })
  one.transport.processSaid({ type: 'device', ifname: 'flatnet-p2p' })
  one.transport.processSaid({ type: 'udp', port: 0, problem: 'EADDRINUSE' })
  t.match(one.transport.view(2), { state: 'GATEWAY_ONLY', reason: /no UDP socket: EADDRINUSE/ })
  one.transport.processSaid({ type: 'udp', port: 7000 })
  world.run(20_000)
  t.equal(world.states, ACTIVE)
})

t.test('the gateway path goes down: the process is told, and the path stays', async (t) => {
  const world = new World().start().run(5_000)
  const one = world.host(1)
  world.isUp = false
  one.transport.linkDown(2)
  world.run(5_000)
  t.match(one.told.filter((m) => m.type === 'gatewayPath').at(-1), { isUp: false })
  t.match(one.transport.view(2), { state: 'P2P_ACTIVE', reason: /gateway path is down/ })
  world.isUp = true
  for (const host of world.hosts) host.transport.linkUp(world.other(host.id))
  world.run(2_000)
  t.equal(world.states, ACTIVE)
})

t.test('renewed certificates prolong the session, also one that was adopted', async (t) => {
  const world = new World().start().run(5_000)
  const one = world.host(1)
  const told = (): Session[] => one.told.filter((m) => m.type === 'session')
  t.equal(told().length, 1)
  world.validUntil = 3_000_000
  world.run(2_000)
  t.match(told(), [{ validUntil: 2_000_000 }, { validUntil: 3_000_000, attempt: told()[0]?.attempt }])
  t.equal(told()[1]?.secret, told()[0]?.secret)
  const view = one.view()
  one.hello(view === undefined ? [] : [view])
  world.run(2_000)
  t.match(told()[2], { validUntil: 3_000_000, attempt: told()[0]?.attempt })
  t.equal(told().length, 3, 'once')
  t.equal(world.states, ACTIVE)
})

t.test('stopped, nothing is left to run', async (t) => {
  const world = new World().start().run(5_000)
  for (const host of world.hosts) host.transport.stop()
  const told = world.host(1).told.length
  world.time.run(60_000)
  t.equal(world.host(1).told.length, told)
})

t.test('tiers that are switched off: no offer, no address of them, and both hosts say why', async (t) => {
  const off = (...names: SwitchedTier[]): Partial<P2pTransportDeps> => {
    const switched = names.map((name) => [name, { ...DEFAULT_TIERS[name], enabled: false }])
    return { tiers: { ...DEFAULT_TIERS, ...Object.fromEntries(switched) } }
  }
  const world = new World((id) => (id === 2 ? off('ipv4') : {})).start()
  world.run(5_000)
  t.equal(world.states, ACTIVE)
  const [one, two] = [world.host(1), world.host(2)]
  t.same(two.session?.candidates, [{ address: '[2001:db8::1]:7000' }])
  t.same(two.session?.families, ['ipv6'])
  const answer = world.sent.find(({ type }) => type === 'p2p.answer')
  t.same(answer?.['candidates'], ['[2001:db8::1]:7000'])

  const none = new World((id) => (id === 2 ? off('ipv4', 'ipv6') : {})).start()
  for (const host of none.hosts) host.transport.linkUp(none.other(host.id))
  none.run(3_000)
  t.match(
    none.host(2).transport.view(1)?.reason,
    /^every UDP address .*: ipv4 \(paths\.tiers\.ipv4\.enabled\)/,
  )
  t.match(none.host(1).transport.view(2)?.reason, /^the peer refuses: every UDP address of that host /)
  t.equal(none.host(2).session, undefined)

  const kept = one.view()
  if (kept === undefined) throw new Error('no session')
  const later = new World(() => off('ipv4')).host(1)
  later.transport.start()
  later.hello([{ ...kept, address: '192.0.2.2:7000' }])
  t.ok(
    later.told.some(({ type }) => type === 'end'),
    'a session of the process that began under another configuration',
  )
})

t.test('a try lasts as long as its tiers may take', async (t) => {
  const short = {
    ...DEFAULT_TIERS,
    ipv4: { enabled: true, timeoutMs: 600 },
    ipv6: { enabled: true, timeoutMs: 600 },
  }
  const world = new World(() => ({ tiers: short }))
  world.isOpen = false
  world.start().run(1_500)
  t.match(world.host(1).transport.view(2), { state: 'GATEWAY_FALLBACK', reason: /no probe was answered/ })
})

t.test('who answers an offer starts when the answer is there', async (t) => {
  const world = new World()
  world.startInMs = 20
  world.start().run(5_000)
  t.equal(world.states, ACTIVE)
  t.same(
    world.hosts.map(({ session }) => session?.startInMs),
    [undefined, 20],
  )
})
