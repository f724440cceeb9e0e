/** The kernel beside the leases: which networks lack some, who is alive, and the reconciler that asks. */

import t from 'tap'
import { silentLog } from '../../../../core/log.ts'
import { Events } from '../../../../gateway/base/events.ts'
import {
  type KernelView,
  lackingLeases,
  reconcileWithKernel,
} from '../../../../gateway/leases/kernel-view.ts'
import { Reconciler } from '../../../../gateway/leases/reconciler.ts'
import type { LeaseSnapshot } from '../../../../gateway/leases/source.ts'
import { Registry } from '../../../../gateway/registry/registry.ts'
import { Slices } from '../../../../gateway/registry/slices.ts'
import type { Lease } from '../../../../ipam/lease.ts'
import { bootId } from '../../../../kernel/boot.ts'
import type { AttachedLink } from '../../../../kernel/links.ts'
import { testConf } from '../../../helpers/gateway/gateway-samples.ts'

const attachment = (containerId: string) => ({ network: 'flatnet', containerId, ifname: 'eth0' })

const lease = (containerId: string, ip: string, more: Partial<Lease> = {}): Lease => ({
  ...attachment(containerId),
  ip,
  mac: '',
  hostIfname: 'fn0',
  netns: '/run/netns/x',
  netnsInode: '4:1',
  bootId: bootId(),
  createdAt: '2026-11-25T12:00:00.000Z',
  state: 'active',
  ...more,
})

const link = (containerId: string, ip: string): AttachedLink => ({
  attachment: attachment(containerId),
  cidr: `${ip}/16`,
  ifname: 'fn0',
  index: 7,
  isNamed: true,
})

const none: LeaseSnapshot = { live: [], pending: [], stale: [], unreadable: [] }

t.test('which networks lack a lease', async (t) => {
  const a = link('a', '127.1.0.10')
  const of = (snapshot: Partial<LeaseSnapshot>) => [...lackingLeases([a], { ...none, ...snapshot })]
  t.same(of({}), ['flatnet'])
  t.same(of({ live: [lease('a', '127.1.0.10')] }), [])
  t.same(of({ pending: [lease('a', '127.1.0.10', { state: 'pending' })] }), [], 'its ADD is under way')
  t.same(of({ live: [lease('a', '127.1.0.11')] }), ['flatnet'], 'of another address')
  t.same(of({ live: [lease('b', '127.1.0.10')] }), ['flatnet'], "another's")
  t.same(of({ stale: [lease('a', '127.1.0.10')] }), [], 'its namespace is gone, its lease is not')
  t.same(of({ stale: [lease('a', '127.1.0.10', { bootId: 'before' })] }), ['flatnet'])
  t.same(
    of({ unreadable: [{ network: 'other', cause: 'x' }] }),
    ['other', 'flatnet'],
    'put right by who adopts',
  )
  t.same([...lackingLeases([], none)], [])
})

t.test('who is alive', async (t) => {
  const names = (snapshot: Partial<LeaseSnapshot>, links: readonly AttachedLink[]) => {
    const { live, stale } = reconcileWithKernel(links, { ...none, ...snapshot })
    return { live: live.map((l) => l.containerId), stale: stale.map((l) => l.containerId) }
  }
  const known = lease('a', '127.1.0.10')
  const made = lease('a', '127.1.0.10', { netns: '', netnsInode: '' })
  const there = [link('a', '127.1.0.10')]
  t.same(names({ live: [known] }, []), { live: ['a'], stale: [] }, 'its namespace is there')
  t.same(names({ live: [made] }, there), { live: ['a'], stale: [] })
  t.same(names({ live: [made] }, []), { live: [], stale: ['a'] }, 'made from a link that is gone')
  t.same(names({ live: [{ ...made, hostIfname: '' }] }, []), { live: ['a'], stale: [] }, 'delegated IPAM')
  t.same(names({ stale: [known] }, there), { live: ['a'], stale: [] }, 'a namespace that outlived its file')
  t.same(names({ stale: [known] }, [link('a', '127.1.0.11')]), { live: [], stale: ['a'] })
  t.same(names({ stale: [{ ...known, bootId: 'before' }] }, there), { live: [], stale: ['a'] })
})

t.test('the reconciler asks the kernel first, and reads again what was given back', async (t) => {
  const conf = testConf('/nowhere')
  const registry = new Registry(conf.hostId, 1, new Events(), new Slices(conf.supernet, conf.hostPrefix))
  const calls: string[] = []
  let disk: readonly Lease[] = []
  let fails = false
  let isDeaf = false
  const kernelView: KernelView = {
    links() {
      calls.push('links')
      if (isDeaf) throw new Error('no buffers')
      return [link('a', '127.1.0.10'), link('stranger', '10.9.9.9')]
    },
    adopt(networks) {
      calls.push(`adopt ${[...networks]}`)
      if (fails) throw new Error('the lock is held')
      disk = [lease('a', '127.1.0.10', { netns: '' })]
    },
  }
  const leases = {
    async read() {
      calls.push('read')
      return { ...none, live: disk }
    },
  }
  const clock = { now: () => 1_000, monotonic: () => 1_000 }
  const reconciler = new Reconciler({ conf, registry, leases, clock, log: silentLog, kernelView })
  const registered = () => registry.all(conf.hostId).map(({ containerId }) => containerId)
  fails = true
  await reconciler.run()
  t.same(registered(), [])
  t.equal(reconciler.report?.problem, 'unreadable leases of network flatnet')
  fails = false
  calls.length = 0
  await reconciler.run()
  t.same(calls, ['links', 'read', 'adopt flatnet', 'read'])
  t.same(registered(), ['a'])
  calls.length = 0
  await reconciler.run()
  t.same(calls, ['links', 'read'], 'with nothing to do nothing is locked')
  // The files are old again, and the lock is held.
  disk = []
  fails = true
  await reconciler.run()
  t.same(registered(), ['a'], 'who may have lost a lease is not dropped')
  isDeaf = true
  disk = [lease('b', '127.1.0.11')]
  await reconciler.run()
  t.same(registered(), ['b'], 'a kernel that does not answer leaves the files')
})
