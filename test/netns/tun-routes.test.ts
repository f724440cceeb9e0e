/** The routes of the gateway path: exactly those wanted, beside whatever others have made. */

import { close } from 'netlink-ts/libc.ts'
import { openNetns } from 'netlink-ts/netns.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import t, { type Test } from 'tap'
import { type Prefix4, parseIpv4, parsePrefix4 } from '../../core/addr.ts'
import {
  hasSupernetGuard,
  type PeerRoute,
  peerRouteList,
  peerRoutesEnsure,
  supernetGuardDel,
  supernetGuardEnsure,
} from '../../kernel/peer-routes.ts'
import { needsRoot, netns } from '../helpers/kernel/netns.ts'

const prefix = (text: string): Prefix4 => parsePrefix4(text) ?? { base: 0, prefixLen: 0 }
const src = parseIpv4('10.100.1.1') ?? 0
const to = (hostId: number, mtu?: number): PeerRoute => ({ slice: prefix(`10.100.${hostId}.0/24`), src, mtu })

async function stage(t: Test) {
  const ns = await netns(t)
  for (const line of [
    'addr add 10.100.1.1/32 dev lo',
    'link set lo up',
    'link add gw type veth peer name far',
    'link set far up',
    'link set gw up',
  ])
    ns.exec('ip', ...line.split(' '))
  const fd = openNetns(ns.path)
  const route = NetlinkSocket.open(NETLINK_ROUTE, { netns: fd })
  t.teardown(() => {
    route.close()
    close(fd)
  })
  const ifindex = ns.json('ip', '-j', 'link', 'show', 'dev', 'gw')[0].ifindex as number
  const routes = () =>
    ns
      .json<
        { dst: string; dev: string; metric?: number; prefsrc?: string; metrics?: unknown[]; type?: string }[]
      >('ip', '-j', 'route', 'show')
      .map((r) => [r.type, r.dst, r.dev, r.metric, r.prefsrc, r.metrics].filter((x) => x !== undefined))
  return { ns, route, ifindex, routes }
}

t.test('adds, changes, deletes; twice is once', { skip: needsRoot }, async (t) => {
  const { route, ifindex, routes } = await stage(t)
  for (const _ of [1, 2]) peerRoutesEnsure(route, ifindex, [to(2), to(3, 1300)])
  t.same(routes(), [
    ['10.100.2.0/24', 'gw', 200, '10.100.1.1'],
    ['10.100.3.0/24', 'gw', 200, '10.100.1.1', [{ mtu: 1300 }]],
  ])
  t.same(peerRouteList(route, ifindex), [to(2), to(3, 1300)])
  peerRoutesEnsure(route, ifindex, [to(3), to(4)])
  t.same(routes(), [
    ['10.100.3.0/24', 'gw', 200, '10.100.1.1'],
    ['10.100.4.0/24', 'gw', 200, '10.100.1.1'],
  ])
  peerRoutesEnsure(route, ifindex, [])
  t.same(routes(), [])
})

t.test(
  "others' routes stay, also over the same device and to the same slice",
  { skip: needsRoot },
  async (t) => {
    const { ns, route, ifindex, routes } = await stage(t)
    ns.exec('ip', 'route', 'add', '10.100.2.0/24', 'dev', 'gw', 'metric', '100')
    ns.exec('ip', 'route', 'add', '10.100.9.0/24', 'dev', 'gw', 'metric', '200')
    ns.exec('ip', 'route', 'add', '192.0.2.0/24', 'dev', 'gw')
    const foreign = routes()
    peerRoutesEnsure(route, ifindex, [to(2)])
    t.equal(routes().length, foreign.length + 1)
    peerRoutesEnsure(route, ifindex, [])
    t.same(routes(), foreign)
    t.throws(() => peerRoutesEnsure(route, ifindex, [to(9), to(5)]), {
      code: 'ERR_NETLINK',
      errnoName: 'EEXIST',
    })
    t.same(peerRouteList(route, ifindex), [to(5)], 'the others are made all the same')
  },
)

t.test('254 hosts at once', { skip: needsRoot }, async (t) => {
  const { route, ifindex } = await stage(t)
  const all = Array.from({ length: 253 }, (_, i) => to(i + 2))
  peerRoutesEnsure(route, ifindex, all)
  t.equal(peerRouteList(route, ifindex).length, 253)
  peerRoutesEnsure(route, ifindex, all.slice(0, 10))
  t.same(peerRouteList(route, ifindex), all.slice(0, 10))
})

t.test('addresses of no host are answered instead of led outside', { skip: needsRoot }, async (t) => {
  const { ns, route, ifindex, routes } = await stage(t)
  ns.exec('ip', 'route', 'add', 'default', 'dev', 'gw')
  peerRoutesEnsure(route, ifindex, [to(2)])
  const supernet = prefix('10.100.0.0/16')
  ns.exec('ip', 'route', 'add', 'unreachable', '10.100.0.0/16', 'metric', '7')
  t.notOk(hasSupernetGuard(route, supernet), "a stranger's is none")
  ns.exec('ip', 'route', 'del', 'unreachable', '10.100.0.0/16', 'metric', '7')
  for (const _ of [1, 2]) supernetGuardEnsure(route, supernet)
  t.ok(hasSupernetGuard(route, supernet))
  t.throws(() => ns.exec('ip', 'route', 'get', '10.100.77.1'), /unreachable|No route/i)
  t.match(ns.exec('ip', 'route', 'get', '10.100.2.9'), /dev gw src 10\.100\.1\.1/)
  t.match(ns.exec('ip', 'route', 'get', '192.0.2.1'), /dev gw/)
  for (const _ of [1, 2]) supernetGuardDel(route, supernet)
  t.same(
    routes().filter(([first]) => first === 'unreachable'),
    [],
  )
})
