/** The publisher follows links and containers, and nothing that fails in it reaches beyond its status. */
import { decode, encode } from 'dns-packet'
import { Errno, SyscallError } from 'netlink-ts/errors.ts'
import t from 'tap'
import { Events } from '../../../../gateway/base/events.ts'
import { Metrics } from '../../../../gateway/base/metrics.ts'
import { KeptLinks } from '../../../../gateway/mdns/kept-links.ts'
import { MdnsPublisher } from '../../../../gateway/mdns/publisher.ts'
import type { LinkSocketDeps } from '../../../../gateway/mdns/socket.ts'
import type { LanChanges, LanLink } from '../../../../kernel/lan.ts'
import { assignmentOf, testConf } from '../../../helpers/gateway/gateway-samples.ts'
import { turnsUntil } from '../../../helpers/run/turns.ts'
import { SimTime } from '../../../helpers/sim/network.ts'

const ETH: LanLink = {
  ifname: 'eth0',
  index: 2,
  address: '192.0.2.7',
  prefixLen: 24,
  addresses: ['192.0.2.7', '192.0.2.8'],
}
const WLAN: LanLink = {
  ...ETH,
  ifname: 'wlan0',
  index: 3,
  address: '198.51.100.7',
  addresses: ['198.51.100.7'],
}

interface Options {
  readonly ingress?: object
  readonly enabled?: boolean
  readonly keptLinks?: KeptLinks
}

function publisher({ ingress = { listen: '0.0.0.0:8080' }, enabled = true, keptLinks }: Options = {}) {
  const time = new SimTime()
  const events = new Events()
  const logged: string[] = []
  const log = (_fields: object, text: string): void => void logged.push(text)
  const world = {
    links: [ETH] as LanLink[],
    names: new Set(['web.local']),
    refuse: undefined as Error | undefined,
    isChanged: false,
    wallMs: 0,
    interrupted: new Set<number>() as LanChanges['interrupted'],
  }
  const open = new Map<string, LinkSocketDeps>()
  const sent: string[] = []
  const deaf: boolean[] = []
  const run = (more: Options = {}): MdnsPublisher =>
    new MdnsPublisher({
      ...(keptLinks !== undefined && { keptLinks }),
      conf: testConf('/nowhere', { mdns: { enabled: more.enabled ?? enabled }, ingress }),
      events,
      metrics: new Metrics(),
      scheduler: time.scheduler(() => world.wallMs),
      log: { debug: log, info: log, warn: log, error: log },
      names: () => ({ names: world.names, isCut: false }),
      watch: () => ({
        links: () => world.links,
        changes: () => ({ hasChanged: world.isChanged, interrupted: world.interrupted }),
        close() {},
      }),
      async open(deps) {
        if (world.refuse !== undefined) throw world.refuse
        const { ifname } = deps.link
        open.set(ifname, deps)
        return {
          send(bytes) {
            const { answers = [], questions = [] } = decode(bytes)
            const [record] = answers
            const what =
              record === undefined
                ? `${questions[0]?.name}?`
                : `${record.name} ${'ttl' in record && record.ttl}`
            sent.push(`${ifname} ${what}`)
          },
          setDeaf(isDeaf) {
            deaf.push(isDeaf)
            if (world.refuse !== undefined) throw world.refuse
          },
          async close() {
            open.delete(ifname)
          },
        }
      },
    })
  return { deaf, events, logged, mdns: run(), run, open, sent, time, world }
}

t.test('off: nothing is opened', async (t) => {
  const { mdns, open } = publisher({ enabled: false })
  await mdns.start()
  t.equal(mdns.status, null)
  t.equal(open.size, 0)
  await mdns.stop()
})

t.test('published, followed, taken back', async (t) => {
  const { events, mdns, open, sent, time, world } = publisher()
  await mdns.start()
  time.run(3_000)
  t.match(mdns.status, {
    published: 1,
    probing: 0,
    links: [{ ifname: 'eth0', address: '192.0.2.7', problem: null }],
  })
  world.names = new Set(['db.local'])
  sent.length = 0
  events.emit({ type: 'assignmentAdded', assignment: assignmentOf() })
  time.run(100)
  t.same(sent[0], 'eth0 web.local 0', 'a farewell')
  time.run(3_000)
  t.ok(sent.includes('eth0 db.local 120'))
  world.links = [WLAN]
  world.isChanged = true
  time.run(1_000)
  await turnsUntil('the new link is open', () => open.has('wlan0') && !open.has('eth0'))
  t.ok(sent.includes('eth0 db.local 0'), 'the old link is told')
  world.isChanged = false
  time.run(3_000)
  sent.length = 0
  await mdns.stop()
  t.same(sent, ['wlan0 db.local 0'])
  t.equal(open.size, 0)
  time.run(60_000)
  t.equal(open.size, 0, 'and nothing comes after it')
})

