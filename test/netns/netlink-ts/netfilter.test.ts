/**
 * nftables elements and connection tracking against the kernel: what we write, `nft` and `conntrack` show; what they
 * write, we read.
 */
import { Errno } from 'netlink-ts/errors.ts'
import { conntrackFlush, conntrackFlushByDump } from 'netlink-ts/netfilter/conntrack.ts'
import { setElemGet } from 'netlink-ts/netfilter/elemget.ts'
import { concat, intervalsFrom, port, prefixElements } from 'netlink-ts/netfilter/keys.ts'
import { NFPROTO_INET as INET, nftTransaction } from 'netlink-ts/netfilter/nfnetlink.ts'
import {
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
  setElemAddRequest,
  setElemDelRequest,
  setElemList,
  setGet,
} from 'netlink-ts/netfilter/set.ts'
import { tableDelRequest, tableGet } from 'netlink-ts/netfilter/table.ts'
import t, { type Test } from 'tap'
import { ip } from '../../helpers/kernel/netlink-hex.ts'
import { type Live, live } from '../../helpers/kernel/netlink-live.ts'
import { needsRoot } from '../../helpers/kernel/netns.ts'

const RULESET = `
table inet flatnet {
  comment "version 7"
  map published {
    type inet_proto . ipv4_addr . inet_service : ipv4_addr . inet_service
    comment "ports"
  }
  set slices { type ipv4_addr; flags interval; }
  set plain { type ipv4_addr; }
  map ranges { type ipv4_addr . inet_service : ipv4_addr; flags interval; }
}`

async function withTable(t: Test): Promise<Live> {
  const ns = await live(t)
  ns.exec('nft', RULESET)
  return ns
}

/** Elements as nft shows them. */
const shown = (ns: Live, kind: 'set' | 'map', name: string): unknown[] =>
  ns.json('nft', '-j', 'list', kind, 'inet', 'flatnet', name).nftables[1][kind].elem ?? []

const TCP = Uint8Array.of(6)
const published = {
  family: INET,
  table: 'flatnet',
  set: 'published',
  elements: [
    {
      key: concat(TCP, ip('0.0.0.0'), port(8080)),
      data: concat(ip('10.100.1.10'), port(80)),
      comment: 'flatnet web eth0',
    },
  ],
}
const plain = (...addresses: string[]) => ({
  family: INET,
  table: 'flatnet',
  set: 'plain',
  elements: addresses.map((address) => ({ key: ip(address) })),
})

t.test('tables and sets are looked up', { skip: needsRoot }, async (t) => {
  const ns = await withTable(t)
  t.match(tableGet(ns.netfilter, INET, 'flatnet'), {
    family: INET,
    name: 'flatnet',
    use: 4,
    comment: 'version 7',
  })
  t.equal(tableGet(ns.netfilter, INET, 'nope'), undefined)
  t.match(setGet(ns.netfilter, INET, 'flatnet', 'published'), {
    table: 'flatnet',
    name: 'published',
    flags: NFT_SET_MAP,
    keyLen: 12,
    dataLen: 8,
    comment: 'ports',
  })
  t.match(setGet(ns.netfilter, INET, 'flatnet', 'slices'), {
    flags: NFT_SET_INTERVAL,
    keyLen: 4,
    dataType: undefined,
    comment: undefined,
  })
  t.equal(setGet(ns.netfilter, INET, 'flatnet', 'nope'), undefined)
  t.equal(setGet(ns.netfilter, INET, 'nope', 'published'), undefined)
})

t.test('map elements that we add, nft shows, and the other way round', { skip: needsRoot }, async (t) => {
  const ns = await withTable(t)
  nftTransaction(ns.netfilter, [setElemAddRequest(published)])
  t.same(shown(ns, 'map', 'published'), [
    [
      { elem: { val: { concat: ['tcp', '0.0.0.0', 8080] }, comment: 'flatnet web eth0' } },
      { concat: ['10.100.1.10', 80] },
    ],
  ])
  t.strictSame(setElemList(ns.netfilter, INET, 'flatnet', 'published'), [
    { ...published.elements[0], keyEnd: undefined, flags: 0 },
  ])
  const { key } = published.elements[0]!
  const absent = concat(TCP, ip('0.0.0.0'), port(8081))
  t.match(setElemGet(ns.netfilter, INET, 'flatnet', 'published', [absent, key]), [
    undefined,
    published.elements[0],
  ])
  t.same(setElemGet(ns.netfilter, INET, 'flatnet', 'nope', [key]), [undefined])
  nftTransaction(ns.netfilter, [setElemDelRequest(published)])
  t.same(shown(ns, 'map', 'published'), [])

  ns.exec(
    'nft',
    'add element inet flatnet published { udp . 127.0.0.1 . 53 comment "dns" : 10.100.1.11 . 5353 }',
  )
  t.match(setElemList(ns.netfilter, INET, 'flatnet', 'published'), [
    {
      key: concat(Uint8Array.of(17), ip('127.0.0.1'), port(53)),
      data: concat(ip('10.100.1.11'), port(5353)),
      comment: 'dns',
    },
  ])
})

