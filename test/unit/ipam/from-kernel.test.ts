/** ipam/from-kernel.ts as a table, and what acquire makes of it: a store that is whole and older than the kernel. */
import { cpSync, rmSync } from 'node:fs'
import t from 'tap'
import { attachmentKey } from '../../../core/attachment.ts'
import { adoptionOf } from '../../../ipam/from-kernel.ts'
import { find } from '../../../ipam/ipam.ts'
import type { Lease } from '../../../ipam/lease.ts'
import { attachmentOf, fakeHost, refusal, slice16, slice24 } from '../../helpers/store/lease-host.ts'
import { checkStore } from '../../helpers/store/store-invariants.ts'

const lease = (containerId: string, octet: number, more: Partial<Lease> = {}): Lease => ({
  ...attachmentOf(containerId),
  ip: `10.100.1.${octet}`,
  mac: '0a:64:0a:64:01:01',
  hostIfname: `fn${containerId}`,
  netns: `/run/netns/${containerId}`,
  netnsInode: '4:1',
  bootId: 'now',
  name: `the ${containerId}`,
  createdAt: '2026-03-01T12:00:00.000Z',
  state: 'active',
  ...more,
})

/** As the kernel tells it. */
const link = (containerId: string, octet: number): Lease => {
  const { name: _, ...told } = lease(containerId, octet, { mac: '', netns: '', netnsInode: '' })
  return told
}

interface Case {
  readonly name: string
  readonly leases: readonly Lease[]
  readonly live: readonly Lease[]
  readonly dropped?: readonly Lease[]
  readonly adopted?: readonly Lease[]
  readonly rivals?: readonly (readonly [Lease, Lease])[]
}

const cases: readonly Case[] = [
  { name: 'nothing and nothing', leases: [], live: [] },
  { name: 'what agrees is left alone', leases: [lease('a', 10)], live: [link('a', 10)] },
  { name: 'a lease without a link is no matter of ours', leases: [lease('a', 10)], live: [] },
  { name: 'a link without a lease gets one', leases: [], live: [link('a', 10)], adopted: [link('a', 10)] },
  {
    name: 'who moved keeps what people call it',
    leases: [lease('a', 10)],
    live: [link('a', 20)],
    dropped: [lease('a', 10)],
    adopted: [{ ...link('a', 20), name: 'the a' }],
  },
  {
    name: 'who is gone makes way for who lives there',
    leases: [lease('gone', 10)],
    live: [link('a', 10)],
    dropped: [lease('gone', 10)],
    adopted: [link('a', 10)],
  },
  {
    name: 'two who changed places',
    leases: [lease('a', 10), lease('b', 11)],
    live: [link('a', 11), link('b', 10)],
    dropped: [lease('a', 10), lease('b', 11)],
    adopted: [
      { ...link('a', 11), name: 'the a' },
      { ...link('b', 10), name: 'the b' },
    ],
  },
  {
    name: 'one who moved to where another moved from',
    leases: [lease('a', 10), lease('b', 11)],
    live: [link('a', 11), link('b', 12)],
    dropped: [lease('a', 10), lease('b', 11)],
    adopted: [
      { ...link('a', 11), name: 'the a' },
      { ...link('b', 12), name: 'the b' },
    ],
  },
  {
    name: 'a lease of another boot is made one of this',
    leases: [lease('a', 10, { bootId: 'before' })],
    live: [link('a', 10)],
    adopted: [{ ...link('a', 10), name: 'the a', mac: '0a:64:0a:64:01:01' }],
  },
  {
    name: 'an ADD under way has yet to remove its old link',
    leases: [lease('a', 20, { state: 'pending' })],
    live: [link('a', 10)],
  },
  {
    name: 'one under way to an address that is held will be refused by the kernel',
    leases: [lease('b', 10, { state: 'pending' })],
    live: [link('a', 10)],
    dropped: [lease('b', 10, { state: 'pending' })],
    adopted: [link('a', 10)],
  },
  {
    name: 'two live links with one address: who has the lease keeps it',
    leases: [lease('a', 10)],
    live: [link('b', 10), link('a', 10)],
    rivals: [[lease('a', 10), link('b', 10)]],
  },
  {
    name: 'and neither has: the first',
    leases: [],
    live: [link('a', 10), link('b', 10)],
    adopted: [link('a', 10)],
    rivals: [[link('a', 10), link('b', 10)]],
  },
  {
    name: 'delegated IPAM has no link that could speak for it',
    leases: [lease('d', 10, { hostIfname: '' })],
    live: [link('a', 10)],
    rivals: [[lease('d', 10, { hostIfname: '' }), link('a', 10)]],
  },
]

for (const { name, leases, live, dropped = [], adopted = [], rivals = [] } of cases)
  t.test(name, async (t) => {
    t.same(adoptionOf(leases, live), { dropped, adopted, rivals })
    const gone = new Set(dropped)
    const after = [
      ...leases.filter((l) => !gone.has(l) && !adopted.some(({ ip }) => ip === l.ip)),
      ...adopted,
    ]
    t.same(adoptionOf(after, live), { dropped: [], adopted: [], rivals }, 'and once is enough')
  })

for (const [size, of, stem] of [
  ['/24', slice24, '10.100.1.'],
  ['/16', slice16, '10.1.0.'],
] as const)
  t.test(`an old store is made whole when it is in doubt (${size})`, async (t) => {
    const host = fakeHost(t, of)
    host.add('before')
    host.add('moved')
    cpSync(host.dataDir, `${host.dataDir}.kept`, { recursive: true, verbatimSymlinks: true })
    t.teardown(() => rmSync(`${host.dataDir}.kept`, { recursive: true }))
    host.del('moved')
    const live = [host.add('moved'), host.add('x'), host.add('y')]
    const far = size === '/16' ? [host.add('far', { requestedIp: '10.1.200.7' })] : []
    rmSync(host.dataDir, { recursive: true })
    cpSync(`${host.dataDir}.kept`, host.dataDir, { recursive: true, verbatimSymlinks: true })

    t.equal(find(host.store(), attachmentOf('x')), undefined, 'the store knows nothing of it')
    const { lease } = host.acquire('next', { isDoubtful: true })
    const held = [...live, ...far].map(({ ip }) => ip)
    t.notOk(held.includes(lease.ip), lease.ip)
    for (const { ip, ...of } of [...live, ...far]) t.equal(find(host.store(), of)?.ip, ip, attachmentKey(of))
    const ips = host.ips()
    t.equal(new Set(ips).size, 4 + held.length - 2, `${ips}`)
    checkStore(t, host, 'afterwards')
    const asked = refusal(() => host.acquire('late', { requestedIp: `${stem}13`, isDoubtful: true }))
    t.match(asked.message, /10\.\d+\.\d+\.13 is held by container/)
  })
