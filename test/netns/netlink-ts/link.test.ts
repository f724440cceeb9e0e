/** Links against the kernel: what we make, `ip` shows; what `ip` makes, we read. */
import { Errno, NetlinkError } from 'netlink-ts/errors.ts'
import { linkIndex, linkMtu } from 'netlink-ts/route/ifreq.ts'
import {
  bridgeAddRequest,
  bridgePortSetRequest,
  linkAltNameAddRequest,
  linkByIndex,
  linkByName,
  linkDelRequest,
  linkList,
  linkSetRequest,
  vethAddRequest,
} from 'netlink-ts/route/link.ts'
import t from 'tap'
import { live } from '../../helpers/kernel/netlink-live.ts'
import { needsRoot } from '../../helpers/kernel/netns.ts'

t.test('a bridge has what was asked for', { skip: needsRoot }, async (t) => {
  const ns = await live(t)
  ns.route.execute(
    bridgeAddRequest({
      name: 'br0',
      mtu: 1400,
      address: '0a:00:00:00:00:01',
      txQueueLen: 500,
      up: true,
      bridge: { stpState: 0, ageingTime: 6000, multicastSnooping: 0 },
    }),
  )
  const [shown] = ns.json('ip', '-j', '-d', 'link', 'show', 'br0')
  t.match(shown, {
    mtu: 1400,
    address: '0a:00:00:00:00:01',
    txqlen: 500,
    linkinfo: {
      info_kind: 'bridge',
      info_data: { stp_state: 0, ageing_time: 6000, mcast_snooping: 0 },
    },
  })
  t.ok(shown.flags.includes('UP'))
  t.match(linkByName(ns.route, 'br0'), {
    index: shown.ifindex,
    kind: 'bridge',
    isUp: true,
    bridge: { ageingTime: 6000 },
    master: undefined,
    altNames: [],
  })
  t.throws(() => ns.route.execute(bridgeAddRequest({ name: 'br0' })), {
    name: 'NetlinkError',
    op: 'RTM_NEWLINK br0',
    errno: Errno.EEXIST,
  })
})

t.test(
  'a veth pair over two namespaces is one message; alias and port follow in the same send',
  { skip: needsRoot },
  async (t) => {
    const host = await live(t)
    const container = await live(t)
    host.route.execute(bridgeAddRequest({ name: 'br0', up: true }))
    const bridge = linkByName(host.route, 'br0')!
    const outcomes = host.route.executeAll([
      vethAddRequest({
        name: 'fn0',
        address: '0a:00:00:00:00:02',
        mtu: 1380,
        master: bridge.index,
        txQueueLen: 0,
        up: true,
        peer: { name: 'eth0', address: '0a:64:0a:64:01:0a', mtu: 1380, netns: container.fd },
      }),
      linkSetRequest({ name: 'fn0', alias: 'flatnet web eth0 10.100.1.10/24' }),
      bridgePortSetRequest({ name: 'fn0', hairpin: true, isolated: true, learning: false }),
    ])
    t.same(outcomes, [[], [], []])

    const [hostEnd] = host.json('ip', '-j', '-d', 'link', 'show', 'fn0')
    t.match(hostEnd, {
      mtu: 1380,
      address: '0a:00:00:00:00:02',
      master: 'br0',
      ifalias: 'flatnet web eth0 10.100.1.10/24',
      linkinfo: { info_kind: 'veth', info_slave_data: { hairpin: true, isolated: true, learning: false } },
    })
    const [containerEnd] = container.json('ip', '-j', '-d', 'link', 'show', 'eth0')
    t.match(containerEnd, { mtu: 1380, address: '0a:64:0a:64:01:0a', operstate: 'DOWN' })

    const ours = linkByName(host.route, 'fn0')
    t.match(ours, {
      kind: 'veth',
      mtu: 1380,
      isUp: true,
      txQueueLen: 0,
      master: bridge.index,
      link: containerEnd.ifindex,
      alias: 'flatnet web eth0 10.100.1.10/24',
      address: '0a:00:00:00:00:02',
      port: { hairpin: true, isolated: true },
    })
    t.type(ours?.linkNetnsid, 'number')
    t.strictSame(linkByIndex(host.route, ours!.index), ours)

    container.route.execute(linkSetRequest({ name: 'eth0', up: true }))
    t.equal(linkByName(container.route, 'eth0')?.isUp, true)

    host.route.execute(linkDelRequest({ name: 'fn0' }))
    t.equal(linkByName(host.route, 'fn0'), undefined)
    t.equal(linkByName(container.route, 'eth0'), undefined, 'the other end is gone with it')
  },
)

