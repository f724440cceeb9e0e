/** Two and more hosts over a simulated plane: each rule of direct paths with its bound in time. */
import t from 'tap'
import { attempt, introduce, type SimHost, SimWorld } from '../../../../../helpers/sim/p2p-world.ts'

interface Pair {
  readonly world: SimWorld
  readonly a: SimHost
  readonly b: SimHost
}

function pair(options: { rekeyEveryMs?: number; validUntil?: number } = {}): Pair {
  const world = new SimWorld()
  const a = world.host(1, ['10.0.0.1:7443'], options.rekeyEveryMs)
  const b = world.host(2, ['10.0.0.2:7443'], options.rekeyEveryMs)
  introduce(a, b, options.validUntil)
  return { world, a, b }
}

const isProven = ({ a, b }: Pair): boolean => a.view(2).isProven && b.view(1).isProven

function promoted(options: { rekeyEveryMs?: number } = {}): Pair {
  const all = pair(options)
  all.world.until('proven', () => isProven(all))
  all.world.run(1_000)
  for (const [host, peer] of [
    [all.a, 2],
    [all.b, 1],
  ] as const) {
    host.order({ type: 'gatewayPath', hostId: peer, isUp: true })
    host.order({ type: 'promote', hostId: peer, attempt, generation: 1 })
  }
  return all
}

/** Packets in both directions, until the function is called. */
function traffic({ world, a, b }: Pair): () => void {
  const step = world.loses
  let isOn = true
  const look = setTrafficOn(world, () => {
    for (const host of [a, b])
      for (const peer of host.peers.values()) peer.counters.txBytes += isOn ? 1_000 : 0
    for (const host of [a, b]) host.sessions.look({ takeNews: () => [...host.peers.values()] })
  })
  world.loses = step
  return () => {
    isOn = false
    look()
  }
}

/** Calls `task` each ms of the world's time. */
function setTrafficOn(world: SimWorld, task: () => void): () => void {
  const run = world.run.bind(world)
  const until = world.until.bind(world)
  world.run = (ms) => {
    for (let i = 0; i < ms; i++) {
      task()
      run(1)
    }
  }
  world.until = (what, condition) =>
    until(what, () => {
      task()
      return condition()
    })
  return () => {
    world.run = run
    world.until = until
  }
}

t.test('two hosts that reach each other have proven it within 2 s, at full size', async (t) => {
  const all = pair()
  const ms = all.world.until('proven', () => isProven(all))
  t.ok(ms <= 2_000, `${ms} ms`)
  all.world.run(2_000)
  const view = all.a.view(2)
  t.equal(view.address, '10.0.0.2:7443')
  t.equal(view.mtu, 1_500)
  t.ok(view.isFullSize)
  t.equal(view.rttMs, 2)
  t.equal(all.a.peers.get(2)?.segmentBytes, 1_472)
  t.same(all.a.heard('observed'), [{ type: 'observed', hostId: 2, address: '10.0.0.1:7443' }])
  const states = all.a.heard('state').filter(({ session }) => session.isProven)
  t.ok(states.length > 0, 'the gateway is told')
})

t.test('one way blocked: neither side has proven anything', async (t) => {
  for (const blocked of ['10.0.0.1:7443', '10.0.0.2:7443']) {
    const { world, a, b } = pair()
    world.loses = ({ to }) => to === blocked
    world.run(10_000)
    t.notOk(a.view(2).isProven)
    t.notOk(b.view(1).isProven)
  }
})

t.test('datagrams above 1,200 bytes are dropped: never proven', async (t) => {
  const all = pair()
  all.world.loses = ({ bytes }) => bytes > 1_200
  all.world.run(10_000)
  t.notOk(all.a.view(2).isProven)
  t.ok((all.a.view(2).rttMs ?? 0) > 0, 'although it answers')
})

