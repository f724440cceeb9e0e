/** Addresses, routes and neighbours against the kernel. */
import { Errno } from 'netlink-ts/errors.ts'
import {
  addrAddRequest,
  addrDelRequest,
  addrList,
  IFA_F_NODAD,
  IFA_F_PERMANENT,
} from 'netlink-ts/route/addr.ts'
import { linkByName } from 'netlink-ts/route/link.ts'
import {
  NUD_PERMANENT,
  NUD_REACHABLE,
  neighDelRequest,
  neighList,
  neighReplaceRequest,
} from 'netlink-ts/route/neigh.ts'
import {
  RTPROT_STATIC,
  routeAddRequest,
  routeDelRequest,
  routeGet,
  routeList,
} from 'netlink-ts/route/route.ts'
import t, { type Test } from 'tap'
import { hex, ip } from '../../helpers/kernel/netlink-hex.ts'
import { type Live, live } from '../../helpers/kernel/netlink-live.ts'
import { needsRoot } from '../../helpers/kernel/netns.ts'

const AF_INET = 2
const AF_INET6 = 10

/** A namespace with a link `d0` that is up and has a carrier. */
async function withLink(t: Test): Promise<Live & { index: number }> {
  const ns = await live(t)
  ns.exec('ip', 'link', 'add', 'd0', 'type', 'veth', 'peer', 'name', 'd1')
  for (const name of ['d0', 'd1']) ns.exec('ip', 'link', 'set', name, 'up')
  return { ...ns, index: linkByName(ns.route, 'd0')!.index }
}

t.test('addresses that we add, `ip` shows', { skip: needsRoot }, async (t) => {
  const ns = await withLink(t)
  const { index } = ns
  const four = { index, family: AF_INET, address: ip('10.1.0.2'), prefixLen: 24, broadcast: ip('10.1.0.255') }
  ns.route.execute(addrAddRequest(four))
  ns.route.execute(
    addrAddRequest({
      index,
      family: AF_INET6,
      address: hex('fd000009000000000000000000000002'),
      prefixLen: 64,
      flags: IFA_F_NODAD,
    }),
  )
  const [shown] = ns.json('ip', '-j', 'addr', 'show', 'dev', 'd0')
  const infos: { local: string }[] = shown.addr_info
  t.match(
    infos.find((a) => a.local === '10.1.0.2'),
    { prefixlen: 24, broadcast: '10.1.0.255', scope: 'global' },
  )
  t.match(
    infos.find((a) => a.local === 'fd00:9::2'),
    { prefixlen: 64, nodad: true },
  )

  t.throws(() => ns.route.execute(addrAddRequest(four)), { name: 'NetlinkError', errno: Errno.EEXIST })
  t.same(ns.route.execute(addrAddRequest({ ...four, replace: true })), [])

  ns.route.execute(addrDelRequest(four))
  t.throws(() => ns.route.execute(addrDelRequest(four)), { name: 'NetlinkError', errno: Errno.EADDRNOTAVAIL })
  t.same(addrList(ns.route, { index, family: AF_INET }), [])
})

t.test('addresses that `ip` adds, we read', { skip: needsRoot }, async (t) => {
  const ns = await withLink(t)
  ns.exec('ip', 'link', 'set', 'lo', 'up')
  ns.exec('ip', 'addr', 'add', '10.1.0.2/24', 'brd', '+', 'dev', 'd0', 'label', 'd0:x')
  ns.exec('ip', 'addr', 'add', '10.2.0.1', 'peer', '10.2.0.9/32', 'dev', 'd0')
  t.match(addrList(ns.route, { index: ns.index, family: AF_INET }), [
    {
      index: ns.index,
      family: AF_INET,
      address: ip('10.1.0.2'),
      prefixLen: 24,
      broadcast: ip('10.1.0.255'),
      flags: IFA_F_PERMANENT,
      scope: 0,
      label: 'd0:x',
    },
    { address: ip('10.2.0.1'), prefixLen: 32, broadcast: undefined },
  ])
  t.ok(addrList(ns.route).some((a) => a.index === 1 && a.address.join('.') === '127.0.0.1'))
  t.same(addrList(ns.route, { index: 4711 }), [], 'no such link')
})

