/** Which links are on a LAN, and by which address this host is known there. */
import { encode } from 'netlink-ts/codec.ts'
import type { Reply } from 'netlink-ts/message.ts'
import { type Addr, addrAddRequest } from 'netlink-ts/route/addr.ts'
import type { Link } from 'netlink-ts/route/link.ts'
import { linkmsg } from 'netlink-ts/route/linkmsg.ts'
import type { Route } from 'netlink-ts/route/route.ts'
import t from 'tap'
import { interruptedBy, lanLinks } from '../../../kernel/lan.ts'

/** UP, RUNNING, MULTICAST. */
const FLAGS = 0x1041
const SECONDARY = 0x1
const link = (index: number, name: string, more: Partial<Link> = {}): Link =>
  ({ index, name, flags: FLAGS, kind: undefined, master: undefined, ...more }) as Link
const addr = (index: number, last: number, more: Partial<Addr> = {}): Addr =>
  ({
    index,
    address: Uint8Array.of(192, 0, 2, last),
    prefixLen: 24,
    family: 2,
    flags: 0,
    scope: 0,
    ...more,
  }) as Addr
const defaultRoute = (oif: number): Route => ({ oif, dst: undefined }) as Route

t.test('which links', (t) => {
  const cases: readonly (readonly [string, Link, boolean])[] = [
    ['Ethernet', link(2, 'eth0'), true],
    ['a cable that is out', link(2, 'eth0', { flags: 0x1001 }), false],
    ['set down', link(2, 'eth0', { flags: 0x1000 }), false],
    ['a tunnel to one other host', link(2, 'ppp0', { flags: FLAGS | 0x10 }), false],
    ['no multicast', link(2, 'wg0', { flags: 0x41 }), false],
    ['loopback', link(2, 'lo', { flags: FLAGS | 0x8 }), false],
    ['a bridge of ours', link(2, 'flatnet0', { kind: 'bridge' }), false],
    ['a bridge of containers', link(2, 'podman0', { kind: 'bridge' }), false],
    ['a port of a bridge', link(2, 'eth0', { master: 3 }), false],
  ]
  for (const [what, given, isLan] of cases)
    t.equal(lanLinks([given], [addr(2, 7)], []).length, isLan ? 1 : 0, what)
  const bridge = link(2, 'br0', { kind: 'bridge' })
  t.equal(lanLinks([bridge], [addr(2, 7)], [defaultRoute(2)]).length, 1, 'the bridge that is the way out')
  t.end()
})

t.test('which address', (t) => {
  const addrs = [
    addr(3, 8),
    addr(2, 9, { flags: SECONDARY }),
    addr(2, 7),
    addr(2, 6, { flags: 0x40 }),
    addr(2, 1, { family: 10, address: new Uint8Array(16).fill(32) }),
  ]
  t.same(lanLinks([link(3, 'wlan0'), link(2, 'eth0'), link(4, 'eth1')], addrs, []), [
    { ifname: 'eth0', index: 2, address: '192.0.2.7', prefixLen: 24, addresses: ['192.0.2.9', '192.0.2.7'] },
    { ifname: 'wlan0', index: 3, address: '192.0.2.8', prefixLen: 24, addresses: ['192.0.2.8'] },
  ])
  const local = addr(2, 0, { address: Uint8Array.of(169, 254, 3, 4), prefixLen: 16, scope: 253 })
  t.match(lanLinks([link(2, 'eth0')], [local, addr(2, 7)], []), [{ address: '192.0.2.7' }])
  t.match(lanLinks([link(2, 'eth0')], [local], []), [{ address: '169.254.3.4' }], 'better than none')
  t.end()
})

t.test('what interrupts a link', (t) => {
  const reply = (type: number, payload: Uint8Array): Reply => ({
    header: { length: 16 + payload.byteLength, type, flags: 0, seq: 0, pid: 0 },
    payload,
  })
  const linkReply = (type: number, flags: number): Reply =>
    reply(type, encode(linkmsg, { header: { family: 0, type: 0, index: 2, flags, change: 0 }, attrs: {} }))
  const addrReply = (type: number, more: object = {}): Reply =>
    reply(
      type,
      addrAddRequest({
        index: 2,
        family: 2,
        address: Uint8Array.of(192, 0, 2, 7),
        prefixLen: 24,
        ...more,
      }).payload,
    )
  const v6 = { family: 10, address: new Uint8Array(16).fill(32) }
  const cases: readonly (readonly [string, Reply, number | undefined])[] = [
    ['its cable is out', linkReply(16, 0x1001), 2],
    ['it was deleted', linkReply(17, FLAGS), 2],
    ['it is up', linkReply(16, FLAGS), undefined],
    ['its address was removed', addrReply(21), 2],
    ['another address of its network was removed', addrReply(21, { flags: SECONDARY }), undefined],
    ['an address of IPv6 was removed', addrReply(21, v6), undefined],
    ['it got an address', addrReply(20), undefined],
  ]
  for (const [what, message, index] of cases) t.equal(interruptedBy(message), index, what)
  t.end()
})