t.test('a reload: links and names go from one run to the next', async (t) => {
  const keptLinks = new KeptLinks()
  const { mdns, open, run, sent, time, world } = publisher({ keptLinks })
  world.links = [ETH, WLAN]
  await mdns.start()
  time.run(3_000)
  sent.length = 0
  await mdns.stop()
  const ask = (): void =>
    open.get('eth0')?.received(encode({ type: 'query', questions: [{ type: 'A', name: 'web.local' }] }), {
      address: '192.0.2.9',
      port: 5353,
    })
  ask()
  time.run(1_000)
  t.same(sent, ['eth0 web.local 120'], 'answered between two runs')
  sent.length = 0
  world.names = new Set(['web.local', 'db.local'])
  world.links = [ETH]
  const next = run()
  await next.start()
  t.same(sent, ['wlan0 web.local 0'], 'a link that is gone')
  time.run(3_000)
  t.match(next.status, { published: 2, links: [{ ifname: 'eth0' }] })
  t.notOk(sent.includes('eth0 web.local?'), 'the name is not probed for again')
  sent.length = 0
  await next.stop()
  const off = run({ enabled: false })
  await off.start()
  t.same(sent, ['eth0 web.local 0'], 'switched off')
  t.equal(open.size, 0)
  await off.stop()
  const last = run()
  await last.start()
  time.run(3_000)
  await last.stop()
  t.equal(open.size, 1)
  sent.length = 0
  await keptLinks.close()
  t.same(sent, ['eth0 web.local 0'], 'the gateway stops between two runs')
  t.equal(open.size, 0)
})

t.test('the gateway stops while a run has the links', async (t) => {
  const keptLinks = new KeptLinks()
  const { mdns, open, sent, time } = publisher({ keptLinks })
  await mdns.start()
  time.run(3_000)
  sent.length = 0
  await keptLinks.close()
  t.same(sent, [])
  await mdns.stop()
  t.same(sent, ['eth0 web.local 0'])
  t.equal(open.size, 0)
})

t.test('a link that was interrupted, and a host that slept: probed for again', async (t) => {
  const { mdns, sent, time, world } = publisher()
  world.links = [ETH, WLAN]
  await mdns.start()
  const probes = (): Set<string> => {
    sent.length = 0
    time.run(3_000)
    return new Set(sent.filter((what) => what.endsWith('?')))
  }
  t.equal(probes().size, 2)
  t.equal(probes().size, 0)
  world.interrupted = new Set([3, 7])
  time.run(1_000)
  world.interrupted = new Set()
  t.same(probes(), new Set(['wlan0 web.local?']))
  world.interrupted = 'all'
  time.run(1_000)
  world.interrupted = new Set()
  t.equal(probes().size, 2, 'news were lost')
  world.wallMs = 4_000
  t.equal(probes().size, 0, 'the clock was set')
  world.wallMs = 3_600_000
  t.equal(probes().size, 2)
  await mdns.stop()
})

t.test('ingress on one address, on loopback, off', async (t) => {
  const one = publisher({ ingress: { listen: '192.0.2.8:80' } })
  one.world.links = [ETH, WLAN]
  await one.mdns.start()
  t.match(one.mdns.status?.links, [{ ifname: 'eth0', address: '192.0.2.8' }])
  t.equal(one.open.size, 1)
  await one.mdns.stop()
  const none = publisher({ ingress: { listen: '127.0.0.1:80' } })
  await none.mdns.start()
  t.match(none.mdns.status, { links: [], problem: /no interface/ })
  await none.mdns.stop()
  const off = publisher({ ingress: { enabled: false } })
  await off.mdns.start()
  t.match(off.mdns.status, { links: [], problem: /ingress is off/ })
  await off.mdns.stop()
})