t.test('routes that we add, `ip` shows', { skip: needsRoot }, async (t) => {
  const ns = await withLink(t)
  ns.exec('ip', 'addr', 'add', '10.1.0.2/24', 'dev', 'd0')
  const outcomes = ns.route.executeAll([
    routeAddRequest({ family: AF_INET, gateway: ip('10.1.0.1') }),
    routeAddRequest({
      family: AF_INET,
      dst: { address: ip('10.100.2.0'), prefixLen: 24 },
      oif: ns.index,
      src: ip('10.1.0.2'),
      metric: 200,
      mtu: 1380,
      advmss: 1340,
      protocol: RTPROT_STATIC,
    }),
    routeAddRequest({
      family: AF_INET,
      dst: { address: ip('10.8.0.0'), prefixLen: 16 },
      type: 'blackhole',
      table: 1000,
    }),
    routeAddRequest({
      family: AF_INET,
      dst: { address: ip('10.9.0.0'), prefixLen: 16 },
      type: 'unreachable',
    }),
    routeAddRequest({ family: AF_INET, dst: { address: ip('10.10.0.0'), prefixLen: 16 }, type: 'prohibit' }),
    routeAddRequest({
      family: AF_INET,
      dst: { address: ip('10.11.0.0'), prefixLen: 16 },
      gateway: ip('10.99.0.1'),
      oif: ns.index,
      onlink: true,
    }),
    routeAddRequest({
      family: AF_INET6,
      dst: { address: hex('fd000001000000000000000000000000'), prefixLen: 64 },
      oif: ns.index,
    }),
  ])
  t.same(outcomes, [[], [], [], [], [], [], []])
  const shown: { dst: string }[] = ns.json('ip', '-j', 'route', 'show', 'table', 'all')
  const route = (dst: string) => shown.find((r) => r.dst === dst)
  t.match(route('default'), { gateway: '10.1.0.1', dev: 'd0' })
  t.match(route('10.100.2.0/24'), {
    dev: 'd0',
    prefsrc: '10.1.0.2',
    metric: 200,
    protocol: 'static',
    scope: 'link',
    metrics: [{ mtu: 1380, advmss: 1340 }],
  })
  t.match(route('10.8.0.0/16'), { type: 'blackhole', table: '1000' })
  t.match(route('10.9.0.0/16'), { type: 'unreachable' })
  t.match(route('10.10.0.0/16'), { type: 'prohibit' })
  t.match(route('10.11.0.0/16'), { gateway: '10.99.0.1', flags: ['onlink'] })
  t.match(
    ns.json('ip', '-6', '-j', 'route', 'show').find((r: { dst: string }) => r.dst === 'fd00:1::/64'),
    { dev: 'd0' },
  )
})

t.test(
  'routes: two metrics to one destination, replace, delete one, refusals in the words of the kernel',
  { skip: needsRoot },
  async (t) => {
    const ns = await withLink(t)
    ns.exec('ip', 'addr', 'add', '10.1.0.2/24', 'dev', 'd0')
    const slice = { family: AF_INET, dst: { address: ip('10.100.2.0'), prefixLen: 24 }, oif: ns.index }
    const metrics = () =>
      routeList(ns.route, { family: AF_INET, table: 254 })
        .filter((r) => r.dst?.address.join('.') === '10.100.2.0')
        .map((r) => r.metric)
    ns.route.execute(routeAddRequest({ ...slice, metric: 200 }))
    ns.route.execute(routeAddRequest({ ...slice, metric: 100 }))
    t.same(metrics(), [100, 200])
    t.throws(() => ns.route.execute(routeAddRequest({ ...slice, metric: 100 })), {
      name: 'NetlinkError',
      errno: Errno.EEXIST,
    })
    ns.route.execute(routeAddRequest({ ...slice, metric: 100, mtu: 1300, replace: true }))
    ns.route.execute(routeAddRequest({ ...slice, metric: 100, gateway: ip('10.1.0.3'), append: true }))
    t.same(metrics(), [100, 100, 200])
    ns.route.execute(routeDelRequest({ ...slice, metric: 100, gateway: ip('10.1.0.3') }))
    t.equal(routeGet(ns.route, ip('10.100.2.9'))?.oif, ns.index)
    ns.route.execute(routeDelRequest({ ...slice, metric: 100 }))
    t.same(metrics(), [200])
    t.throws(() => ns.route.execute(routeDelRequest({ ...slice, metric: 100 })), {
      name: 'NetlinkError',
      errno: Errno.ESRCH,
    })
    t.throws(() => ns.route.execute(routeAddRequest({ family: AF_INET, gateway: ip('10.99.0.1') })), {
      name: 'NetlinkError',
      op: 'RTM_NEWROUTE default',
      errno: Errno.ENETUNREACH,
      kernelMessage: 'Nexthop has invalid gateway',
    })
  },
)