t.test('promotion', async (t) => {
  const { world, a } = pair()
  const order = (generation: number, of = attempt) =>
    a.order({ type: 'promote', hostId: 2, attempt: of, generation })
  order(1)
  t.match(a.heard('notPromoted').at(-1), { reason: 'not proven', generation: 1 })
  world.until('proven', () => a.view(2).isProven)
  order(1, 'ffffffffffffffff')
  t.match(a.heard('notPromoted').at(-1), { reason: 'another attempt' })
  order(5)
  t.match(a.heard('promoted'), [{ hostId: 2, attempt, generation: 5 }])
  t.ok(a.routes.has(2))
  a.order({ type: 'demote', hostId: 2, generation: 4, reason: 'slower' })
  t.ok(a.routes.has(2), 'a demotion that is older than the promotion is ignored')
  a.order({ type: 'demote', hostId: 2, generation: 6, reason: 'slower' })
  t.match(a.heard('demoted'), [{ generation: 6, reason: 'slower' }])
  t.notOk(a.routes.has(2))
  order(5)
  t.match(a.heard('notPromoted').at(-1), { reason: 'an older generation' })
  a.order({ type: 'promote', hostId: 9, attempt, generation: 1 })
  t.match(a.heard('notPromoted').at(-1), { hostId: 9, reason: 'no such session' })
})

t.test('local demotion', async (t) => {
  t.test('under traffic within 0.6 s', async (t) => {
    for (const offset of [0, 70, 140, 210]) {
      const all = promoted()
      const stop = traffic(all)
      all.world.run(3_000 + offset)
      all.world.loses = () => true
      const ms = all.world.until('both demoted', () => all.a.routes.size + all.b.routes.size === 0)
      t.ok(ms <= 600, `${ms} ms`)
      t.match(all.a.heard('demoted'), [{ reason: 'no answer', generation: 2 }])
      stop()
    }
  })

  t.test('idle within 2 s', async (t) => {
    const all = promoted()
    all.world.run(30_400)
    all.world.loses = () => true
    const ms = all.world.until('both demoted', () => all.a.routes.size + all.b.routes.size === 0)
    t.ok(ms <= 2_000, `${ms} ms`)
  })

  t.test('one direction is enough for both', async (t) => {
    const all = promoted()
    const stop = traffic(all)
    all.world.run(1_000)
    all.world.loses = ({ to }) => to === '10.0.0.1:7443'
    const ms = all.world.until('both demoted', () => all.a.routes.size + all.b.routes.size === 0)
    t.ok(ms <= 1_000, `${ms} ms`)
    stop()
  })

  t.test('never to a gateway path that is down', async (t) => {
    const all = promoted()
    all.a.order({ type: 'gatewayPath', hostId: 2, isUp: false })
    all.world.loses = () => true
    all.world.run(20_000)
    t.ok(all.a.routes.has(2), 'stays on the better of two bad ones')
    t.match(all.a.view(2), { isPromoted: true, isProven: false, suspect: true })
    all.a.order({ type: 'gatewayPath', hostId: 2, isUp: true })
    t.notOk(all.a.routes.has(2), 'until the gateway path is back')
    t.match(all.a.heard('demoted'), [{ reason: 'no answer' }])
  })

  t.test('and it is proven again once it answers, without a promotion', async (t) => {
    const all = promoted()
    all.world.loses = () => true
    all.world.run(5_000)
    all.world.loses = () => false
    const ms = all.world.until('proven', () => isProven(all))
    t.ok(ms < 7_000, `${ms} ms`)
    t.notOk(all.a.view(2).isPromoted)
  })

  t.test('a promotion that crosses it is too old', async (t) => {
    const all = promoted()
    all.world.loses = () => true
    all.world.run(3_000)
    all.world.loses = () => false
    all.world.until('proven', () => isProven(all))
    all.a.order({ type: 'promote', hostId: 2, attempt, generation: 1 })
    t.match(all.a.heard('notPromoted').at(-1), { reason: 'an older generation' })
  })

  t.test('the device is gone', async (t) => {
    const { a } = promoted()
    a.sessions.deviceLost()
    t.match(a.heard('demoted'), [{ reason: 'device lost' }])
  })
})

