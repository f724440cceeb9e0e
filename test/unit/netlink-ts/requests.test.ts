/** Builders: what they send equals what iproute2 and nft send for the same command. */

import type { Request } from 'netlink-ts/message.ts'
import { conntrackFlushRequest } from 'netlink-ts/netfilter/conntrack.ts'
import {
  concat,
  intervalElements,
  intervalsFrom,
  port,
  portFrom,
  prefixElements,
  split,
} from 'netlink-ts/netfilter/keys.ts'
import { NFPROTO_INET } from 'netlink-ts/netfilter/nfnetlink.ts'
import { setElemAddRequest, setElemDelRequest } from 'netlink-ts/netfilter/set.ts'
import { tableDelRequest } from 'netlink-ts/netfilter/table.ts'
import { commentFrom, commentUserdata } from 'netlink-ts/netfilter/userdata.ts'
import { addrAddRequest, addrDelRequest } from 'netlink-ts/route/addr.ts'
import {
  bridgeAddRequest,
  bridgePortSetRequest,
  linkAltNameAddRequest,
  linkAltNameDelRequest,
  linkDelRequest,
  linkGetRequest,
  linkSetRequest,
  vethAddRequest,
} from 'netlink-ts/route/link.ts'
import { formatMac, macBytes } from 'netlink-ts/route/mac.ts'
import { neighDelRequest, neighReplaceRequest } from 'netlink-ts/route/neigh.ts'
import { routeAddRequest, routeDelRequest } from 'netlink-ts/route/route.ts'
import t from 'tap'
import { hex, ip } from '../../helpers/kernel/netlink-hex.ts'
import { routeVectors } from '../../helpers/kernel/netlink-vectors-route.ts'

/** The bytes of a golden vector, by the beginning of its name. */
function golden(command: string): string {
  const found = routeVectors.find((v) => v.name.startsWith(command))
  if (found === undefined) throw new Error(`no vector ${command}`)
  return found.bytes.toHex()
}