t.test('a port that another program has: told once, and tried again', async (t) => {
  const { logged, mdns, open, time, world } = publisher()
  world.refuse = new SyscallError('bind', Errno.EADDRINUSE)
  await mdns.start()
  const problem = (): string | null | undefined => mdns.status?.links[0]?.problem
  t.match(problem(), /UDP 5353 for itself/)
  for (let i = 0; i < 3; i++) {
    time.run(5_000)
    await mdns.refresh()
  }
  t.equal(logged.length, 1)
  world.refuse = undefined
  await mdns.refresh()
  t.equal(problem(), null)
  t.equal(open.size, 1)
  const fails = (code: string, isReply = false): void =>
    open.get('eth0')?.sent(Object.assign(new Error(code), { code }), isReply)
  for (let i = 0; i < 9; i++) fails('EHOSTUNREACH', true)
  fails('ENOBUFS')
  fails('ENOBUFS')
  t.equal(problem(), null, 'clients that are gone, a full queue')
  open.get('eth0')?.sent(null, true)
  fails('EPERM')
  fails('EPERM')
  t.equal(problem(), null)
  fails('EPERM')
  t.match(problem(), /nothing can be sent: EPERM/)
  open.get('eth0')?.sent(null, false)
  t.equal(problem(), null)
  fails('ENETDOWN')
  t.match(problem(), /nothing can be sent: ENETDOWN/, 'at once')
  open.get('eth0')?.failed(new Error('EIO'))
  await turnsUntil('it is closed', () => open.size === 0)
  t.match(problem(), /EIO/)
  await mdns.refresh()
  t.equal(open.size, 1)
  await mdns.stop()
})

t.test('a kernel that does not answer is a problem of names alone', async (t) => {
  const { mdns, world, logged } = publisher()
  Object.defineProperty(world, 'links', {
    configurable: true,
    get() {
      throw new Error('ENOBUFS')
    },
  })
  await mdns.start()
  t.match(mdns.status, { problem: /interfaces of this host could not be read: ENOBUFS/ })
  await mdns.refresh()
  t.equal(logged.length, 1)
  Object.defineProperty(world, 'links', { value: [ETH] })
  await mdns.refresh()
  t.equal(mdns.status?.problem, null)
  await mdns.stop()
})

t.test('a name that another host has', async (t) => {
  const { logged, mdns, open, time } = publisher()
  await mdns.start()
  time.run(300)
  const claim = encode({
    type: 'response',
    answers: [{ type: 'A', name: 'web.local', ttl: 120, data: '192.0.2.9' }],
  })
  open.get('eth0')?.received(claim, { address: '192.0.2.9', port: 5353 })
  time.run(1_000)
  t.match(mdns.status, { published: 0, taken: [{ name: 'web.local', ifname: 'eth0', by: '192.0.2.9' }] })
  t.ok(logged.includes('local name is not published, as another host has it'))
  await mdns.stop()
})

t.test('of a flood no more is read for a while', async (t) => {
  const { deaf, mdns, open, time, world } = publisher()
  await mdns.start()
  const flood = (): void => {
    for (let i = 0; i < 5_000; i++)
      open.get('eth0')?.received(Buffer.alloc(100), { address: '192.0.2.9', port: 5353 })
  }
  flood()
  t.same(deaf, [true])
  time.run(199)
  t.same(deaf, [true])
  time.run(1)
  t.same(deaf, [true, false])
  world.refuse = new SyscallError('setsockopt', Errno.ENOMEM)
  flood()
  await turnsUntil('a socket that cannot be made deaf is closed', () => open.size === 0)
  t.match(mdns.status?.links[0]?.problem, /ENOMEM/)
  world.refuse = undefined
  await mdns.refresh()
  t.equal(open.size, 1)
  await mdns.stop()
})

t.test('the log tells once of a name that many other hosts claim', async (t) => {
  const { logged, mdns, open, time } = publisher()
  await mdns.start()
  const told = (): number => logged.filter((text) => text.startsWith('local name is not published')).length
  for (let i = 1; i <= 9; i++) {
    // It probes for the name, and again 60 s after each claim.
    time.run(i === 1 ? 300 : 60_300)
    const from = `192.0.2.${10 + i}`
    const claim = encode({
      type: 'response',
      answers: [{ type: 'A', name: 'web.local', ttl: 120, data: from }],
    })
    open.get('eth0')?.received(claim, { address: from, port: 5353 })
    t.match(mdns.status?.taken, [{ by: from }])
  }
  t.equal(told(), 1)
  await mdns.stop()
})
