/** gateway/dataplane/nat/port-mapping: when the router is asked, what is kept, and what comes of refusals. */
import t from 'tap'
import type { PortMappingProtocol } from '../../../../../../conf/port-mapping.ts'
import { silentLog } from '../../../../../../core/log.ts'
import { PortMapping } from '../../../../../../gateway/dataplane/nat/port-mapping/port-mapping.ts'
import type { PortMappingDeps } from '../../../../../../gateway/dataplane/nat/port-mapping/port-mapping-deps.ts'
import type { SavedMapping } from '../../../../../../gateway/dataplane/nat/port-mapping/record.ts'
import type {
  Answer,
  MappedByUpnp,
  MappingRequest,
  RouterPlace,
} from '../../../../../../gateway/dataplane/nat/port-mapping/types.ts'
import { SimTime } from '../../../../../helpers/sim/network.ts'

const HOME = { gateway: '192.168.1.1', ownAddress: '192.168.1.2' }
const OTHER = { gateway: '192.168.7.1', ownAddress: '192.168.7.2' }
const ALL = ['pcp', 'nat-pmp', 'upnp'] as const
const MINUTE_MS = 60_000

interface Ask extends MappingRequest {
  readonly protocols: readonly PortMappingProtocol[]
  readonly place: RouterPlace
  readonly at: number
}

/** Answers are settled in the turn after the one in which time went on. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function make(part: Partial<PortMappingDeps> = {}) {
  const time = new SimTime()
  const world = {
    time,
    asks: [] as Ask[],
    saved: undefined as SavedMapping | undefined,
    place: HOME as ReturnType<PortMappingDeps['place']>,
    made: 0,
    /** When the router lost its mappings, ms; undefined: it does not answer. */
    bootedAt: -1_000_000 as number | undefined,
    epochs: 0,
    isThere: ((_mapping) => ({ isThere: true })) as (
      mapping: MappedByUpnp,
    ) => { readonly isThere: boolean } | { readonly refused: string },
    announce: undefined as (() => void) | undefined,
    answer: ((ask) => ({
      granted: {
        protocol: ask.protocols[0] ?? 'pcp',
        external: `203.0.113.5:${ask.externalPort}`,
        lifetimeS: ask.lifetimeS,
      },
    })) as (ask: Ask) => Answer | Promise<Answer>,
    async run(ms: number) {
      for (let left = ms; left > 0; left -= 1_000) {
        time.run(Math.min(left, 1_000))
        await settled()
      }
    },
    mapping: undefined as unknown as PortMapping,
  }
  world.mapping = new PortMapping({
    protocols: ALL,
    scheduler: time.scheduler(() => 0),
    random: () => 0.5,
    log: silentLog,
    record: {
      load: () => world.saved,
      save: (saved) => {
        world.saved = saved
      },
      clear: () => {
        world.saved = undefined
      },
    },
    newNonce: () => 'a1'.repeat(12),
    place: () => world.place,
    mayOffer: (external) => !external.startsWith('0.0.0.0'),
    ask: async (protocols, place, request) => {
      const ask = { ...request, protocols, place, at: time.now }
      world.asks.push(ask)
      return world.answer(ask)
    },
    askEpoch: async () => {
      world.epochs++
      if (world.bootedAt === undefined) return { refused: 'no answer' }
      return { seconds: Math.floor((time.now - world.bootedAt) / 1_000) }
    },
    isMapped: async (_, mapping) => {
      world.epochs++
      return world.isThere(mapping)
    },
    hear: (_protocol, _place, announced) => {
      world.announce = announced
      return {
        [Symbol.dispose]: () => {
          world.announce = undefined
        },
      }
    },
    made: () => {
      world.made++
    },
    ...part,
  })
  return world
}

