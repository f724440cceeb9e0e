/** The difference between leases and registry as a table, and the reconciler that acts on it. */

import t from 'tap'
import type { Assignment } from '../../../../core/api.ts'
import { attachmentKey } from '../../../../core/attachment.ts'
import { silentLog } from '../../../../core/log.ts'
import { Events } from '../../../../gateway/base/events.ts'
import { DELETE_GRACE_MS, difference, type Facts } from '../../../../gateway/leases/diff.ts'
import { Reconciler } from '../../../../gateway/leases/reconciler.ts'
import type { LeaseSnapshot } from '../../../../gateway/leases/source.ts'
import { Registry } from '../../../../gateway/registry/registry.ts'
import { Slices } from '../../../../gateway/registry/slices.ts'
import type { Lease } from '../../../../ipam/lease.ts'
import { assignmentOf, noLeases, testConf } from '../../../helpers/gateway/gateway-samples.ts'

const web = assignmentOf({ containerId: 'web', ips: ['127.1.0.1/16'], name: 'web', aliases: ['www'] })
const bare: Assignment = { ...web, aliases: [], mac: '' }
const db = assignmentOf({ containerId: 'db', ips: ['127.1.0.2/16'], createdAt: '2026-11-20T14:00:00.000Z' })
const thief = assignmentOf({
  containerId: 'thief',
  network: 'other',
  ips: ['127.1.0.1/16'],
  createdAt: '2026-11-20T15:00:00.000Z',
})
const WEB = attachmentKey(web)
const NOW = 100_000

const cases: { name: string; facts: Partial<Facts>; put?: Assignment[]; remove?: string[] }[] = [
  { name: 'nothing and nothing', facts: {} },
  { name: 'a lease without registration is taken in', facts: { wanted: [web] }, put: [web] },
  { name: 'equal ones are left alone', facts: { wanted: [web, db], registered: [db, web] } },
  { name: 'a registration without lease goes', facts: { registered: [web] }, remove: [WEB] },
  { name: 'unless it came after the files were read', facts: { registered: [web], postedAt: () => NOW } },
  { name: 'one that came before goes', facts: { registered: [web], postedAt: () => NOW - 1 }, remove: [WEB] },
  {
    name: 'nothing of an unreadable network goes',
    facts: { registered: [web], unreadable: new Set(['flatnet']) },
  },
  {
    name: 'another address on disk wins',
    facts: { wanted: [{ ...web, ips: ['127.1.0.9/16'] }], registered: [web] },
    put: [{ ...web, ips: ['127.1.0.9/16'] }],
  },
  {
    name: 'what a call told and the lease does not know stays',
    facts: { wanted: [bare], registered: [web] },
  },
  {
    name: 'another name on disk wins',
    facts: { wanted: [{ ...bare, name: 'site' }], registered: [web] },
    put: [{ ...web, name: 'site' }],
  },
  {
    name: 'a lease on its way out is not taken in',
    facts: { wanted: [web], deletedAt: () => NOW - DELETE_GRACE_MS + 1 },
  },
  {
    name: 'one whose DEL failed is, after the grace',
    facts: { wanted: [web], deletedAt: () => NOW - DELETE_GRACE_MS },
    put: [web],
  },
  {
    name: 'one that was withdrawn after the files were read is not',
    facts: { wanted: [web], deletedAt: () => NOW + 5 },
  },
  {
    name: 'one address leased twice: who is registered keeps it',
    facts: { wanted: [thief, web], registered: [web] },
  },
  { name: 'one address leased twice: else the newest has it', facts: { wanted: [web, thief] }, put: [thief] },
]

for (const tc of cases) {
  t.test(tc.name, (t) => {
    const facts: Facts = {
      wanted: [],
      registered: [],
      unreadable: new Set(),
      readAt: NOW,
      postedAt: () => undefined,
      deletedAt: () => undefined,
      ...tc.facts,
    }
    t.same(difference(facts), { put: tc.put ?? [], remove: tc.remove ?? [] })
    t.end()
  })
}

const lease = (n: number): Lease => ({
  ip: `127.1.0.${n}`,
  network: 'flatnet',
  containerId: `l${n}`,
  ifname: 'eth0',
  mac: '',
  hostIfname: '',
  netns: '',
  netnsInode: '',
  bootId: '',
  createdAt: '2026-11-20T13:00:00.000Z',
  state: 'active',
})

