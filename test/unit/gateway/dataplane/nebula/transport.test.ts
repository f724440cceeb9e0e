/** gateway/dataplane/nebula: two hosts, their escalations and probes, in virtual time and without a kernel. */

import { createHash } from 'node:crypto'
import t from 'tap'
import { silentLog } from '../../../../../core/log.ts'
import { NebulaPlane } from '../../../../../gateway/dataplane/nebula/plane.ts'
import { NebulaTransport } from '../../../../../gateway/dataplane/nebula/transport.ts'
import type { ControlMessage } from '../../../../../gateway/links/types.ts'
import { SimTime, seeded } from '../../../../helpers/sim/network.ts'

const SUPERNET = { base: 0x0a640000, prefixLen: 16 }
const MTU = 1_300
const RTT_MS = 2

class Host {
  readonly id: number
  readonly routes = new Set<number>()
  readonly plane: NebulaPlane
  readonly transport: NebulaTransport
  readonly counts: string[] = []
  /** What a container or a LAN host may see of it. */
  readonly datagrams: Buffer[] = []
  carried = 0
  probes = 0
  readonly #world: World

  constructor(world: World, id: number) {
    this.id = id
    this.#world = world
    const scheduler = world.time.scheduler(() => 1_000_000)
    const random = seeded(id)
    const { routes } = this
    const hex = (): string => Math.floor(random() * 2 ** 48).toString(16)
    this.plane = new NebulaPlane(
      {
        hostId: id,
        scheduler,
        log: silentLog,
        mtu: MTU,
        randomToken: () => Math.floor(random() * 2 ** 32),
        carried: () => this.carried,
        routes: {
          add: (to) => void routes.add(to),
          ensure: () => undefined,
          forget: () => routes.clear(),
          remove: (to) => void routes.delete(to),
        },
      },
      {
        connected: (hello) => this.transport.inner.processConnected(hello),
        message: (message) => this.transport.inner.processSaid(message),
        disconnected: () => this.transport.inner.processDisconnected(),
      },
    )
    const { plane } = this
    this.transport = new NebulaTransport({
      hostId: id,
      overlay: SUPERNET,
      conf: { enabled: true, off: new Set() },
      scheduler,
      random,
      newAttempt: () => hex().padStart(16, '0'),
      log: silentLog,
      links: {
        isUp: () => world.isLinked,
        send: (_to, message) => world.tell(id, message),
        exportKey: (_to, bytes, label, context) => world.keyOf(bytes, label, context.toString()),
        addresses: () => undefined,
      },
      process: {
        get problem() {
          return plane.problem
        },
        send: (message) => plane.send(message),
      },
      members: () => [3 - id],
      refusalOf: () => undefined,
      gatewayPath: () => ({ isUp: world.isLinked, rttMs: 3 }),
      validUntil: () => world.validUntil,
      ownAddress: () => (plane.port === 0 ? undefined : `10.101.0.${id}:${plane.port}`),
      count: (name, _hostId, reason) => this.counts.push([name, reason ?? []].flat().join(' ')),
    })
    this.transport.inner.start()
  }

  /** Nebula has its device. */
  open(): void {
    const socket = {
      port: 40_000 + this.id,
      send: (datagram: Buffer, port: number, to: number): void => {
        this.probes++
        this.datagrams.push(datagram)
        this.#world.carry(this.id, to, port, datagram)
      },
      close() {},
    }
    this.plane.opened(socket, 'flatnet-nebula')
  }

  get via(): string | undefined {
    const [candidate] = this.transport.candidates(3 - this.id)
    return candidate?.escalation?.state
  }

  get reason(): string {
    return this.transport.info(3 - this.id, (at) => at)?.reason ?? ''
  }
}

class World {
  readonly time = new SimTime()
  readonly hosts: readonly [Host, Host]
  isLinked = true
  /** Of both certificates, by the wall clock, which begins at 1,000,000. */
  validUntil = 1_000_000_000
  /** From host 1, and to it. */
  isOpen: [boolean, boolean] = [true, true]
  largest = MTU - 28
  readonly types = new Set<string>()