t.test('asked for when the process listens, renewed at half of its life, deleted at the end', async (t) => {
  const world = make()
  const { asks, mapping } = world
  mapping.start()
  await world.run(MINUTE_MS)
  t.same(asks, [], 'nothing listens yet')
  mapping.listens(7_443)
  await world.run(1_000)
  t.match(asks, [{ protocols: ALL, place: HOME, port: 7_443, externalPort: 7_443, lifetimeS: 3_600 }])
  t.equal(mapping.external, '203.0.113.5:7443')
  t.match(mapping.status, {
    protocol: 'pcp',
    external: '203.0.113.5:7443',
    router: '192.168.1.1',
    reason: undefined,
  })
  await world.run(30 * MINUTE_MS)
  t.match(asks.slice(1), [{ protocols: ['pcp'], lifetimeS: 3_600 }])
  mapping.listens(7_443)
  await world.run(1_000)
  t.equal(asks.length, 2, 'the same port again')
  await mapping.stop()
  t.match(asks.at(-1), { protocols: ['pcp'], lifetimeS: 0, externalPort: 7_443 })
  t.same(mapping.external, undefined)
  await world.run(120 * MINUTE_MS)
  t.equal(asks.length, 3, 'nothing more after the end')
})

t.test('peers are told of each new address, not of each renewal', async (t) => {
  const world = make()
  world.mapping.listens(7_443)
  await world.run(60 * MINUTE_MS)
  t.equal(world.made, 1)
  world.answer = () => ({ granted: { protocol: 'pcp', external: '203.0.113.9:7443', lifetimeS: 3_600 } })
  await world.run(31 * MINUTE_MS)
  t.equal(world.made, 2)
})

t.test('refusals: asked again after a minute, and ever later, an hour at most', async (t) => {
  const world = make()
  world.answer = () => ({ refused: 'PCP: not allowed', isDenied: true })
  world.mapping.listens(7_443)
  await world.run(300 * MINUTE_MS)
  const gaps = world.asks.slice(1).map(({ at }, i) => Math.round((at - (world.asks[i]?.at ?? 0)) / MINUTE_MS))
  t.same(gaps, [1, 2, 4, 8, 16, 32, 60, 60, 60])
  t.match(world.mapping.status, { reason: 'PCP: not allowed', isDenied: true, external: undefined })
  world.mapping.networkChanged()
  await world.run(3_000)
  t.equal(world.asks.length, 11, 'a change of the network is worth a try')
})

t.test('a reason is logged once, and each change of the mapping', async (t) => {
  const lines: string[] = []
  const log = {
    ...silentLog,
    debug: (_: unknown, msg: string) => lines.push(msg),
    info: (_: unknown, msg: string) => lines.push(msg),
  }
  const world = make({ log: log as unknown as PortMappingDeps['log'] })
  const granted = world.answer
  world.answer = () => ({ refused: 'PCP: no answer' })
  world.mapping.listens(7_443)
  await world.run(20 * MINUTE_MS)
  t.same(lines, ['port mapping could not be had'])
  world.answer = granted
  await world.run(100 * MINUTE_MS)
  world.place = { problem: 'this host has no default route by a router' }
  world.mapping.networkChanged()
  await world.run(MINUTE_MS)
  t.same(lines.slice(1), ['port mapping was made', 'port mapping was lost', 'port mapping could not be had'])
})

t.test('a mapping that cannot be renewed stays until it expires', async (t) => {
  const world = make()
  world.mapping.listens(7_443)
  await world.run(1_000)
  world.answer = () => ({ refused: 'PCP: no answer' })
  await world.run(59 * MINUTE_MS)
  t.equal(world.mapping.external, '203.0.113.5:7443')
  t.match(world.mapping.status, { external: '203.0.113.5:7443', reason: 'PCP: no answer' })
  await world.run(2 * MINUTE_MS)
  t.equal(world.mapping.external, undefined)
  t.same(world.asks.at(-1)?.protocols, ALL, 'then by any protocol')
})

