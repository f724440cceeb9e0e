/** What counts as a change of the underlay, and what comes and goes with containers. */
import { encode } from 'netlink-ts/codec.ts'
import type { Reply } from 'netlink-ts/message.ts'
import { type Addr, addrAddRequest } from 'netlink-ts/route/addr.ts'
import type { Link } from 'netlink-ts/route/link.ts'
import { linkmsg } from 'netlink-ts/route/linkmsg.ts'
import { type Route, routeAddRequest } from 'netlink-ts/route/route.ts'
import t from 'tap'
import { changeOf, underlayChange, underlayOf } from '../../../kernel/underlay.ts'

const UP = 0x41
const AF_INET = 2
const ip = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes)

const linkLocal = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)

const link = (index: number, name: string, more: Partial<Link> = {}): Link =>
  ({ index, name, flags: UP, kind: undefined, master: undefined, ...more }) as Link
const addr = (index: number, address: Uint8Array, flags = 0): Addr =>
  ({ index, address, prefixLen: 24, family: AF_INET, flags }) as Addr
const route = (oif: number, dst: Uint8Array | undefined, metric = 0): Route =>
  ({ oif, dst: dst && { address: dst, prefixLen: 24 }, metric, type: 'unicast', gateway: undefined }) as Route

const eth = link(2, 'eth0')
const before = underlayOf([eth], [addr(2, ip(10, 0, 0, 1))], [route(2, ip(10, 0, 0, 0))])

t.test('what changes the underlay, and what does not', async (t) => {
  const cases: [name: string, links: Link[], addrs: Addr[], routes: Route[], what: string | undefined][] = [
    ['an address', [eth], [addr(2, ip(10, 0, 0, 2))], [route(2, ip(10, 0, 0, 0))], 'addresses'],
    [
      'the cable',
      [link(2, 'eth0', { flags: 1 })],
      [addr(2, ip(10, 0, 0, 1))],
      [route(2, ip(10, 0, 0, 0))],
      'links',
    ],
    [
      'a default route',
      [eth],
      [addr(2, ip(10, 0, 0, 1))],
      [route(2, ip(10, 0, 0, 0)), route(2, undefined)],
      'routes',
    ],
    ['an interface is gone', [], [], [], 'links, addresses, routes'],
    [
      'an address that is not certain yet',
      [eth],
      [addr(2, ip(10, 0, 0, 1)), addr(2, ip(9, 9, 9, 9), 0x40)],
      [route(2, ip(10, 0, 0, 0))],
      undefined,
    ],
  ]
  for (const [name, links, addrs, routes, what] of cases)
    t.equal(underlayChange(before, underlayOf(links, addrs, routes)), what, name)
})

t.test('links of containers and of Flatnet itself are not the underlay', async (t) => {
  const others: [name: string, other: Link][] = [
    ['the bridge of containers', link(3, 'flatnet0', { kind: 'bridge' })],
    ['a bridge of another network', link(3, 'podman0', { kind: 'bridge' })],
    ['a port of a bridge', link(3, 'veth1', { kind: 'veth', master: 9 })],
    ['the host’s end of a container', link(3, 'fn0c4be9a1f2', { kind: 'veth' })],
    ['the device of direct paths', link(3, 'flatnet-p2p', { kind: 'tun' })],
    ['a link whose only address is link-local', link(4, 'veth2', { kind: 'veth' })],
    ['loopback', link(3, 'lo', { flags: UP | 0x8 })],
  ]
  for (const [name, other] of others) {
    const now = underlayOf(
      [eth, other],
      [addr(2, ip(10, 0, 0, 1)), addr(3, ip(10, 100, 1, 1)), addr(4, linkLocal)],
      [route(2, ip(10, 0, 0, 0)), route(3, ip(10, 100, 1, 0))],
    )
    t.equal(underlayChange(before, now), undefined, name)
    t.equal(now.networks.length, 1, name)
  }
  const uplink = underlayOf(
    [link(3, 'br0', { kind: 'bridge' })],
    [addr(3, ip(10, 0, 0, 1))],
    [route(3, undefined)],
  )
  t.same(uplink.addresses, ['br0 0a000001/24'], 'a bridge that the default route goes over is')
})

t.test('the addresses at which others may reach this host', async (t) => {
  const DEPRECATED = 0x20
  const links = [
    eth,
    link(3, 'wg0', { kind: 'wireguard' }),
    link(4, 'tailscale0', { kind: 'tun' }),
    link(5, 'docker0', { kind: 'bridge' }),
    link(6, 'ppp0', { kind: 'ppp' }),
  ]
  const v6 = (first: number): Uint8Array => Uint8Array.of(first, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
  const addrs = [
    addr(2, ip(10, 0, 0, 1)),
    addr(2, v6(0x20)),
    addr(2, v6(0xfd)),
    addr(2, v6(0x21), DEPRECATED),
    addr(2, linkLocal),
    addr(2, ip(169, 254, 7, 7)),
    addr(3, ip(10, 8, 0, 1)),
    addr(4, ip(100, 100, 0, 1)),
    addr(5, ip(172, 17, 0, 1)),
    addr(6, ip(203, 0, 113, 1)),
  ]
  const { hosts } = underlayOf(links, addrs, [route(6, undefined), route(2, ip(10, 0, 0, 0))])
  t.same(hosts, [ip(10, 0, 0, 1), v6(0x20), v6(0xfd), ip(203, 0, 113, 1)])
})

const reply = (type: number, payload: Uint8Array): Reply => ({
  header: { length: 16 + payload.byteLength, type, flags: 0, seq: 0, pid: 0 },
  payload,
})
const linkReply = (type: number, index: number, ifname: string): Reply =>
  reply(
    type,
    encode(linkmsg, { header: { family: 0, type: 0, index, flags: UP, change: 0 }, attrs: { ifname } }),
  )

t.test('what one announcement of the kernel means', async (t) => {
  const routeOver = (oif: number): Uint8Array =>
    routeAddRequest({ family: AF_INET, dst: { address: ip(10, 100, 2, 0), prefixLen: 24 }, oif }).payload
  const addressOn = (index: number): Uint8Array =>
    addrAddRequest({ index, family: AF_INET, address: ip(10, 100, 1, 1), prefixLen: 32 }).payload
  const own = { isDeviceGone: false, isRouteGone: false, isUnderlay: false }
  const cases: [name: string, reply: Reply, changes: Partial<typeof own>][] = [
    ['the device was deleted', linkReply(17, 7, 'flatnet-p2p'), { isDeviceGone: true, isRouteGone: true }],
    ['the device was set down or up', linkReply(16, 7, 'flatnet-p2p'), { isRouteGone: true }],
    ['a container came', linkReply(16, 8, 'fn0c4be9a1f2'), {}],
    ['a network card', linkReply(16, 2, 'eth0'), { isUnderlay: true }],
    ['a route over the device was deleted', reply(25, routeOver(7)), { isRouteGone: true }],
    ['a route over the device was added', reply(24, routeOver(7)), {}],
    ['another route', reply(24, routeOver(2)), { isUnderlay: true }],
    ['the device lost its address', reply(21, addressOn(7)), { isRouteGone: true }],
    ['the device got its address', reply(20, addressOn(7)), {}],
    ['an address of a card', reply(20, addressOn(2)), { isUnderlay: true }],
    ['a message of another kind', reply(28, ip(0, 0, 0, 0)), {}],
  ]
  for (const [name, message, changes] of cases) t.same(changeOf(message, 7), { ...own, ...changes }, name)
})
