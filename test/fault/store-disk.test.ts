/**
 * A lease store on a disk that is full or read-only: a clear error, nothing half-written, and it goes on afterwards.
 */
import { readdirSync, rmSync, statfsSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { counts } from '../../ipam/inventory.ts'
import { activate, find } from '../../ipam/ipam.ts'
import { smallDisk } from '../helpers/kernel/small-disk.ts'
import { attachmentOf, FakeHost, refusal, slice16, slice24 } from '../helpers/store/lease-host.ts'
import { checkStore } from '../helpers/store/store-invariants.ts'

const fill = (path: string): void => {
  const { bavail, bsize } = statfsSync(path)
  writeFileSync(join(path, 'ballast'), Buffer.alloc(bavail * bsize))
}

for (const [size, of] of [
  ['/24', slice24],
  ['/16', slice16],
] as const) {
  t.test(`a full disk (${size})`, async (t) => {
    const disk = smallDisk(t, 'size=256k')
    const host = new FakeHost(disk.path, of)
    const lease = host.add('a')
    fill(disk.path)
    const before = host.files()
    const texts = before.filter((name) => name.endsWith('.json')).map((name) => host.text(name))
    for (let n = 0; n < 3; n++) {
      const err = refusal(() => host.acquire('b'))
      t.equal(err.code, 'ERR_FLATNET_STORE')
      t.equal(err.cniCode, 105)
      t.match(err.message, host.folder)
      t.match(err.message, /no space left on the device.*\(ENOSPC\)/)
    }
    t.equal(refusal(() => host.del('a')).code, 'ERR_FLATNET_STORE')
    t.equal(refusal(() => activate(host.store(), lease)).code, 'ERR_FLATNET_STORE')
    t.same(
      host.files().filter((name) => name !== 'index'),
      before.filter((name) => name !== 'index'),
      'no file more',
    )
    t.same(host.text(before.find((name) => /\.0\.json$/.test(name)) ?? ''), texts[0], 'and none changed')
    t.same(find(host.store(), lease), lease)
    host.links.set('flatnet/a/eth0', lease)
    rmSync(join(disk.path, 'ballast'))
    t.ok(host.add('b').ip, 'it goes on when there is space')
    checkStore(t, host, 'afterwards')
  })

  t.test(`a full disk below a broken block (${size})`, async (t) => {
    const disk = smallDisk(t, 'size=256k')
    const host = new FakeHost(disk.path, of)
    const lease = host.add('a')
    truncateSync(join(host.folder, size === '/24' ? '10.100.1.0.json' : '10.1.0.0.json'), 10)
    // Dropping it would make the room that the recovery needs.
    rmSync(join(host.folder, 'index'))
    fill(disk.path)
    for (let n = 0; n < 5; n++) t.equal(refusal(() => host.acquire('b')).code, 'ERR_FLATNET_STORE')
    t.ok(readdirSync(host.folder).filter((name) => name.includes('broken')).length <= 1, 'no heap of copies')
    rmSync(join(disk.path, 'ballast'))
    host.add('b')
    t.equal(find(host.store(), lease)?.ip, lease.ip)
    checkStore(t, host, 'afterwards')
  })

  t.test(`a disk that is full before the first lease (${size})`, async (t) => {
    const disk = smallDisk(t, 'size=64k,nr_inodes=4')
    const host = new FakeHost(disk.path, of)
    t.equal(refusal(() => host.acquire('a')).code, 'ERR_FLATNET_STORE')
    disk.remount('size=1m,nr_inodes=1000')
    t.ok(host.add('a').ip)
    checkStore(t, host, 'afterwards')
  })

  t.test(`a read-only file system (${size})`, async (t) => {
    const disk = smallDisk(t, 'size=1m')
    const host = new FakeHost(disk.path, of)
    const lease = host.add('a')
    disk.remount('ro')
    for (const verb of [
      () => host.acquire('b'),
      () => activate(host.store(), lease),
      () => host.acquire('a'),
    ]) {
      const err = refusal(verb)
      t.equal(err.code, 'ERR_FLATNET_STORE')
      t.match(err.message, /read-only; remount it writable or set dataDir.*\(EROFS\)/)
      t.match(err.facts, { errno: 'EROFS' })
    }
    t.same(host.list(), [lease], 'reading needs no lock and no space')
    t.same(find(host.store(), attachmentOf('a')), lease)
    t.equal(counts(host.store(), of, host.facts(), host.clock).used, 1)
    disk.remount('rw')
    t.ok(host.add('b').ip)
    checkStore(t, host, 'afterwards')
  })
}

t.test('a file where a folder has to be', async (t) => {
  const host = new FakeHost(join(t.testdir({ file: '' }), 'file'), slice24)
  const err = refusal(() => host.acquire('a'))
  t.equal(err.code, 'ERR_FLATNET_STORE')
  t.match(err.message, 'a part of the path is not a folder')
})