t.test('another network: the mapping is lost, and asked for there', async (t) => {
  const world = make()
  world.mapping.listens(7_443)
  await world.run(10_000)
  world.place = OTHER
  world.answer = () => new Promise(() => {})
  for (let i = 0; i < 20; i++) world.mapping.networkChanged()
  await world.run(3_000)
  t.equal(world.mapping.external, undefined)
  t.match(world.asks.slice(1), [{ place: OTHER, protocols: ALL }], 'once for all changes')
})

t.test('the same network again: the router may have forgotten', async (t) => {
  const world = make()
  world.mapping.listens(7_443)
  await world.run(10_000)
  world.mapping.networkChanged()
  await world.run(3_000)
  t.equal(world.mapping.external, '203.0.113.5:7443', 'offered meanwhile')
  t.match(world.asks[1], { protocols: ['pcp'], externalPort: 7_443 })
})

t.test('an answer that comes too late is none', async (t) => {
  const world = make()
  const first = Promise.withResolvers<Answer>()
  world.answer = () => first.promise
  world.mapping.listens(7_443)
  await world.run(3_000)
  world.place = { problem: 'this host has no default route by a router' }
  world.mapping.networkChanged()
  await world.run(3_000)
  first.resolve({ granted: { protocol: 'pcp', external: '203.0.113.5:7443', lifetimeS: 60 } })
  await world.run(1_000)
  t.equal(world.mapping.external, undefined)
  t.match(world.mapping.status, { reason: 'this host has no default route by a router', router: undefined })
})

t.test('an address where no host can be is not offered', async (t) => {
  const world = make()
  world.answer = () => ({ granted: { protocol: 'upnp', external: '0.0.0.0:7443', lifetimeS: 3_600 } })
  world.mapping.listens(7_443)
  await world.run(1_000)
  t.equal(world.mapping.external, undefined)
  t.match(world.mapping.status, { reason: /0\.0\.0\.0:7443/ })
})

t.test('a router that grants a second is asked twice a minute', async (t) => {
  const world = make()
  world.answer = () => ({ granted: { protocol: 'pcp', external: '203.0.113.5:7443', lifetimeS: 1 } })
  world.mapping.listens(7_443)
  await world.run(5 * MINUTE_MS)
  t.ok(world.asks.length <= 11, `${world.asks.length} times in 5 min`)
})

t.test('another port: the old mapping is deleted', async (t) => {
  const world = make()
  world.mapping.listens(7_443)
  await world.run(3_000)
  world.mapping.listens(undefined)
  await world.run(3_000)
  t.equal(world.mapping.external, '203.0.113.5:7443', 'the process is started anew')
  world.mapping.listens(8_443)
  await world.run(3_000)
  t.match(world.asks.slice(1), [
    { lifetimeS: 0, port: 7_443 },
    { lifetimeS: 3_600, port: 8_443 },
  ])
  t.equal(world.mapping.external, '203.0.113.5:8443')
  t.equal(world.saved?.port, 8_443, 'its record stands')
})

const SAVED = { ...HOME, protocol: 'upnp', port: 7_443, externalPort: 7_450, nonce: 'b2'.repeat(12) } as const

t.test('after a kill the mapping is taken over', async (t) => {
  const world = make()
  world.saved = SAVED
  world.mapping.listens(7_443)
  await world.run(1_000)
  const protocols = ['upnp', 'pcp', 'nat-pmp']
  t.match(world.asks, [{ protocols, externalPort: 7_450, nonce: SAVED.nonce }])
  t.equal(world.mapping.external, '203.0.113.5:7450')
})

t.test('what was mapped at another router is not looked for here', async (t) => {
  const world = make()
  world.saved = { ...SAVED, ...OTHER }
  world.mapping.listens(7_443)
  await world.run(1_000)
  t.match(world.asks, [{ protocols: ALL, externalPort: 7_443, nonce: 'a1'.repeat(12) }])
})

