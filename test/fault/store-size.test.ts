/** What a lease costs does not grow with the number of leases: the same files are used with none and with 60,000. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { formatIpv4, macOf } from '../../core/addr.ts'
import { activate, find } from '../../ipam/ipam.ts'
import type { Lease } from '../../ipam/lease.ts'
import { emptyBlock } from '../../ipam/store/block.ts'
import { blockBaseOf, blockFileName } from '../../ipam/store/layout.ts'
import { fileUses } from '../helpers/run/count-fs.ts'
import { attachmentOf, type FakeHost, fakeHost, slice16 } from '../helpers/store/lease-host.ts'

/** As earlier containers would have left it; the keys are made by the first verb, as after a restore. */
function seed(host: FakeHost, count: number): void {
  const blocks = new Map<string, Record<string, Lease>>()
  for (let ip = slice16.first; ip < slice16.first + count; ip++) {
    const text = formatIpv4(ip)
    const block = blockFileName(blockBaseOf(ip))
    const containerId = ip.toString(16).padStart(64, 'c')
    const lease: Lease = {
      ...attachmentOf(containerId),
      ip: text,
      mac: macOf(ip),
      hostIfname: 'fn0123456789',
      netns: '/run/netns/netns-0fd0f5a1-8e4c-9cf1-94b5-3a8a0d9d3a11',
      netnsInode: '4:4026532999',
      bootId: host.bootId,
      createdAt: '2026-03-01T12:00:00.000Z',
      state: 'active',
    }
    if (!blocks.has(block)) blocks.set(block, {})
    blocks.get(block)![text] = lease
  }
  mkdirSync(host.folder, { recursive: true })
  for (const [name, leases] of blocks)
    writeFileSync(join(host.folder, name), JSON.stringify({ ...emptyBlock(), leases }))
  host.netns.set('/run/netns/netns-0fd0f5a1-8e4c-9cf1-94b5-3a8a0d9d3a11', '4:4026532999')
}

function usesOf(host: FakeHost): Record<string, string[]> {
  const all: Record<string, string[]> = {}
  // Block names differ with the fill of the slice; which block it is does not matter.
  const record = (verb: string, fn: () => unknown): void => {
    all[verb] = fileUses(fn).map((use) => use.replace(/ 10\.1\.\d+\.\d+\.json/, ' block'))
  }
  record('acquire', () => host.acquire('new'))
  record('activate', () => activate(host.store(), attachmentOf('new')))
  record('find', () => find(host.store(), attachmentOf('new')))
  record('release', () => host.del('new'))
  record('release again', () => host.del('new'))
  return all
}

t.test('the same files are used with none and with 60,000 leases', async (t) => {
  const uses = [0, 10_000, 60_000].map((count) => {
    const host = fakeHost(t, slice16)
    seed(host, count)
    host.add('warm-up')
    t.equal(host.list().length, count + 1)
    return usesOf(host)
  })
  const [none, many, most] = uses
  t.same(many, none)
  t.same(most, none)
  const reads = (verb: string) => (none?.[verb] ?? []).filter((use) => use === 'readFileSync block').length
  t.equal(reads('acquire'), 1, 'one block is read')
  t.equal(reads('release'), 1)
  t.equal(reads('release again'), 0)
  const listed = Object.values(none ?? {})
    .flat()
    .filter((use) => use.startsWith('readdirSync'))
  t.same(listed, [], 'and no folder is listed')
})