  constructor() {
    this.hosts = [new Host(this, 1), new Host(this, 2)]
  }

  host(id: number): Host {
    return id === 1 ? this.hosts[0] : this.hosts[1]
  }

  link(): void {
    for (const { id, transport } of this.hosts) transport.inner.linkUp(3 - id)
  }

  tell(from: number, message: ControlMessage): boolean {
    this.types.add(message.type)
    if (!this.isLinked) return false
    const copy = JSON.parse(JSON.stringify(message))
    this.time.after(1, () => this.host(3 - from).transport.receive(from, copy))
    return true
  }

  keyOf(bytes: number, label: string, context: string): Buffer {
    return createHash('sha512').update(`${label} ${context}`).digest().subarray(0, bytes)
  }

  carry(from: number, to: number, port: number, datagram: Buffer): void {
    if (this.isOpen[from === 1 ? 0 : 1] !== true || datagram.byteLength > this.largest) return
    if (port !== 40_000 + to) return
    this.time.after(RTT_MS / 2, () => this.host(to).plane.received(from, Buffer.from(datagram)))
  }

  areRouted(): boolean {
    return this.hosts.every(({ routes, via }) => routes.size === 1 && via === 'P2P_ACTIVE')
  }
}

function promoted(validUntil = 1_000_000_000): World {
  const world = new World()
  world.validUntil = validUntil
  world.link()
  for (const host of world.hosts) host.open()
  const ms = world.time.runUntil(() => world.areRouted(), 20_000)
  if (ms === undefined) throw new Error(`no route: ${world.hosts.map(({ reason }) => reason).join(', ')}`)
  return world
}

t.test('both prove it, and then both set the route', (t) => {
  const world = promoted()
  const [one, two] = world.hosts
  t.match(one.transport.candidates(2), [
    {
      id: { kind: 'nebula' },
      tier: 'nebula',
      hasChannel: true,
      escalation: { reason: 'Nebula is proven both ways' },
    },
  ])
  const info = one.transport.info(2, (at) => at)
  t.match(info, { address: '10.101.0.2:40002', mtu: MTU, lossRate: 0 })
  for (const key of ['tier', 'form', 'txBps', 'rxBps']) t.notOk(key in (info ?? {}), `no ${key}`)
  t.ok(
    [...world.types].every((type) => type.startsWith('nebula.')),
    [...world.types].join(' '),
  )
  t.ok(
    one.datagrams.some(({ byteLength }) => byteLength === MTU - 28),
    'by full-size probes too',
  )
  t.same(
    [one.counts, two.counts].map((counts) => counts.includes('promoted')),
    [true, true],
  )
  t.end()
})

t.test('no answers: the route goes at once, and comes back after its wait', (t) => {
  const world = promoted()
  const [one] = world.hosts
  world.isOpen = [false, false]
  const ms = world.time.runUntil(() => world.hosts.every(({ routes }) => routes.size === 0), 3_000)
  t.ok(ms !== undefined && ms <= 800, `routes are gone after ${ms} ms`)
  t.ok(one.counts.includes('demoted no answer'))
  world.isOpen = [true, true]
  t.ok(
    world.time.runUntil(() => world.areRouted(), 120_000),
    'packets are back',
  )
  t.end()
})

t.test('one direction is dead: neither host uses it', (t) => {
  const world = promoted()
  world.isOpen = [true, false]
  const ms = world.time.runUntil(() => world.hosts.every(({ routes }) => routes.size === 0), 3_000)
  t.ok(ms !== undefined && ms <= 800, `routes are gone after ${ms} ms`)
  t.end()
})