const rows: { request: Request; op: string; type: number; flags: number; payload: string }[] = [
  {
    request: bridgeAddRequest({
      name: 'br0',
      mtu: 1400,
      address: '0a:00:00:00:00:01',
      bridge: { ageingTime: 3000, stpState: 0 },
    }),
    op: 'RTM_NEWLINK br0',
    type: 16,
    flags: 0x600,
    payload: golden('ip link add name br0'),
  },
  {
    request: vethAddRequest({
      name: 'v0',
      mtu: 1400,
      address: '0a:00:00:00:00:02',
      peer: { name: 'eth0', mtu: 1400, address: '0a:64:0a:64:01:0a', netns: 4 },
    }),
    op: 'RTM_NEWLINK v0',
    type: 16,
    flags: 0x600,
    payload: golden('ip link add name v0'),
  },
  {
    request: linkSetRequest({ index: 3, up: true, mtu: 1300, master: 2, alias: 'web' }),
    op: 'RTM_SETLINK index 3',
    type: 19,
    flags: 0,
    payload: golden('ip link set dev v0 up'),
  },
  {
    request: linkSetRequest({ name: 'v0', up: false }),
    op: 'RTM_SETLINK v0',
    type: 19,
    flags: 0,
    payload: hex('00000000 00000000 00000000 01000000  0700 0300 763000 00').toHex(),
  },
  {
    request: linkSetRequest({ index: 3, rename: 'eth1', alias: '' }),
    op: 'RTM_SETLINK index 3',
    type: 19,
    flags: 0,
    payload: hex('00000000 03000000 00000000 00000000  0400 1400  0900 0300 65746831 00 000000').toHex(),
  },
  {
    request: bridgePortSetRequest({ name: 'v0', hairpin: true }),
    op: 'RTM_NEWLINK v0 bridge_slave',
    type: 16,
    flags: 0,
    payload: hex(`
      00000000 00000000 00000000 00000000
      0700 0300 763000 00                 # IFLA_IFNAME
      1c00 1200                           # IFLA_LINKINFO
        0a00 0400 62726964 6765 0000      # IFLA_INFO_SLAVE_KIND
        0c00 0500                         # IFLA_INFO_SLAVE_DATA
          0500 0400 01 000000             # IFLA_BRPORT_MODE`).toHex(),
  },
  {
    request: linkAltNameAddRequest({ index: 3, altName: 'third' }),
    op: 'RTM_NEWLINKPROP index 3 third',
    type: 108,
    flags: 0xe00,
    payload: golden('ip link property add'),
  },
  {
    request: linkAltNameDelRequest({ index: 3, altName: 'third' }),
    op: 'RTM_DELLINKPROP index 3 third',
    type: 109,
    flags: 0,
    payload: golden('ip link property add'),
  },
  {
    request: linkAltNameAddRequest({ name: 'v0', altName: 'fnip-10.100.1.13' }),
    op: 'RTM_NEWLINKPROP v0 fnip-10.100.1.13',
    type: 108,
    flags: 0xe00,
    payload: hex(`
      00000000 00000000 00000000 00000000
      0700 0300 763000 00                                            # IFLA_IFNAME
      1c00 3480                                                      # IFLA_PROP_LIST, nested
        1500 3500 666e6970 2d31302e 3130302e 312e3133 00 000000      # IFLA_ALT_IFNAME`).toHex(),
  },
  {
    request: linkDelRequest({ index: 3 }),
    op: 'RTM_DELLINK index 3',
    type: 17,
    flags: 0,
    payload: hex('00000000 03000000 00000000 00000000 # ip link del v0').toHex(),
  },
  {
    request: linkGetRequest({ name: 'a-very-long-alternative-name' }),
    op: 'RTM_GETLINK a-very-long-alternative-name',
    type: 18,
    flags: 0,
    payload: hex(`
      00000000 00000000 00000000 00000000
      2100 3500 612d7665 72792d6c 6f6e672d 616c7465 726e6174 6976652d 6e616d65 00 000000 # IFLA_ALT_IFNAME
      0800 1d00 08000000                                                                 # IFLA_EXT_MASK: no statistics`).toHex(),
  },
  {
    request: addrAddRequest({
      index: 2,
      family: 2,
      address: ip('10.1.0.2'),
      prefixLen: 24,
      broadcast: ip('10.1.0.255'),
    }),
    op: 'RTM_NEWADDR 10.1.0.2/24 index 2',
    type: 20,
    flags: 0x600,
    payload: hex(`
      02180000 02000000  # ip addr add 10.1.0.2/24 brd 10.1.0.255 dev br0, in the kernel's order
      0800 0100 0a010002 # IFA_ADDRESS
      0800 0200 0a010002 # IFA_LOCAL
      0800 0400 0a0100ff # IFA_BROADCAST`).toHex(),
  },
  {
    request: addrDelRequest({ index: 2, family: 2, address: ip('10.1.0.2'), prefixLen: 24 }),
    op: 'RTM_DELADDR 10.1.0.2/24 index 2',
    type: 21,
    flags: 0,
    payload: hex('02180000 02000000 0800 0100 0a010002 0800 0200 0a010002').toHex(),
  },
  {
    request: routeAddRequest({
      family: 2,
      dst: { address: ip('10.7.0.0'), prefixLen: 16 },
      metric: 100,
      src: ip('10.1.0.2'),
      gateway: ip('10.1.0.1'),
      oif: 2,
    }),
    op: 'RTM_NEWROUTE 10.7.0.0/16',
    type: 24,
    flags: 0x600,
    payload: golden('ip route add 10.7.0.0/16'),
  },
  {
    request: routeAddRequest({ family: 2, gateway: ip('10.77.0.1'), oif: 2, onlink: true, replace: true }),
    op: 'RTM_NEWROUTE default',
    type: 24,
    flags: 0x500,
    payload: hex(`
      02000000 fe030001 04000000 # ip route replace default via 10.77.0.1 dev br0 onlink
      0800 0500 0a4d0001         # RTA_GATEWAY
      0800 0400 02000000         # RTA_OIF`).toHex(),
  },
  {
    request: routeDelRequest({ family: 2, dst: { address: ip('10.9.0.0'), prefixLen: 16 }, metric: 100 }),
    op: 'RTM_DELROUTE 10.9.0.0/16',
    type: 25,
    flags: 0,
    payload: hex(`
      02100000 fe00ff00 00000000 # ip route del 10.9.0.0/16 metric 100
      0800 0100 0a090000         # RTA_DST
      0800 0600 64000000         # RTA_PRIORITY`).toHex(),
  },
  {
    request: neighReplaceRequest({ index: 2, family: 2, dst: ip('10.1.0.9'), address: '0a:64:0a:01:00:09' }),
    op: 'RTM_NEWNEIGH 10.1.0.9 index 2',
    type: 28,
    flags: 0x500,
    payload: golden('ip neigh replace'),
  },
  {
    request: neighDelRequest({ index: 2, family: 2, dst: ip('10.1.0.9') }),
    op: 'RTM_DELNEIGH 10.1.0.9 index 2',
    type: 29,
    flags: 0,
    payload: hex('02000000 02000000 00000000 0800 0100 0a010009').toHex(),
  },
  {
    request: tableDelRequest(NFPROTO_INET, 'flatnet'),
    op: 'NFT_MSG_DELTABLE inet flatnet',
    type: 0xa02,
    flags: 0,
    payload: hex('01000000 0c00 0100 666c6174 6e657400').toHex(),
  },
  {
    request: setElemDelRequest({
      family: NFPROTO_INET,
      table: 'flatnet',
      set: 'published',
      elements: [
        {
          key: concat(Uint8Array.of(6), ip('0.0.0.0'), port(8080)),
          data: concat(ip('10.100.1.10'), port(80)),
          comment: 'web',
        },
      ],
    }),
    op: 'NFT_MSG_DELSETELEM inet flatnet published',
    type: 0xa0e,
    flags: 0,
    payload: hex(`
      01000000                                   # nft delete element inet flatnet published { tcp . 0.0.0.0 . 8080 }
      0c00 0100 666c6174 6e657400                # NFTA_SET_ELEM_LIST_TABLE
      0e00 0200 7075626c 69736865 6400 0000      # NFTA_SET_ELEM_LIST_SET
      1c00 0380                                  # NFTA_SET_ELEM_LIST_ELEMENTS
        1800 0180                                # NFTA_LIST_ELEM
          1400 0180                              # NFTA_SET_ELEM_KEY
            1000 0100 06000000 00000000 1f900000 # NFTA_DATA_VALUE`).toHex(),
  },
  {
    request: setElemAddRequest({
      family: NFPROTO_INET,
      table: 'flatnet',
      set: 'published',
      exclusive: true,
      elements: [
        {
          key: concat(Uint8Array.of(6), ip('0.0.0.0'), port(8080)),
          data: concat(ip('10.100.1.10'), port(80)),
          comment: 'web',
        },
      ],
    }),
    op: 'NFT_MSG_NEWSETELEM inet flatnet published',
    type: 0xa0c,
    flags: 0x600,
    payload: hex(`
      01000000                                   # nft create element … as in the vector, without the id of the set
      0c00 0100 666c6174 6e657400                # NFTA_SET_ELEM_LIST_TABLE
      0e00 0200 7075626c 69736865 6400 0000      # NFTA_SET_ELEM_LIST_SET
      3800 0380                                  # NFTA_SET_ELEM_LIST_ELEMENTS
        3400 0180                                # NFTA_LIST_ELEM
          1400 0180                              # NFTA_SET_ELEM_KEY
            1000 0100 06000000 00000000 1f900000 # NFTA_DATA_VALUE
          1000 0280                              # NFTA_SET_ELEM_DATA
            0c00 0100 0a64010a 00500000          # NFTA_DATA_VALUE
          0a00 0600 00047765 6200 0000           # NFTA_SET_ELEM_USERDATA`).toHex(),
  },
  {
    request: conntrackFlushRequest({ protocol: 17, origDstPort: 53, replySrcAddr: ip('10.0.0.9') }),
    op: 'IPCTNL_MSG_CT_DELETE protocol 17 port 53',
    type: 0x102,
    flags: 0,
    payload: hex(`
      02010000                # nfgenmsg: version 1, else the kernel ignores the family
      1c00 0180               # CTA_TUPLE_ORIG
        0400 0180             # CTA_TUPLE_IP
        1400 0280             # CTA_TUPLE_PROTO
          0500 0100 11 000000 # CTA_PROTO_NUM
          0600 0300 0035 0000 # CTA_PROTO_DST_PORT
      1000 0280               # CTA_TUPLE_REPLY
        0c00 0180             # CTA_TUPLE_IP
          0800 0100 0a000009  # CTA_IP_V4_SRC
      1400 1980               # CTA_FILTER
        0800 0100 28000000    # CTA_FILTER_ORIG_FLAGS: protocol, destination port
        0800 0200 01000000    # CTA_FILTER_REPLY_FLAGS: source address`).toHex(),
  },
]