t.test('ends', async (t) => {
  t.test('the peer said goodbye', async (t) => {
    const { world, a, b } = promoted()
    a.order({ type: 'end', hostId: 2, reason: 'the host was revoked' })
    world.run(5)
    t.match(b.heard('demoted'), [{ reason: 'peer said goodbye' }])
    t.match(b.heard('ended'), [{ hostId: 1, attempt, reason: 'peer said goodbye' }])
    t.equal(a.routes.size + b.routes.size, 0, 'the routes go at once')
    t.same([a.peers.size, b.peers.size], [1, 1], 'packets that are on their way are delivered')
    world.run(120)
    t.equal(
      a.sessions.size + b.sessions.size + a.routes.size + b.routes.size + a.peers.size + b.peers.size,
      0,
    )
    t.equal(b.sessions.nextAt, Number.POSITIVE_INFINITY, 'nothing is left to wait for')
  })

  t.test('a certificate ends', async (t) => {
    const { world, a } = pair({ validUntil: 1_790_000_000_000 + 5_000 })
    world.run(4_900)
    t.equal(a.sessions.size, 1)
    world.run(200)
    t.match(a.heard('ended'), [{ reason: 'keys expired' }])
  })

  t.test('the process stops', async (t) => {
    const { world, a, b } = promoted()
    a.sessions.leave()
    t.equal(a.routes.size, 0)
    world.run(5)
    t.match(b.heard('ended'), [{ reason: 'peer said goodbye' }])
    world.run(120)
    t.equal(a.sessions.size, 0)
  })

  t.test('a new attempt begins while the old session lingers', async (t) => {
    const all = promoted()
    all.a.order({ type: 'end', hostId: 2, reason: 'off' })
    all.world.run(5)
    t.equal(all.b.heard('ended').length, 1)
    introduce(all.a, all.b)
    const ms = all.world.until('proven', () => isProven(all))
    t.ok(ms <= 2_000, `${ms} ms`)
    all.world.run(1_000)
    t.ok(isProven(all), 'the end of the old one is not its end')
  })
})

t.test('keys', async (t) => {
  t.test('are changed while the path carries', async (t) => {
    const all = promoted({ rekeyEveryMs: 3_000 })
    const indices = new Set<number>()
    for (let i = 0; i < 40; i++) {
      all.world.run(1_000)
      indices.add(all.a.peers.get(2)?.seal.seal.index ?? 0)
    }
    t.ok(indices.size >= 12, `${indices.size} keys in 40 s`)
    t.ok(all.a.view(2).isPromoted && all.b.view(1).isPromoted)
    t.equal(all.a.peers.get(2)?.seal.seal.index, all.b.peers.get(1)?.opens[0]?.open.index)
  })

  t.test('also when a third of all datagrams is lost', async (t) => {
    const all = pair({ rekeyEveryMs: 3_000 })
    let n = 0
    all.world.loses = () => n++ % 3 === 0
    all.world.run(60_000)
    all.world.loses = () => false
    all.world.run(10_000)
    t.ok(isProven(all), 'both still open what the other seals')
  })

  t.test('of a new attempt take the place of the old ones without a gap', async (t) => {
    const all = promoted()
    const renew = { type: 'session', attempt: 'fedcba9876543210', secret: 'cd'.repeat(64) } as const
    const validUntil = 1_900_000_000_000
    all.b.order({ ...renew, hostId: 1, candidates: [{ address: '10.0.0.1:7443' }], validUntil })
    all.world.run(20)
    all.a.order({ ...renew, hostId: 2, candidates: [{ address: '10.0.0.2:7443' }], validUntil })
    all.world.run(5_000)
    t.match(all.a.view(2), { isPromoted: true, isProven: true, attempt: 'fedcba9876543210' })
    t.match(all.b.view(1), { isPromoted: true, isProven: true })
    t.same(all.a.heard('demoted'), [])
  })

  t.test('of a new attempt are used at once by both hosts when the path carries nothing', async (t) => {
    const { world, a, b } = promoted()
    world.loses = () => true
    world.until('demoted', () => a.heard('demoted').length + b.heard('demoted').length === 2)
    for (const n of ['1', '2', '3']) {
      for (const host of [b, a]) {
        const hostId = host === a ? 2 : 1
        const candidates = (host === a ? b : a).addresses.map((address) => ({ address }))
        const renewed = { attempt: n.repeat(16), secret: n.repeat(128), validUntil: 1_900_000_000_000 }
        host.order({ type: 'session', hostId, candidates, ...renewed })
      }
      world.run(11_000)
    }
    const before = a.peers.get(2)?.counters.rxDatagrams
    // Through a TURN server of its own, a host sends nothing before it has a datagram whose key it knows.
    world.loses = ({ from }) => from === '10.0.0.1:7443' && a.peers.get(2)?.counters.rxDatagrams === before
    b.order({ type: 'probeNow', hostId: 1 })
    const ms = world.until('proven', () => isProven({ world, a, b }))
    t.ok(ms <= 2_000, `${ms} ms`)
  })
})