t.test('neither end is left when one name is taken', { skip: needsRoot }, async (t) => {
  const host = await live(t)
  const container = await live(t)
  container.exec('ip', 'tuntap', 'add', 'eth0', 'mode', 'tap')
  const veth = vethAddRequest({ name: 'fn0', peer: { name: 'eth0', netns: container.fd } })
  t.throws(() => host.route.execute(veth), {
    name: 'NetlinkError',
    op: 'RTM_NEWLINK fn0',
    errno: Errno.EEXIST,
  })
  t.same(
    linkList(host.route).map((link) => link.name),
    ['lo'],
  )
})

t.test('changes', { skip: needsRoot }, async (t) => {
  const ns = await live(t)
  ns.exec('ip', 'tuntap', 'add', 'd0', 'mode', 'tap')
  const { index } = linkByName(ns.route, 'd0')!
  const shown = () => ns.json('ip', '-j', 'link', 'show')[1]

  ns.route.execute(
    linkSetRequest({ index, mtu: 1300, address: '0a:00:00:00:00:09', alias: 'é', txQueueLen: 7 }),
  )
  t.match(shown(), { mtu: 1300, address: '0a:00:00:00:00:09', ifalias: 'é', txqlen: 7 })
  t.equal(linkByIndex(ns.route, index)?.alias, 'é')
  ns.route.execute(linkSetRequest({ index, alias: '' }))
  t.equal(linkByIndex(ns.route, index)?.alias, undefined, 'an empty alias removes it')

  ns.route.execute(linkSetRequest({ index, rename: 'd1', up: true }))
  t.match(shown(), { ifname: 'd1' })
  ns.route.execute(linkSetRequest({ name: 'd1', up: false }))
  t.equal(linkByName(ns.route, 'd1')?.isUp, false)

  ns.exec('ip', 'link', 'add', 'br0', 'type', 'bridge')
  const bridge = linkByName(ns.route, 'br0')!
  ns.route.execute(linkSetRequest({ name: 'd1', master: bridge.index }))
  t.equal(linkByName(ns.route, 'd1')?.master, bridge.index)
  ns.route.execute(linkSetRequest({ name: 'd1', master: 0 }))
  t.equal(linkByName(ns.route, 'd1')?.master, undefined)

  const other = await live(t)
  ns.route.execute(linkSetRequest({ name: 'd1', netns: other.fd }))
  t.equal(linkByName(ns.route, 'd1'), undefined)
  t.equal(linkByName(other.route, 'd1')?.mtu, 1300)
})

t.test('look-up', { skip: needsRoot }, async (t) => {
  const ns = await live(t)
  ns.exec('ip', 'tuntap', 'add', 'd0', 'mode', 'tap')
  ns.exec(
    'ip',
    'link',
    'property',
    'add',
    'dev',
    'd0',
    'altname',
    'an-alternative-name-of-a-link',
    'altname',
    'short',
  )
  const link = linkByName(ns.route, 'an-alternative-name-of-a-link')
  t.match(link, { name: 'd0', kind: 'tun' })
  t.same(link?.altNames.toSorted(), ['an-alternative-name-of-a-link', 'short'])
  ns.route.execute(linkSetRequest({ name: 'an-alternative-name-of-a-link', mtu: 1234 }))
  t.equal(linkByName(ns.route, 'd0')?.mtu, 1234)
  for (const name of ['nope', 'no-such-link-with-a-long-name', 'd'])
    t.equal(linkByName(ns.route, name), undefined, name)
  t.equal(linkByIndex(ns.route, 4711), undefined)
  t.match(linkByName(ns.route, 'lo'), {
    index: 1,
    kind: undefined,
    isUp: false,
    address: '00:00:00:00:00:00',
  })
})

