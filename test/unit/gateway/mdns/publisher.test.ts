/** The publisher follows links and containers, and nothing that fails in it reaches beyond its status. */
import { decode, encode } from 'dns-packet'
import { Errno, SyscallError } from 'netlink-ts/errors.ts'
import t from 'tap'
import { Events } from '../../../../gateway/base/events.ts'
import { Metrics } from '../../../../gateway/base/metrics.ts'
import { MdnsPublisher } from '../../../../gateway/mdns/publisher.ts'
import type { LinkSocketDeps } from '../../../../gateway/mdns/socket.ts'
import type { LanLink } from '../../../../kernel/lan.ts'
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
}

function publisher({ ingress = { listen: '0.0.0.0:8080' }, enabled = true }: Options = {}) {
  const time = new SimTime()
  const events = new Events()
  const logged: string[] = []
  const log = (_fields: object, text: string): void => void logged.push(text)
  const world = {
    links: [ETH] as LanLink[],
    names: new Set(['web.local']),
    refuse: undefined as Error | undefined,
    isChanged: false,
  }
  const open = new Map<string, LinkSocketDeps>()
  const sent: string[] = []
  const mdns = new MdnsPublisher({
    conf: testConf('/nowhere', { mdns: { enabled }, ingress }),
    events,
    metrics: new Metrics(),
    scheduler: time.scheduler(() => 0),
    log: { debug: log, info: log, warn: log, error: log },
    names: () => ({ names: world.names, isCut: false }),
    watch: () => ({
      links: () => world.links,
      hasChanged: () => world.isChanged,
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
        async close() {
          open.delete(ifname)
        },
      }
    },
  })
  return { events, logged, mdns, open, sent, time, world }
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
  open.get('eth0')?.sent(new Error('EPERM'))
  t.match(problem(), /nothing can be sent: EPERM/)
  open.get('eth0')?.sent(null)
  t.equal(problem(), null)
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