t.test('addresses', async (t) => {
  t.test('a NAT maps the peer anew: followed at once', async (t) => {
    const all = promoted()
    const stop = traffic(all)
    all.world.run(1_000)
    const [b] = all.b.addresses
    all.b.addresses.push('10.0.0.2:9999')
    all.world.source = (from) => (from === b ? '10.0.0.2:9999' : from)
    all.world.loses = ({ to }) => to === b
    all.world.run(2_000)
    t.equal(all.a.view(2).address, '10.0.0.2:9999')
    t.same(all.a.heard('demoted').length + all.b.heard('demoted').length, 0)
    stop()
  })

  t.test('the LAN address is chosen, and both use that pair', async (t) => {
    const world = new SimWorld()
    const a = world.host(1, ['198.51.100.1:7443'])
    const b = world.host(2, ['10.0.0.2:7443', '198.51.100.2:7443'])
    world.delayMs = ({ to }) => (to.startsWith('10.') ? 3 : 1)
    introduce(a, b)
    world.until('proven', () => isProven({ world, a, b }))
    t.equal(a.view(2).address, '10.0.0.2:7443')
    world.run(100_000)
    const moves = a.heard('state').map(({ session }) => session.address)
    t.equal(new Set(moves.filter((m) => m !== undefined)).size, 1, 'and does not change')
  })

  t.test('an address that stops to answer gives way to one that does', async (t) => {
    const world = new SimWorld()
    const a = world.host(1, ['10.0.0.1:7443'])
    const b = world.host(2, ['10.0.0.2:7443', '198.51.100.2:7443'])
    introduce(a, b)
    world.until('proven', () => isProven({ world, a, b }))
    world.loses = ({ to }) => to === '10.0.0.2:7443'
    world.until('lost', () => !a.view(2).isProven)
    const ms = world.until('proven again', () => a.view(2).isProven)
    t.equal(a.view(2).address, '198.51.100.2:7443')
    t.ok(ms < 3_000, `${ms} ms`)
  })

  t.test('this host’s link refuses 1,500 bytes', async (t) => {
    const all = pair()
    all.a.mtu = 1_450
    all.world.until('proven', () => isProven(all))
    all.world.run(2_000)
    t.equal(all.a.view(2).mtu, 1_400)
    t.equal(all.b.view(1).mtu, 1_500, 'each direction has its own')
  })
})

t.test('the path MTU shrinks in mid-transfer: the datagrams do, and the path stays', async (t) => {
  const all = promoted()
  const stop = traffic(all)
  all.world.run(2_000)
  t.equal(all.a.view(2).mtu, 1_500)
  all.world.loses = ({ bytes }) => bytes > 1_420
  const ms = all.world.until('smaller', () => all.a.view(2).mtu < 1_500 && all.b.view(1).mtu < 1_500)
  t.ok(ms <= 2_000, `${ms} ms`)
  all.world.run(2_000)
  t.equal(all.a.view(2).mtu, 1_400)
  t.same(all.a.heard('demoted').length, 0)
  stop()
})