t.test('switched off: what an earlier run mapped is deleted', async (t) => {
  const world = make({ protocols: [] })
  world.saved = SAVED
  world.mapping.start()
  world.mapping.listens(7_443)
  await world.run(MINUTE_MS)
  t.match(world.asks, [{ protocols: ['upnp'], lifetimeS: 0, externalPort: 7_450, nonce: SAVED.nonce }])
  t.equal(world.saved, undefined)
  t.match(world.mapping.status, { reason: 'switched off' })
})

t.test('the record stays while the router does not confirm', async (t) => {
  const world = make()
  world.mapping.listens(7_443)
  await world.run(1_000)
  world.answer = () => ({ refused: 'PCP: no answer' })
  await world.mapping.stop()
  t.match(world.saved, { port: 7_443, protocol: 'pcp' })
})

t.test('while direct paths do not listen, a mapping is offered as long as the router keeps it', async (t) => {
  const { mapping, run } = make()
  mapping.listens(7443)
  await run(1_000)
  t.equal(mapping.external, '203.0.113.5:7443')
  mapping.listens(undefined)
  await run(59 * MINUTE_MS)
  t.equal(mapping.external, '203.0.113.5:7443')
  await run(2 * MINUTE_MS)
  t.equal(mapping.external, undefined)
  t.equal(mapping.status.external, undefined)
  await mapping.stop()
})

t.test(
  'a router that was started anew is noticed within 2 min, and asked for the same mapping',
  async (t) => {
    const world = make()
    world.mapping.listens(7_443)
    await world.run(10 * MINUTE_MS)
    t.equal(world.asks.length, 1)
    world.bootedAt = undefined
    await world.run(MINUTE_MS)
    world.bootedAt = world.time.now
    world.answer = () => ({ granted: { protocol: 'pcp', external: '203.0.113.9:7443', lifetimeS: 3_600 } })
    const since = world.time.now
    await world.run(2 * MINUTE_MS + 1_000)
    t.equal(world.asks.length, 2)
    t.ok((world.asks[1]?.at ?? Infinity) - since <= 2 * MINUTE_MS + 1_000)
    t.match(world.asks[1], { protocols: ['pcp'], externalPort: 7_443, nonce: 'a1'.repeat(12) })
    t.equal(world.mapping.external, '203.0.113.9:7443', 'it has another address now')
    t.equal(world.made, 2)
    await world.run(20 * MINUTE_MS)
    t.equal(world.asks.length, 2, 'once')
  },
)

t.test('what it announces makes the gateway ask the router itself, at most every 5 s', async (t) => {
  const world = make()
  world.mapping.listens(7_443)
  await world.run(60_000)
  const before = world.epochs
  for (let i = 0; i < 1_000; i++) world.announce?.()
  await world.run(4_000)
  t.ok(world.epochs - before <= 1, `${world.epochs - before} questions`)
  t.equal(world.asks.length, 1, 'an announcement alone changes nothing')
  world.bootedAt = world.time.now
  world.announce?.()
  await world.run(8_000)
  t.equal(world.asks.length, 2, 'the router confirms it')
  await world.mapping.stop()
  t.equal(world.announce, undefined, 'and it is not listened to any more')
})

const SERVICE = {
  type: 'urn:schemas-upnp-org:service:WANIPConnection:1',
  controlUrl: 'http://192.168.1.1:5000/ctl',
}
const byUpnp = { protocol: 'upnp', external: '203.0.113.5:7444', lifetimeS: 3_600, service: SERVICE } as const

t.test(
  'a router by UPnP is asked for the mapping every 2 min; when it has forgotten it, it gets it again',
  async (t) => {
    const world = make({ protocols: ['upnp'] })
    world.answer = () => ({ granted: byUpnp })
    world.mapping.listens(7_443)
    await world.run(10 * MINUTE_MS)
    t.equal(world.asks.length, 1)
    t.ok(world.epochs >= 5 && world.epochs <= 6, `${world.epochs} questions`)
    const since = world.time.now
    world.isThere = (mapping) => {
      t.same(mapping, { service: SERVICE, port: 7_443, externalPort: 7_444 })
      return { isThere: world.asks.length > 1 }
    }
    await world.run(2 * MINUTE_MS + 1_000)
    t.match(world.asks.slice(1), [{ externalPort: 7_444, lifetimeS: 3_600 }])
    t.ok((world.asks[1]?.at ?? Infinity) - since <= 2 * MINUTE_MS + 1_000)
    await world.run(10 * MINUTE_MS)
    t.equal(world.asks.length, 2, 'once')
  },
)