t.test('routes that `ip` adds, we read', { skip: needsRoot }, async (t) => {
  const ns = await withLink(t)
  ns.exec('ip', 'addr', 'add', '10.1.0.2/24', 'dev', 'd0')
  ns.exec(
    'ip',
    'route',
    'add',
    '10.9.0.0/16',
    'via',
    '10.1.0.1',
    'metric',
    '7',
    'mtu',
    '1300',
    'proto',
    'static',
  )
  ns.exec('ip', 'route', 'add', 'default', 'via', '10.1.0.3')
  ns.exec('ip', 'route', 'add', 'blackhole', '10.8.0.0/16', 'table', '1000')
  const main = routeList(ns.route, { family: AF_INET, table: 254 })
  t.match(
    main.find((r) => r.metric === 7),
    {
      dst: { address: ip('10.9.0.0'), prefixLen: 16 },
      gateway: ip('10.1.0.1'),
      oif: ns.index,
      mtu: 1300,
      protocol: RTPROT_STATIC,
      type: 'unicast',
      scope: 0,
      table: 254,
    },
  )
  t.match(
    main.find((r) => r.dst === undefined),
    { gateway: ip('10.1.0.3') },
  )
  t.match(
    main.find((r) => r.scope === 253),
    { src: ip('10.1.0.2'), dst: { prefixLen: 24 } },
  )
  t.match(routeList(ns.route, { table: 1000 }), [{ type: 'blackhole', table: 1000, oif: undefined }])
  t.same(routeList(ns.route, { table: 4711 }), [], 'no such table')
  t.same(routeList(ns.route, { oif: 4711 }), [], 'no such link')
  t.equal(routeList(ns.route, { family: AF_INET, oif: ns.index, table: 254 }).length, 3)

  t.match(routeGet(ns.route, ip('8.8.8.8')), { gateway: ip('10.1.0.3'), oif: ns.index, src: ip('10.1.0.2') })
  ns.exec('ip', 'route', 'add', 'unreachable', '10.7.0.0/16')
  t.equal(routeGet(ns.route, ip('10.7.0.1')), undefined)
  ns.exec('ip', 'route', 'del', 'default')
  t.equal(routeGet(ns.route, ip('8.8.8.8')), undefined, 'no route at all')
})

t.test('neighbours', { skip: needsRoot }, async (t) => {
  const ns = await withLink(t)
  const { index } = ns
  ns.exec('ip', 'addr', 'add', '10.1.0.2/24', 'dev', 'd0')
  const entry = { index, family: AF_INET, dst: ip('10.1.0.9') }
  ns.route.execute(neighReplaceRequest({ ...entry, address: '0a:64:0a:01:00:01' }))
  ns.route.execute(neighReplaceRequest({ ...entry, address: '0a:64:0a:01:00:09' }))
  t.match(ns.json('ip', '-j', 'neigh', 'show', 'dev', 'd0'), [
    { dst: '10.1.0.9', lladdr: '0a:64:0a:01:00:09', state: ['PERMANENT'] },
  ])
  ns.exec('ip', 'neigh', 'add', '10.1.0.10', 'lladdr', '0a:64:0a:01:00:0a', 'dev', 'd0', 'nud', 'reachable')
  const list = neighList(ns.route, { index, family: AF_INET }).toSorted((a, b) => a.dst[3]! - b.dst[3]!)
  t.match(list, [
    { index, dst: ip('10.1.0.9'), address: '0a:64:0a:01:00:09', state: NUD_PERMANENT },
    { index, dst: ip('10.1.0.10'), address: '0a:64:0a:01:00:0a', state: NUD_REACHABLE },
  ])
  ns.route.execute(neighDelRequest(entry))
  t.throws(() => ns.route.execute(neighDelRequest(entry)), { name: 'NetlinkError', errno: Errno.ENOENT })
  t.same(neighList(ns.route, { index: 4711 }), [])
})