t.test('full-size packets do not pass: it is not used', (t) => {
  const world = promoted()
  world.largest = 1_000
  t.ok(world.time.runUntil(() => world.hosts.every(({ routes }) => routes.size === 0), 10_000))
  const fresh = new World()
  fresh.largest = 1_000
  fresh.link()
  for (const host of fresh.hosts) host.open()
  t.equal(
    fresh.time.runUntil(() => fresh.areRouted(), 60_000),
    undefined,
    'nor is it ever',
  )
  t.end()
})

t.test('the device is gone: no route is left, and the next device is used', (t) => {
  const world = promoted()
  const [one, two] = world.hosts
  one.plane.closed('the device is gone')
  t.equal(one.routes.size, 0, 'at once')
  t.ok(
    world.time.runUntil(() => two.routes.size === 0, 3_000),
    'the peer leaves too',
  )
  world.time.run(3_000)
  t.match(one.reason, /^Nebula does not run: the device is gone/)
  one.open()
  t.ok(world.time.runUntil(() => world.areRouted(), 120_000))
  t.end()
})

t.test('the gateway path is down: the better of two bad ones is kept', (t) => {
  const world = promoted()
  world.isLinked = false
  for (const { id, transport } of world.hosts) transport.inner.linkDown(3 - id)
  world.time.run(2_000)
  world.isOpen = [false, false]
  world.time.run(5_000)
  t.same(
    world.hosts.map(({ routes }) => routes.size),
    [1, 1],
  )
  world.isLinked = true
  world.link()
  world.time.run(1_000)
  t.same(
    world.hosts.map(({ routes }) => routes.size),
    [0, 0],
    'until it is back',
  )
  t.end()
})

t.test('what a stranger sends proves nothing', (t) => {
  const world = promoted()
  const [one, two] = world.hosts
  const seen = [...one.datagrams]
  world.isOpen = [false, false]
  // Replayed to both, and noise: from the peer's address, as one could who can forge it.
  const replay = (): void => {
    for (const datagram of seen.slice(-20)) {
      two.plane.received(1, datagram)
      one.plane.received(2, datagram)
    }
    one.plane.received(2, Buffer.alloc(72, 0x46))
  }
  for (let i = 0; i < 100; i++) {
    replay()
    world.time.run(20)
  }
  t.same(
    world.hosts.map(({ routes }) => routes.size),
    [0, 0],
  )
  t.end()
})

t.test('an idle path is probed seldom, and packets make it busy again', (t) => {
  const world = promoted()
  const [one] = world.hosts
  world.time.run(120_000)
  one.probes = 0
  world.time.run(60_000)
  const idle = one.probes
  t.ok(idle <= 40, `${idle} datagrams in a minute without packets`)
  const carrying = setTraffic(world)
  one.probes = 0
  world.time.run(10_000)
  carrying()
  t.ok(one.probes >= 40, `${one.probes} datagrams in 10 s with packets`)
  t.end()
})

/** 100 packets a second through host 1's device. @returns how to end it */
function setTraffic(world: World): () => void {
  let isOver = false
  const again = (): void => {
    if (isOver) return
    world.hosts[0].carried += 10
    world.time.after(100, again)
  }
  again()
  return () => {
    isOver = true
  }
}

t.test('the loop stood still: probes are not judged by that time', (t) => {
  const world = promoted()
  const [one] = world.hosts
  const before = one.counts.length
  // Datagrams of this host arrive late, all at once, as after a pause of its loop.
  const { carry } = world
  const late: (() => void)[] = []
  world.carry = (...args) => {
    late.push(() => carry.apply(world, args))
  }
  world.time.run(90)
  world.carry = carry
  for (const send of late) send()
  world.time.run(2_000)
  t.equal(one.counts.length, before, 'no demotion')
  t.end()
})

t.test('the keys expire with the certificates', (t) => {
  const world = promoted(1_060_000)
  world.time.run(59_000 - world.time.now)
  t.ok(world.areRouted())
  world.time.run(3_000)
  t.same(
    world.hosts.map(({ routes }) => routes.size),
    [0, 0],
  )
  t.end()
})