t.test(
  'a router by UPnP that never tells of the mapping, or answers nothing, is not asked for it again',
  async (t) => {
    for (const answer of [{ isThere: false }, { refused: 'no answer' }]) {
      const world = make({ protocols: ['upnp'] })
      world.answer = () => ({ granted: byUpnp })
      world.isThere = () => answer
      world.mapping.listens(7_443)
      await world.run(29 * MINUTE_MS)
      t.equal(world.asks.length, 1)
    }
  },
)

t.test('a router by UPnP that is away after a restart: asked again at each sign of it', async (t) => {
  const world = make({ protocols: ['upnp'] })
  world.answer = () => ({ granted: byUpnp })
  world.mapping.listens(7_443)
  await world.run(MINUTE_MS)
  world.isThere = () => ({ isThere: false })
  world.answer = () => ({ refused: 'no answer' })
  world.announce?.()
  await world.run(10 * MINUTE_MS)
  t.equal(world.mapping.external, '203.0.113.5:7444', 'it may be there again before its end')
  world.answer = () => ({ granted: byUpnp })
  const { length } = world.asks
  world.announce?.()
  await world.run(8_000)
  t.equal(world.asks.length, length + 1)
})

/** A router by UPnP that only knows mappings without an end, and is slow. */
const slow = (world: ReturnType<typeof make>) => (ask: Ask) => {
  if (ask.lifetimeS === 0)
    return { granted: { protocol: 'upnp', external: `0.0.0.0:${ask.externalPort}`, lifetimeS: 0 } } as const
  ask.willKeep?.(ask.externalPort + 1)
  t.match(
    world.saved,
    { protocol: 'upnp', externalPort: ask.externalPort + 1 },
    'saved before it is asked for',
  )
  return new Promise<Answer>(() => {})
}

t.test('a mapping without an end, stopped in the middle of the question: it is deleted', async (t) => {
  const world = make()
  world.answer = slow(world)
  world.mapping.listens(7_443)
  await world.run(1_000)
  t.match(world.asks, [{ lifetimeS: 3_600 }])
  await world.mapping.stop()
  t.match(world.asks.at(-1), { protocols: ['upnp'], lifetimeS: 0, externalPort: 7_444, port: 7_443 })
  t.equal(world.saved, undefined)
})

t.test('a mapping without an end, killed in the middle of the question', async (t) => {
  const world = make()
  world.answer = slow(world)
  world.mapping.listens(7_443)
  await world.run(1_000)
  const { saved } = world
  t.ok(saved)
  t.test('the next start takes it over', async (t) => {
    const next = make()
    next.saved = saved
    next.mapping.listens(7_443)
    await next.run(1_000)
    t.match(next.asks, [{ protocols: ['upnp', 'pcp', 'nat-pmp'], externalPort: 7_444 }])
  })
  t.test('or deletes it, when direct paths have another port by then', async (t) => {
    const next = make()
    next.saved = saved
    next.mapping.listens(7_999)
    await next.run(1_000)
    t.match(next.asks, [{ protocols: ['upnp'], lifetimeS: 0, externalPort: 7_444 }, { externalPort: 7_999 }])
    t.match(next.saved, { port: 7_999 })
  })
  t.test('or when mappings are switched off', async (t) => {
    const next = make({ protocols: [] })
    next.saved = saved
    next.mapping.start()
    await next.run(1_000)
    t.match(next.asks, [{ protocols: ['upnp'], lifetimeS: 0, externalPort: 7_444 }])
    t.equal(next.saved, undefined)
  })
})