t.test(
  'adding twice is fine, with another value or exclusively it is not',
  { skip: needsRoot },
  async (t) => {
    const ns = await withTable(t)
    const add = () => nftTransaction(ns.netfilter, [setElemAddRequest(published)])
    add()
    add()
    const other = {
      ...published,
      elements: [{ ...published.elements[0]!, data: concat(ip('10.100.1.11'), port(80)) }],
    }
    for (const request of [setElemAddRequest({ ...published, exclusive: true }), setElemAddRequest(other)])
      t.throws(() => nftTransaction(ns.netfilter, [request]), {
        name: 'NetlinkError',
        op: 'NFT_MSG_NEWSETELEM inet flatnet published',
        errno: Errno.EEXIST,
      })
    nftTransaction(ns.netfilter, [setElemDelRequest(published), setElemAddRequest(other)])
    t.match(
      setElemList(ns.netfilter, INET, 'flatnet', 'published'),
      [{ data: concat(ip('10.100.1.11'), port(80)) }],
      'replaced',
    )
  },
)

t.test('a transaction happens as a whole or not at all', { skip: needsRoot }, async (t) => {
  const ns = await withTable(t)
  t.throws(
    () =>
      nftTransaction(ns.netfilter, [
        setElemAddRequest(plain('1.1.1.1')),
        setElemDelRequest(plain('9.9.9.9')),
        setElemAddRequest(published),
      ]),
    { name: 'NetlinkError', op: 'NFT_MSG_DELSETELEM inet flatnet plain', errno: Errno.ENOENT },
  )
  t.same(shown(ns, 'set', 'plain'), [])
  t.same(shown(ns, 'map', 'published'), [])
  nftTransaction(ns.netfilter, [setElemAddRequest(plain('1.1.1.1', '2.2.2.2')), setElemAddRequest(published)])
  t.same(shown(ns, 'set', 'plain'), ['1.1.1.1', '2.2.2.2'])
  nftTransaction(ns.netfilter, [])
  nftTransaction(ns.netfilter, [tableDelRequest(INET, 'flatnet')])
  t.equal(tableGet(ns.netfilter, INET, 'flatnet'), undefined)
  t.throws(() => setElemList(ns.netfilter, INET, 'flatnet', 'plain'), {
    name: 'NetlinkError',
    errno: Errno.ENOENT,
  })
})

t.test('sets of prefixes', { skip: needsRoot }, async (t) => {
  const ns = await withTable(t)
  const slices = (...prefixes: [string, number, string?][]) => ({
    family: INET,
    table: 'flatnet',
    set: 'slices',
    elements: prefixes.flatMap(([address, length, comment]) => prefixElements(ip(address), length, comment)),
  })
  nftTransaction(ns.netfilter, [
    setElemAddRequest(
      slices(['10.100.2.0', 24, 'host 2'], ['10.100.3.0', 24], ['255.255.255.0', 24], ['10.9.0.1', 32]),
    ),
  ])
  t.same(shown(ns, 'set', 'slices'), [
    '10.9.0.1',
    { elem: { val: { prefix: { addr: '10.100.2.0', len: 24 } }, comment: 'host 2' } },
    { prefix: { addr: '10.100.3.0', len: 24 } },
    { prefix: { addr: '255.255.255.0', len: 24 } },
  ])
  t.doesNotThrow(
    () => ns.exec('nft', 'get element inet flatnet slices { 10.100.2.77 }'),
    'an address inside is found',
  )
  t.throws(() => ns.exec('nft', 'get element inet flatnet slices { 10.100.4.1 }'))
  t.throws(() => nftTransaction(ns.netfilter, [setElemAddRequest(slices(['10.100.2.128', 25]))]), {
    name: 'NetlinkError',
    errno: Errno.EEXIST,
  })

  ns.exec('nft', 'add element inet flatnet slices { 10.100.9.0/24 comment "by nft" }')
  nftTransaction(ns.netfilter, [setElemDelRequest(slices(['10.100.2.0', 24], ['10.9.0.1', 32]))])
  t.strictSame(intervalsFrom(setElemList(ns.netfilter, INET, 'flatnet', 'slices')), [
    { start: ip('10.100.3.0'), end: ip('10.100.3.255'), comment: undefined },
    { start: ip('10.100.9.0'), end: ip('10.100.9.255'), comment: 'by nft' },
    { start: ip('255.255.255.0'), end: ip('255.255.255.255'), comment: undefined },
  ])
})