t.test('a namespace has each name once', { skip: needsRoot }, async (t) => {
  const ns = await live(t)
  for (const name of ['d0', 'd1']) ns.exec('ip', 'tuntap', 'add', name, 'mode', 'tap')
  const altName = 'fnip-10.100.1.13'
  ns.route.execute(linkAltNameAddRequest({ name: 'd0', altName }))
  t.same(linkByName(ns.route, altName)?.altNames, [altName])
  const again = (name: string) => ns.route.executeAll([linkAltNameAddRequest({ name, altName })])
  t.match(again('d1'), [{ errno: Errno.EEXIST }])
  ns.exec('ip', 'link', 'del', 'd0')
  t.same(again('d1'), [[]], 'it went with the link')
})

t.test('lists are filtered', { skip: needsRoot }, async (t) => {
  const ns = await live(t)
  for (const args of ['add br0 type bridge', 'add br1 type bridge']) ns.exec('ip', 'link', ...args.split(' '))
  for (const name of ['d0', 'd1', 'd2']) ns.exec('ip', 'tuntap', 'add', name, 'mode', 'tap')
  for (const args of ['set d0 master br0', 'set d1 master br1']) ns.exec('ip', 'link', ...args.split(' '))
  const names = (filter?: Parameters<typeof linkList>[1]) =>
    linkList(ns.route, filter).map((link) => link.name)
  const { index: master } = linkByName(ns.route, 'br0')!
  t.same(names(), ['lo', 'br0', 'br1', 'd0', 'd1', 'd2'])
  t.same(names({ kind: 'bridge' }), ['br0', 'br1'])
  t.same(names({ master }), ['d0'])
  t.same(names({ master, kind: 'bridge' }), [])
  t.same(names({ kind: 'no-such-kind' }), [])
})

t.test(
  'the links of 80 bridges arrive complete, and 80 requests in one call',
  { skip: needsRoot },
  async (t) => {
    const ns = await live(t)
    const outcomes = ns.route.executeAll(
      Array.from({ length: 80 }, (_, i) => bridgeAddRequest({ name: `b${i}` })),
    )
    t.equal(outcomes.filter((outcome) => outcome instanceof NetlinkError).length, 0)
    t.equal(linkList(ns.route, { kind: 'bridge' }).length, 80)
    t.equal(ns.json('ip', '-j', 'link', 'show', 'type', 'bridge').length, 80)
    const gone = ns.route.executeAll([
      linkDelRequest({ name: 'b7' }),
      linkDelRequest({ name: 'b7' }),
      linkDelRequest({ name: 'b8' }),
    ])
    t.match(gone[1], { op: 'RTM_DELLINK b7', errno: Errno.ENODEV })
    t.same([gone[0], gone[2]], [[], []], 'one refusal does not stop the others')
  },
)

t.test('single facts by ifreq are those of the socket’s own namespace', { skip: needsRoot }, async (t) => {
  const host = await live(t)
  const other = await live(t)
  host.route.execute(bridgeAddRequest({ name: 'fifteen-bytes-x', mtu: 1380 }))
  const [shown] = host.json('ip', '-j', 'link', 'show', 'fifteen-bytes-x')
  t.equal(linkIndex(host.route, 'fifteen-bytes-x'), shown.ifindex)
  t.equal(linkIndex(other.route, 'fifteen-bytes-x'), undefined)
  t.match(linkMtu(host.route, shown.ifindex), { mtu: 1380, flags: Number })
  t.equal((linkMtu(host.route, 1)?.flags ?? 0) & 0x8, 0x8, 'lo is a loopback')
  t.equal(linkMtu(host.route, 9_999), undefined)
  t.throws(() => linkIndex(host.route, 'sixteen-bytes-xx'), RangeError, 'it would be cut to another name')
  t.throws(() => linkIndex(host.route, 'a\0b'), RangeError)
})
