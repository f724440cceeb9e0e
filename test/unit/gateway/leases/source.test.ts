/** Leases as they stand on disk: which are live, which are not, and what is left of an unreadable store. */

import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { assignmentsOf, diskLeases } from '../../../../gateway/leases/source.ts'
import { scratchFolder } from '../../../helpers/run/scratch.ts'
import { testStore } from '../../../helpers/store/gateway-store.ts'

t.test('no store yet', async (t) => {
  const folder = scratchFolder(t)
  t.same(await diskLeases(folder).read(), { live: [], pending: [], stale: [], unreadable: [] })
})

t.test('live, pending and stale leases of every network', async (t) => {
  const folder = scratchFolder(t)
  const store = testStore(folder)
  const live = await store.lease('127.1.0.10')
  const rebuilt = await store.lease('127.1.0.11', { netns: '', netnsInode: '' })
  const pending = await store.lease('127.1.0.12', { state: 'pending' })
  const rebooted = await store.lease('127.1.0.13', { bootId: 'another' })
  const reused = await store.lease('127.1.0.14', { netnsInode: '1:1' })
  const gone = await store.lease('127.1.0.15')
  await rm(gone.netns)
  const below = await store.lease('127.1.0.16', { netns: `${live.netns}/x` })
  const other = await store.lease('127.1.0.20', { network: 'other' })
  await store.write('flatnet', [live, rebuilt, pending, rebooted, reused, gone, below])
  await store.write('other', [other])
  const data = join(folder, 'data')
  for (const file of ['index.json', 'lock', '127.1.1.0.json.broken-1', '.127.1.0.0.json.7.0.tmp']) {
    await writeFile(join(data, 'ipam', 'flatnet', file), '{')
  }
  await writeFile(join(data, 'ipam', 'stray.json'), '{')
  const snapshot = await diskLeases(data).read()
  const ips = (leases: readonly { ip: string }[]) => leases.map((l) => l.ip).sort()
  t.same(ips(snapshot.live), ['127.1.0.10', '127.1.0.11', '127.1.0.20'])
  t.same(ips(snapshot.pending), ['127.1.0.12'])
  t.same(ips(snapshot.stale), ['127.1.0.13', '127.1.0.14', '127.1.0.15', '127.1.0.16'])
  t.same(snapshot.unreadable, [])
})

t.test('a broken block costs its own network only', async (t) => {
  const folder = scratchFolder(t)
  const store = testStore(folder)
  await store.write('good', [await store.lease('127.1.0.10', { network: 'good' })])
  const broken = ['', '{', '[]', '{"leases":[]}', '{"version":1,"leases":{"127.1.0.1":{}}}', 'null']
  for (const text of broken) {
    await store.write('bad', text)
    const { live, unreadable } = await diskLeases(join(folder, 'data')).read()
    t.equal(live.length, 1)
    t.same(
      unreadable.map((u) => u.network),
      ['bad'],
      JSON.stringify(text),
    )
  }
  await rm(join(folder, 'data', 'ipam', 'bad', '127.1.0.0.json'))
  await mkdir(join(folder, 'data', 'ipam', 'bad', '127.1.0.0.json'))
  t.equal((await diskLeases(join(folder, 'data')).read()).unreadable.length, 1)
})

t.test('the leases of one attachment are one assignment', async (t) => {
  const store = testStore(scratchFolder(t))
  const a = await store.lease('127.1.0.10', { containerId: 'c', httpPort: 3000, aliases: ['x'] })
  const b = await store.lease('127.1.0.11', { containerId: 'c' })
  t.match(assignmentsOf([a, b], 1, 16), [
    { hostId: 1, ips: ['127.1.0.10/16', '127.1.0.11/16'], httpPort: 3000, aliases: ['x'], ports: [] },
  ])
})
