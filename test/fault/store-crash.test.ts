/** kill -9 at every single change to the file system, of every verb, in every state of the store that matters. */
import { rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Slice } from '../../ipam/choose/slice.ts'
import { collectStale } from '../../ipam/inventory.ts'
import { acquire, activate, find, release } from '../../ipam/ipam.ts'
import { killAt } from '../helpers/cni/kill-at.ts'
import { attachmentOf, type FakeHost, fakeHost, slice16, slice24 } from '../helpers/store/lease-host.ts'
import { makeOld } from '../helpers/store/old-store.ts'
import { checkStore } from '../helpers/store/store-invariants.ts'

interface Scene {
  readonly name: string
  prepare(host: FakeHost): void
  act(host: FakeHost): void
  /** Whom `act` gives its first lease, of which a kill tells nobody. */
  readonly untold?: string
}

const firstBlock = (host: FakeHost): string =>
  join(host.folder, host.slice === slice24 ? '10.100.1.0.json' : '10.1.0.0.json')

const two = (host: FakeHost): void => {
  host.add('a')
  host.add('b')
}

const scenes: readonly Scene[] = [
  {
    name: 'the first acquire of a host',
    prepare: () => {},
    act: (host) => host.acquire('web'),
    untold: 'web',
  },
  { name: 'acquire', prepare: two, act: (host) => host.acquire('web'), untold: 'web' },
  {
    name: 'acquire of the first address of a block',
    prepare: two,
    act: (host) => host.acquire('web', { requestedIp: host.slice === slice16 ? '10.1.7.7' : '10.100.1.77' }),
    untold: 'web',
  },
  {
    name: 'taking over',
    prepare: (host) => {
      two(host)
      host.kill('b')
    },
    act: (host) => host.acquire('b'),
  },
  {
    name: 'taking over to another address',
    prepare: (host) => {
      two(host)
      host.kill('b')
    },
    act: (host) => host.acquire('b', { requestedIp: host.slice === slice16 ? '10.1.9.9' : '10.100.1.99' }),
  },
  {
    name: 'taking the address of a dead container',
    prepare: (host) => {
      two(host)
      host.add('dead', { requestedIp: host.slice === slice16 ? '10.1.9.9' : '10.100.1.99' })
      host.kill('dead')
    },
    act: (host) => host.acquire('web', { requestedIp: host.slice === slice16 ? '10.1.9.9' : '10.100.1.99' }),
    untold: 'web',
  },
  {
    name: 'activate',
    prepare: (host) => {
      two(host)
      const { lease } = host.acquire('web')
      // ADD activates once the link stands; an active lease without one is nobody's.
      host.links.set('flatnet/web/eth0', lease)
    },
    act: (host) => activate(host.store(), attachmentOf('web')),
  },
  {
    name: 'release',
    prepare: (host) => {
      two(host)
      host.add('web')
      host.links.delete('flatnet/web/eth0')
    },
    act: (host) => release(host.store(), attachmentOf('web'), host.clock),
  },
  {
    name: 'collecting',
    prepare: (host) => {
      two(host)
      host.add('dead', { requestedIp: host.slice === slice16 ? '10.1.9.9' : '10.100.1.99' })
      host.kill('dead')
    },
    act: (host) => collectStale(host.store(), host.facts(), host.clock),
  },
  {
    name: 'the first verb after a reboot',
    prepare: (host) => {
      two(host)
      host.reboot()
    },
    act: (host) => host.acquire('a'),
  },
  {
    name: 'the first verb after an older release',
    prepare: (host) => {
      two(host)
      host.add('far', { requestedIp: host.slice === slice16 ? '10.1.9.9' : '10.100.1.99' })
      makeOld(host.folder)
    },
    act: (host) => host.acquire('web'),
  },
  {
    name: 'recovering a torn block of an older release',
    prepare: (host) => {
      two(host)
      host.add('far', { requestedIp: host.slice === slice16 ? '10.1.0.99' : '10.100.1.99' })
      makeOld(host.folder)
      truncateSync(firstBlock(host), 100)
    },
    act: (host) => host.acquire('web'),
  },
  {
    name: 'recovering a torn block',
    prepare: (host) => {
      two(host)
      truncateSync(firstBlock(host), 100)
    },
    act: (host) => host.acquire('web'),
  },
  {
    name: 'recovering a lost block',
    prepare: (host) => {
      two(host)
      rmSync(firstBlock(host))
    },
    act: (host) => host.acquire('web'),
  },
  {
    name: 'recovering lost keys',
    prepare: (host) => {
      two(host)
      rmSync(join(host.folder, 'keys'), { recursive: true })
    },
    act: (host) => host.acquire('web'),
  },
  {
    name: 'recovering a torn block and lost keys',
    prepare: (host) => {
      two(host)
      writeFileSync(firstBlock(host), '')
      rmSync(join(host.folder, 'keys'), { recursive: true })
    },
    act: (host) => host.acquire('web'),
  },
  {
    name: 'recovering a lost store',
    prepare: (host) => {
      two(host)
      rmSync(host.folder, { recursive: true })
    },
    act: (host) => host.acquire('web'),
  },
]

const sizes: readonly (readonly [string, Slice])[] = [
  ['/24', slice24],
  ['/16', slice16],
]

/** A host for each change that `scene` makes, killed there. */
function* killed(t: Test, of: Slice, scene: Scene): Generator<readonly [FakeHost, string]> {
  let n = 1
  for (; ; n++) {
    const host = fakeHost(t, of)
    scene.prepare(host)
    if (!killAt(n, () => scene.act(host))) break
    yield [host, `killed at change ${n}`]
  }
  t.ok(n > 3, `${n - 1} changes`)
}

for (const [size, of] of sizes) {
  for (const scene of scenes) {
    t.test(`${scene.name} (${size})`, async (t) => {
      for (const [host, when] of killed(t, of, scene)) {
        checkStore(t, host, when)
        t.doesNotThrow(() => scene.act(host), 'and it can be done again')
      }
    })
    const { untold } = scene
    if (untold === undefined) continue
    t.test(`${scene.name} (${size}): a lease that nobody was told of is none, or waits`, async (t) => {
      for (const [host, when] of killed(t, of, scene)) {
        const store = host.store()
        acquire(store, host.request('the-next'), host.clock)
        t.not(find(store, attachmentOf(untold))?.state, 'active', when)
        t.same(store.incidents, [], `${when}: and no block counts as lost`)
      }
    })
  }
}