t.test('intervals of concatenations have the last key in the element', { skip: needsRoot }, async (t) => {
  const ns = await withTable(t)
  nftTransaction(ns.netfilter, [
    setElemAddRequest({
      family: INET,
      table: 'flatnet',
      set: 'ranges',
      elements: [
        {
          key: concat(ip('10.0.0.0'), port(80)),
          keyEnd: concat(ip('10.255.255.255'), port(90)),
          data: ip('1.1.1.1'),
        },
      ],
    }),
  ])
  t.same(shown(ns, 'map', 'ranges'), [
    [{ concat: [{ prefix: { addr: '10.0.0.0', len: 8 } }, { range: [80, 90] }] }, '1.1.1.1'],
  ])
})

t.test('transactions of 2000 requests pass, and fail with the cause', { skip: needsRoot }, async (t) => {
  const ns = await withTable(t)
  const all = Array.from({ length: 2000 }, (_, i) => ({
    ...plain(`10.0.${i >> 8}.${i & 255}`),
    exclusive: true,
  }))
  nftTransaction(ns.netfilter, all.map(setElemAddRequest))
  t.equal(setElemList(ns.netfilter, INET, 'flatnet', 'plain').length, 2000, 'also a list of several parts')
  t.throws(() => nftTransaction(ns.netfilter, all.map(setElemAddRequest)), {
    name: 'NetlinkError',
    op: 'NFT_MSG_NEWSETELEM inet flatnet plain',
    errno: Errno.EEXIST,
  })
  t.equal(
    setElemList(ns.netfilter, INET, 'flatnet', 'plain').length,
    2000,
    'the socket is fit for the next request',
  )
})

t.test('connections are forgotten', { skip: needsRoot }, async (t) => {
  for (const flush of [conntrackFlush, conntrackFlushByDump])
    await t.test(flush.name, async (t) => {
      const ns = await live(t)
      const add = (protocol: string, sport: number, dport: number, answers: string) =>
        ns.exec(
          ...(`conntrack -I -p ${protocol} -s 10.0.0.1 -d 10.0.0.2 --sport ${sport} --dport ${dport} --timeout 100 -r ${answers} -q 10.0.0.1 --reply-port-src 9 --reply-port-dst ${sport}${protocol === 'tcp' ? ' --state ESTABLISHED' : ''}`.split(
            ' ',
          ) as [string, ...string[]]),
        )
      const left = () =>
        [...ns.exec('conntrack', '-L').matchAll(/^(\w+).*? sport=(\d+)/gm)]
          .map(([, p, s]) => `${p} ${s}`)
          .toSorted()
      add('udp', 1, 53, '10.0.0.8')
      add('udp', 2, 53, '10.0.0.9')
      add('udp', 3, 54, '10.0.0.9')
      add('tcp', 4, 53, '10.0.0.9')
      t.same(left(), ['tcp 4', 'udp 1', 'udp 2', 'udp 3'])
      flush(ns.netfilter, { protocol: 17, origDstPort: 55 })
      flush(ns.netfilter, { protocol: 17, origDstAddr: ip('10.0.0.3') })
      flush(ns.netfilter, { protocol: 17, replySrcAddr: ip('10.0.0.7') })
      t.same(left(), ['tcp 4', 'udp 1', 'udp 2', 'udp 3'], 'what does not match stays')
      flush(ns.netfilter, {
        protocol: 17,
        origDstPort: 53,
        origDstAddr: ip('10.0.0.2'),
        replySrcAddr: ip('10.0.0.8'),
      })
      t.same(left(), ['tcp 4', 'udp 2', 'udp 3'])
      flush(ns.netfilter, { protocol: 17, origDstPort: 53 })
      t.same(left(), ['tcp 4', 'udp 3'])
      flush(ns.netfilter, { protocol: 6 })
      t.same(left(), ['udp 3'])
      flush(ns.netfilter, { protocol: 17, replySrcAddr: ip('10.0.0.9') })
      t.same(left(), [])
    })
})