for (const { request, op, type, flags, payload } of rows)
  t.test(op, async (t) => {
    t.equal(request.op, op)
    t.equal(request.type, type)
    t.equal(request.flags, flags)
    t.equal(request.payload.toHex(), payload)
  })

t.test('what cannot be asked for is refused before it is sent', async (t) => {
  t.throws(() => linkSetRequest({ name: 'v0', rename: 'v1' }), TypeError)
  t.throws(() => bridgeAddRequest({ name: 'br0', address: '0a:00' }), RangeError)
  t.throws(() => bridgeAddRequest({ name: 'br0', mtu: -1 }), RangeError)
  t.throws(() => port(65536), RangeError)
  t.throws(() => commentUserdata(0, 'x'.repeat(255)), RangeError)
})

t.test('a route is of scope link without a gateway, unless it goes nowhere', async (t) => {
  const scope = (request: Request) => request.payload[6]
  t.equal(scope(routeAddRequest({ family: 2, oif: 2 })), 253)
  t.equal(scope(routeAddRequest({ family: 2, oif: 2, gateway: ip('10.1.0.1') })), 0)
  t.equal(scope(routeAddRequest({ family: 2, type: 'blackhole' })), 0)
  t.equal(scope(routeAddRequest({ family: 2, oif: 2, scope: 0 })), 0)
})