t.test('datagrams above 1,200 bytes are dropped on a path in use: demoted', async (t) => {
  const all = promoted()
  const stop = traffic(all)
  all.world.run(1_000)
  all.world.loses = ({ bytes }) => bytes > 1_200
  const ms = all.world.until('demoted', () => all.a.routes.size + all.b.routes.size === 0)
  t.ok(ms <= 5_000, `${ms} ms`)
  stop()
})

t.test('2 % loss demotes nothing in ten minutes', async (t) => {
  const all = promoted()
  const stop = traffic(all)
  let seed = 42
  all.world.loses = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    return seed / 2_147_483_648 < 0.02
  }
  all.world.run(120_000)
  t.same(all.a.heard('demoted').length + all.b.heard('demoted').length, 0)
  t.ok(all.a.view(2).lossRate < 0.15)
  stop()
})

t.test('half of all peers silent at once: asked once more before any is given up', async (t) => {
  const world = new SimWorld()
  const hub = world.host(100, ['10.0.0.100:7443'])
  const peers = Array.from({ length: 6 }, (_, i) => world.host(i + 1, [`10.0.0.${i + 1}:7443`]))
  for (const peer of peers) introduce(peer, hub)
  world.until('proven', () => peers.every((peer) => hub.view(peer.hostId).isProven))
  for (const { hostId } of peers) {
    hub.order({ type: 'gatewayPath', hostId, isUp: true })
    hub.order({ type: 'promote', hostId, attempt, generation: 1 })
  }
  world.run(1_000)
  // A probe that goes at its very beginning: 0.1 s of patience and two bursts of 0.15 s.
  let end = world.now + 390
  world.loses = () => world.now < end
  world.run(3_000)
  t.equal(hub.routes.size, 6, 'an outage of 0.39 s of this host')
  end = Number.POSITIVE_INFINITY
  const ms = world.until('demoted', () => hub.routes.size === 0)
  t.ok(ms < 2_200, `one that lasts: ${ms} ms`)
})

t.test('the machine slept: paths are probed anew and not given up', async (t) => {
  const all = promoted()
  all.world.run(2_000)
  all.world.now += 3_600_000
  for (const host of [all.a, all.b]) host.sessions.late(3_600_000)
  all.world.run(5_000)
  t.ok(isProven(all))
  t.same(all.a.heard('demoted'), [])
})

t.test(
  'a process that stands still again and again gives up no path, and takes it for no slower',
  async (t) => {
    for (const ms of [110, 250, 900, 3_000]) {
      const all = promoted()
      const stop = traffic(all)
      all.world.run(2_000)
      const before = all.a.view(2).rttMs ?? 0
      for (let i = 0; i < 60; i++) {
        all.a.standsUntil = all.world.now + ms
        // A loop that has just enough time between for one turn, or for a few.
        all.world.run(ms + (i % 3) * 20 + 1)
      }
      t.ok(all.a.routes.has(2), `${ms} ms`)
      t.same(all.a.heard('demoted'), [])
      t.ok((all.a.view(2).rttMs ?? 0) < before + 100, `${before} ms, then ${all.a.view(2).rttMs}`)
      stop()
    }
  },
)

t.test('a dead path is given up also by a process that stands still now and then', async (t) => {
  const all = promoted()
  const stop = traffic(all)
  all.world.run(2_000)
  all.world.loses = () => true
  const since = all.world.now
  while (all.a.routes.has(2) && all.world.now - since < 10_000) {
    all.a.standsUntil = all.world.now + 150
    all.world.run(200)
  }
  t.ok(all.world.now - since < 6_000, `${all.world.now - since} ms`)
  stop()
})

t.test('peers of a host that is never there cost little', async (t) => {
  const world = new SimWorld()
  const a = world.host(1, ['10.0.0.1:7443'])
  const ghost = world.host(2, ['10.0.0.2:7443'])
  introduce(a, ghost)
  world.loses = () => true
  world.run(20_000)
  const before = a.sent
  world.run(600_000)
  t.ok(a.sent - before <= 21, `${a.sent - before} datagrams in ten minutes`)
})