function reconcilerOver(read: () => Promise<LeaseSnapshot>, repair?: (l: readonly Lease[]) => Promise<void>) {
  let now = 0
  const conf = testConf('/tmp/unused')
  const registry = new Registry(1, 1, new Events(), new Slices({ base: 0x0a640000, prefixLen: 16 }, 24))
  const clock = { now: () => now, monotonic: () => now }
  const reconciler = new Reconciler({
    conf,
    registry,
    leases: { read },
    clock,
    log: silentLog,
    repair,
    deadlineMs: 50,
  })
  return {
    reconciler,
    registry,
    advance: (ms: number) => {
      now += ms
    },
  }
}

t.test('a run asked for during a run reads once more', async (t) => {
  const gates: PromiseWithResolvers<LeaseSnapshot>[] = []
  const { reconciler, registry } = reconcilerOver(() => {
    const gate = Promise.withResolvers<LeaseSnapshot>()
    gates.push(gate)
    return gate.promise
  })
  const done = reconciler.run()
  for (let i = 0; i < 5; i++) void reconciler.run()
  t.equal(gates.length, 1, 'one at a time')
  gates[0]!.resolve(noLeases)
  await new Promise(setImmediate)
  t.equal(gates.length, 2, 'and one for all who asked meanwhile')
  gates[1]!.resolve({ ...noLeases, live: [lease(5)] })
  await done
  t.equal(registry.byIp('127.1.0.5')?.containerId, 'l5')
  t.match(reconciler.report, { runs: 2, failures: 0, live: 1, put: 1 })
})

t.test('a POST in flight while the files are read survives the run', async (t) => {
  const gate = Promise.withResolvers<LeaseSnapshot>()
  const { reconciler, registry, advance } = reconcilerOver(() => gate.promise)
  const done = reconciler.run()
  advance(3)
  reconciler.notePosted(WEB)
  registry.put(web)
  gate.resolve(noLeases)
  await done
  t.ok(registry.get(WEB))
  advance(1)
  await reconciler.run()
  t.notOk(registry.get(WEB), 'the next run finds no lease')
})

t.test(
  'leases outside the slice are not shown; repair gets the live ones; trouble is reported, not thrown',
  async (t) => {
    let reading: LeaseSnapshot | Error = {
      ...noLeases,
      live: [lease(5), { ...lease(6), ip: '10.1.1.1' }],
      stale: [lease(7)],
    }
    const repaired: number[] = []
    const { reconciler, registry } = reconcilerOver(
      async () => {
        if (reading instanceof Error) throw reading
        return reading
      },
      async (leases) => {
        repaired.push(leases.length)
        if (leases.length === 0) throw new Error('nft is missing')
      },
    )
    await reconciler.run()
    t.equal(registry.size, 1)
    t.same(repaired, [2])
    t.match(reconciler.report, { live: 1, stale: 1, put: 1, removed: 0, failures: 0 })
    reading = new Error('EIO')
    await reconciler.run()
    t.equal(registry.size, 1, 'what cannot be read takes nothing away')
    t.match(reconciler.report, { runs: 2, failures: 1, problem: 'EIO' })
    reading = noLeases
    await reconciler.run()
    t.match(reconciler.report, { removed: 1, failures: 2, problem: 'nft is missing' })
    t.equal(registry.size, 0)
  },
)

t.test('a disk that does not answer ends one run, not all; what it says later is dropped', async (t) => {
  const gates: PromiseWithResolvers<LeaseSnapshot>[] = []
  const { reconciler, registry } = reconcilerOver(() => {
    const gate = Promise.withResolvers<LeaseSnapshot>()
    gates.push(gate)
    return gate.promise
  })
  await reconciler.run()
  t.match(reconciler.report, { failures: 1, problem: 'reading the leases took more than 50 ms' })
  const next = reconciler.run()
  gates[1]!.resolve({ ...noLeases, live: [lease(5)] })
  await next
  gates[0]!.resolve({ ...noLeases, live: [lease(6)] })
  await new Promise(setImmediate)
  t.same(
    registry.all().map((a) => a.containerId),
    ['l5'],
  )
})
