/**
 * ipam/store/split.ts: a store of an older layout keeps all that it knew, read with and without the lock, and put back
 * later.
 */
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { diskLeases } from '../../../../gateway/leases/source.ts'
import { collectStale } from '../../../../ipam/inventory.ts'
import { find } from '../../../../ipam/ipam.ts'
import { setAside } from '../../../helpers/store/damage.ts'
import { attachmentOf, type FakeHost, fakeHost, slice16, slice24 } from '../../../helpers/store/lease-host.ts'
import { makeOld } from '../../../helpers/store/old-store.ts'
import { checkStore } from '../../../helpers/store/store-invariants.ts'

const blocks = (host: FakeHost): string[] => host.files().filter((name) => /^[\d.]+json$/.test(name))
const head = (host: FakeHost): string =>
  join(host.folder, host.slice === slice24 ? '10.100.1.0.json' : '10.1.0.0.json')

for (const [size, of, ips] of [
  ['/24', slice24, ['10.100.1.10', '10.100.1.15', '10.100.1.16', '10.100.1.200']],
  ['/16', slice16, ['10.1.0.10', '10.1.0.31', '10.1.77.0', '10.1.255.254']],
] as const) {
  const old = (t: Parameters<typeof fakeHost>[0], options = {}): FakeHost => {
    const host = fakeHost(t, of, options)
    for (const ip of ips) host.add(`c-${ip}`, { requestedIp: ip, name: `n-${ip}` })
    for (const [id, stem] of [['gone', ips[0].replace(/10$/, '')]] as const) {
      host.add(id, { requestedIp: `${stem}50` })
      host.del(id)
    }
    makeOld(host.folder)
    return host
  }

  t.test(`everything is where it was (${size})`, async (t) => {
    const host = old(t, { rebuild: () => [] })
    const before = host.list()
    t.same(
      before.map(({ ip }) => ip),
      ips,
      'also for those who only read',
    )
    for (const lease of before) t.same(find(host.store(), lease), lease)
    t.notOk(blocks(host).some((name) => !name.endsWith('.0.json')))
    host.add('new')
    t.same(
      host.list().filter(({ containerId }) => containerId !== 'new'),
      before,
    )
    for (const lease of before) t.same(find(host.store(), lease), lease)
    const texts = blocks(host).map((name) => JSON.parse(host.text(name)))
    t.ok(texts.every(({ version, leases }) => version === 2 && Object.keys(leases).length <= 16))
    t.match(
      Object.assign({}, ...texts.map(({ released }) => released)),
      { [ips[0].replace(/10$/, '50')]: host.clock.ms },
      'and what rests goes on resting',
    )
    t.notOk(host.files().includes('index.json'))
    t.same(setAside(host.folder), [])
    for (const lease of before) {
      t.equal(host.del(lease.containerId)?.ip, lease.ip)
      host.kill(lease.containerId)
    }
    checkStore(t, host, 'afterwards')
  })

  t.test(`a block that is being split counts once (${size})`, async (t) => {
    const host = old(t)
    const whole = readFileSync(head(host), 'utf8')
    const before = host.list()
    host.add('new')
    host.del('new')
    writeFileSync(head(host), whole)
    t.same(host.list(), before, 'the parts are there and the head is the old block')
    const { live, stale, pending, unreadable } = await diskLeases(host.dataDir).read()
    t.same([...live, ...stale, ...pending].map(({ ip }) => ip).sort(), before.map(({ ip }) => ip).sort())
    t.same(unreadable, [])
  })

  t.test(`an old block that is put back takes nothing from newer ones (${size})`, async (t) => {
    const host = old(t, { rebuild: () => [] })
    const copy = `${head(host)}.copy`
    copyFileSync(head(host), copy)
    host.add('new')
    const stem = ips[0].replace(/10$/, '')
    host.add('newer', { requestedIp: `${stem}60` })
    copyFileSync(copy, head(host))
    rmSync(copy)
    t.equal(find(host.store(), attachmentOf('newer'))?.ip, `${stem}60`)
    collectStale(host.store(), host.facts(), host.clock)
    t.equal(find(host.store(), attachmentOf('newer'))?.ip, `${stem}60`)
    for (const ip of ips) t.equal(find(host.store(), attachmentOf(`c-${ip}`))?.ip, ip)
    t.match(JSON.parse(readFileSync(head(host), 'utf8')), { version: 2 })
  })

  for (const [how, harm] of [
    ['with a lease of the wrong type', (text: string) => text.replace('"name":"n-', '"name":7,"x":"')],
    ['torn', (text: string) => text.slice(0, 300)],
  ] as const) {
    for (const knows of ['the kernel', 'the keys'] as const) {
      t.test(`an old block ${how}, and ${knows} (${size})`, async (t) => {
        const host = old(t, knows === 'the keys' ? { rebuild: () => [] } : {})
        if (knows === 'the kernel') rmSync(join(host.folder, 'keys'), { recursive: true })
        writeFileSync(head(host), harm(readFileSync(head(host), 'utf8')))
        host.add('new')
        for (const ip of ips) t.equal(find(host.store(), attachmentOf(`c-${ip}`))?.ip, ip)
        t.equal(setAside(host.folder).length, 1, 'the broken file is kept')
        if (knows === 'the kernel') checkStore(t, host, 'afterwards')
      })
    }
  }
}

t.test('nothing of an old block that nobody can read is given out', async (t) => {
  const host = fakeHost(t, slice24, { rebuild: () => [] })
  const live = host.add('a', { requestedIp: '10.100.1.99' })
  makeOld(host.folder)
  writeFileSync(head(host), '{')
  rmSync(join(host.folder, 'keys'), { recursive: true })
  const inUse = (ip: string): boolean => ip === live.ip
  t.throws(() => host.acquire('b', { inUse, requestedIp: live.ip }), {
    code: 'ERR_FLATNET_ADDRESS_NOT_AVAILABLE',
  })
  t.equal(host.acquire('b', { inUse, requestedIp: '10.100.1.98' }).lease.ip, '10.100.1.98')
})