t.test('MAC addresses', async (t) => {
  t.equal(formatMac(macBytes('0A:64:0a:64:01:0A')), '0a:64:0a:64:01:0a')
  for (const bad of ['', '0a:64:0a:64:01', '0a-64-0a-64-01-0a', '0a:64:0a:64:01:0a:00', 'ga:64:0a:64:01:0a'])
    t.throws(() => macBytes(bad), RangeError, bad)
})

t.test('concatenations', async (t) => {
  const key = concat(Uint8Array.of(17), ip('10.1.2.3'), port(53))
  t.equal(key.toHex(), '11000000' + '0a010203' + '00350000')
  const [protocol, address, service] = split(key, 1, 4, 2)
  t.same([protocol?.[0], address?.join('.'), portFrom(service!)], [17, '10.1.2.3', 53])
  t.throws(() => split(key, 1, 4), RangeError)
})

t.test('intervals', async (t) => {
  const elements = (address: string, length: number) =>
    prefixElements(ip(address), length).map((e) => `${e.key.join('.')}${e.flags ? ' end' : ''}`)
  t.same(elements('10.100.2.0', 24), ['10.100.2.0', '10.100.3.0 end'])
  t.same(elements('10.100.255.0', 24), ['10.100.255.0', '10.101.0.0 end'])
  t.same(elements('10.100.2.8', 30), ['10.100.2.8', '10.100.2.12 end'])
  t.same(elements('10.100.2.9', 32), ['10.100.2.9', '10.100.2.10 end'])
  t.same(elements('255.255.255.0', 24), ['255.255.255.0'], 'nothing is behind the last address')
  t.same(elements('0.0.0.0', 0), ['0.0.0.0'])

  const intervals = [
    { start: ip('10.0.0.0'), end: ip('10.0.0.255'), comment: 'a' },
    { start: ip('10.0.1.0'), end: ip('10.0.1.255'), comment: undefined },
    { start: ip('10.0.9.0'), end: ip('10.0.9.9'), comment: 'c' },
    { start: ip('255.0.0.0'), end: ip('255.255.255.255'), comment: undefined },
  ]
  const all = intervals.flatMap(intervalElements)
  t.strictSame(intervalsFrom(all), intervals)
  t.strictSame(intervalsFrom(all.toReversed()), intervals, 'in any order')
  t.strictSame(
    intervalsFrom([{ key: ip('0.0.0.0'), flags: 1 }, ...all]),
    intervals,
    'with the end that nft puts first',
  )
})

t.test('comments are found among other userdata, and damaged userdata is told', async (t) => {
  t.equal(commentFrom(7, hex('00 04 02000000  07 06 706f72747300')), 'ports')
  t.equal(commentFrom(0, commentUserdata(0, 'é')), 'é')
  t.equal(commentFrom(0, hex('00 02 6162')), 'ab', 'without NUL')
  t.equal(commentFrom(0, hex('01 01 00')), undefined)
  t.equal(commentFrom(0, undefined), undefined)
  t.throws(() => commentFrom(7, hex('00 04 0200')), { code: 'ERR_DECODE', codec: 'userdata' })
})
