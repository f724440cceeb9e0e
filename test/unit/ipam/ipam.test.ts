/** ipam/ipam.ts and inventory.ts: a lease from acquire to release, over stores of one block and of many. */
import t from 'tap'
import { attachmentKey } from '../../../core/attachment.ts'
import { collectStale, counts, listNetworks, releaseStale } from '../../../ipam/inventory.ts'
import { activate, find, release } from '../../../ipam/ipam.ts'
import type { Lease } from '../../../ipam/lease.ts'
import { isReclaimable, type LiveFacts } from '../../../ipam/stale.ts'
import {
  attachmentOf,
  fakeHost,
  refusal,
  slice,
  slice16,
  slice24,
  slice29,
} from '../../helpers/store/lease-host.ts'

/** Every rule holds for a slice of 16 blocks and for one of 4,096. */
for (const [size, of] of [
  ['/24', slice24],
  ['/16', slice16],
] as const) {
  const stem = size === '/24' ? '10.100.1.' : '10.1.0.'

  t.test(`a lease lives and dies (${size})`, async (t) => {
    const host = fakeHost(t, of)
    const { lease, tookOver, reclaimed } = host.acquire('web', {
      name: 'shop',
      aliases: ['www'],
      ports: [{ protocol: 'tcp', hostIP: '', hostPort: 8080, containerPort: 80 }],
      httpPort: 8000,
    })
    t.match(lease, {
      ip: `${stem}10`,
      network: 'flatnet',
      containerId: 'web',
      ifname: 'eth0',
      mac: size === '/24' ? '0a:64:0a:64:01:0a' : '0a:64:0a:01:00:0a',
      netns: '/run/netns/n1',
      netnsInode: '4:1001',
      bootId: 'boot-1',
      name: 'shop',
      aliases: ['www'],
      httpPort: 8000,
      createdAt: '2026-03-01T12:00:00.000Z',
      state: 'pending',
    })
    t.equal(tookOver, undefined)
    t.same(reclaimed, [])
    t.same(host.list(), [lease], 'it is on disk before the kernel is touched')

    const active = activate(host.store(), lease, { hostIfname: 'fn1' })
    t.same(active, { ...lease, state: 'active', hostIfname: 'fn1' })
    t.same(find(host.store(), lease), active)

    t.same(release(host.store(), lease, host.clock), active)
    t.equal(find(host.store(), lease), undefined)
    t.same(host.list(), [])
    t.equal(release(host.store(), lease, host.clock), undefined, 'a second time is fine')
  })

  t.test(`addresses go round and rest (${size})`, async (t) => {
    const host = fakeHost(t, of)
    t.same(
      ['a', 'b', 'c'].map((id) => host.add(id).ip),
      [`${stem}10`, `${stem}11`, `${stem}12`],
    )
    host.del('b')
    t.equal(host.add('b').ip, `${stem}13`, 'a crash-looping container gets another one each time')
    host.del('b')
    t.equal(
      host.acquire('d', { requestedIp: `${stem}13` }).lease.ip,
      `${stem}13`,
      'asking for a resting one is fine',
    )
  })

  t.test(`a MAC that was asked for, and none for delegated IPAM (${size})`, async (t) => {
    const host = fakeHost(t, of)
    t.equal(host.acquire('a', { mac: '02:00:00:00:00:01' }).lease.mac, '02:00:00:00:00:01')
    t.match(host.acquire('b', { mac: '', hostIfname: '' }).lease, { mac: '', hostIfname: '' })
  })

  t.test(`an attachment that is live is refused (${size})`, async (t) => {
    const host = fakeHost(t, of)
    const lease = host.add('web')
    const err = refusal(() => host.acquire('web', { netns: lease.netns }))
    t.equal(err.code, 'ERR_FLATNET_ATTACHMENT_LIVE')
    t.match(err.message, `${stem}10`)
    t.match(err.message, '/run/netns/n1')
    t.match(err.message, '2026-03-01T12:00:00.000Z')
    t.same(host.list(), [lease], 'and keeps what it has')
  })

  const takenOver: readonly (readonly [
    string,
    (host: ReturnType<typeof fakeHost>, lease: Lease) => string,
  ])[] = [
    ['in another namespace', (host) => host.newNetns()],
    [
      'after a reboot, in a namespace with the same path and inode',
      (host, lease) => {
        host.reboot()
        host.netns.set(lease.netns, lease.netnsInode)
        return lease.netns
      },
    ],
    [
      'whose link is gone',
      (host, lease) => {
        host.links.clear()
        return lease.netns
      },
    ],
  ]
  for (const [name, change] of takenOver) {
    t.test(`an attachment ${name} takes its own address over (${size})`, async (t) => {
      const host = fakeHost(t, of)
      host.add('other')
      const old = host.add('web')
      const netns = change(host, old)
      const { lease, tookOver } = host.acquire('web', { netns })
      t.equal(lease.ip, old.ip)
      t.equal(lease.netns, netns)
      t.same(tookOver, old)
      t.equal(host.list().filter((l) => l.containerId === 'web').length, 1)
    })
  }

  t.test(`an attachment that was interrupted in ADD takes its own address over (${size})`, async (t) => {
    const host = fakeHost(t, of)
    const { lease } = host.acquire('web')
    t.same(host.acquire('web', { netns: lease.netns }).tookOver, lease, 'pending is not live')
  })

  t.test(`taking over can mean another address (${size})`, async (t) => {
    const host = fakeHost(t, of)
    const old = host.add('web')
    host.kill('web')
    const wanted = size === '/24' ? '10.100.1.77' : '10.1.9.77'
    const { lease, tookOver } = host.acquire('web', { requestedIp: wanted })
    t.equal(lease.ip, wanted)
    t.same(tookOver, old)
    t.same(host.ips(), [wanted], 'the earlier one is given back')
    t.same(find(host.store(), lease), lease)
  })

  t.test(`a requested address (${size})`, async (t) => {
    const host = fakeHost(t, of)
    t.equal(
      host.acquire('s', { requestedIp: `${stem}5` }).lease.ip,
      `${stem}5`,
      'the static zone may be asked for',
    )
    t.equal(host.add('a').ip, `${stem}10`, 'and is never given out otherwise')
    const holder = host.add('b', { requestedIp: `${stem}99`, name: 'db' })
    const err = refusal(() => host.acquire('c', { requestedIp: `${stem}99` }))
    t.equal(err.code, 'ERR_FLATNET_ADDRESS_NOT_AVAILABLE')
    for (const part of [`${stem}99`, 'b', 'db', 'eth0', holder.netns, holder.createdAt])
      t.match(err.message, part)
    t.match(err.facts, { containerId: 'b', name: 'db', ifname: 'eth0', netns: holder.netns })
    for (const ip of [`${stem}0`, `${stem}1`, '192.168.0.1', 'nonsense']) {
      t.equal(
        refusal(() => host.acquire('d', { requestedIp: ip })).code,
        'ERR_FLATNET_ADDRESS_NOT_AVAILABLE',
        ip,
      )
    }
    host.kill('b')
    const { lease, reclaimed } = host.acquire('c', { requestedIp: `${stem}99` })
    t.equal(lease.ip, `${stem}99`, 'the container that was killed no longer holds it')
    t.same(reclaimed, [holder])
    t.equal(find(host.store(), holder), undefined)
  })

  t.test(`a namespace that lost its file but not its link keeps its address (${size})`, async (t) => {
    const host = fakeHost(t, of)
    const lease = host.add('rootless')
    host.netns.delete(lease.netns)
    t.equal(
      refusal(() => host.acquire('other', { requestedIp: lease.ip })).code,
      'ERR_FLATNET_ADDRESS_NOT_AVAILABLE',
    )
    t.same(collectStale(host.store(), host.facts(), host.clock), [])
    t.equal(counts(host.store(), of, host.facts(), host.clock).stale, 1, 'although it counts as stale')
  })

  t.test(`collecting stale leases (${size})`, async (t) => {
    const host = fakeHost(t, of)
    const [a, , c] = ['a', 'b', 'c'].map((id) => host.add(id)) as [Lease, Lease, Lease]
    host.kill('a')
    host.kill('c')
    t.same(collectStale(host.store(), host.facts(), host.clock), [a, c])
    t.same(host.ips(), [`${stem}11`])
    t.same(collectStale(host.store(), host.facts(), host.clock), [])
    host.reboot()
    t.same(collectStale(host.store(), host.facts(), host.clock).length, 1, 'nothing lives through a reboot')
  })

  t.test(`an active lease without its link is nobody's, a pending one is not (${size})`, async (t) => {
    const host = fakeHost(t, of)
    const [linkless, delegated] = [host.add('linkless'), host.add('delegated', { hostIfname: '' })]
    const { lease: pending } = host.acquire('pending')
    const facts: LiveFacts = { ...host.facts(), isLive: (lease) => lease.hostIfname === '' }
    t.same(
      [linkless, delegated, pending].map((lease) => isReclaimable(lease, facts)),
      [true, false, false],
      'although every namespace seems to be there: inode numbers come back',
    )
    host.links.clear()
    t.equal(host.acquire('other', { requestedIp: linkless.ip }).lease.ip, linkless.ip)
    t.notOk(isReclaimable({ ...linkless, hostIfname: '' }, facts))
    t.ok(isReclaimable({ ...pending, netns: '/run/netns/none' }, facts))
  })

  t.test(`a lease that was seen stale and is another start's by now stays (${size})`, async (t) => {
    const host = fakeHost(t, of)
    const [a, b] = ['a', 'b'].map((id) => host.add(id)) as [Lease, Lease]
    const again = (seen: Lease, clear?: () => boolean) =>
      releaseStale(host.store(), seen, host.facts(), host.clock, clear)
    t.notOk(again(a), 'a live one')
    host.kill('a')
    host.kill('b')
    host.add('a')
    const standing = host.list()
    t.notOk(again(a), 'started again in another namespace')
    host.kill('a')
    t.notOk(again(a), 'even when it died again: that is another hold')
    t.notOk(
      again(b, () => false),
      'what stands under its names could not be removed',
    )
    t.same(host.list(), standing)
    t.ok(again(b))
    t.same(host.ips(), [`${stem}10`])
    t.notOk(again(b), 'gone')
  })

  t.test(`leases of an earlier slice stay until they are released (${size})`, async (t) => {
    const host = fakeHost(t, of)
    const old = host.add('old')
    const other = slice('10.200.0.0/16', 24, 10, 7)
    t.equal(host.acquire('new', { slice: other }).lease.ip, '10.200.7.10')
    t.equal(host.list().length, 2)
    t.equal(counts(host.store(), other, host.facts(), host.clock).outside, 1)
    t.same(find(host.store(), old), old)
    t.equal(
      refusal(() => host.acquire('old', { slice: other })).code,
      'ERR_FLATNET_ATTACHMENT_LIVE',
      'nor does it move while its link stands',
    )
    host.kill('old')
    t.equal(host.acquire('old', { slice: other }).lease.ip, '10.200.7.11', 'a restart moves it')
    t.same(host.ips(), ['10.200.7.10', '10.200.7.11'])
  })
}

t.test('a container restarts seven times in a /29', async (t) => {
  const host = fakeHost(t, slice29)
  const restart = (): string => {
    host.del('web')
    return host.add('web').ip
  }
  const round = Array.from({ length: 5 }, restart)
  t.equal(new Set(round).size, 5, 'every address once')
  t.same(
    Array.from({ length: 7 }, restart),
    [...round, ...round.slice(0, 2)],
    'then the one that rested longest',
  )
})

t.test('a full slice', async (t) => {
  const host = fakeHost(t, slice29)
  for (const id of ['a', 'b', 'c', 'd']) host.add(id, { name: id === 'd' ? 'db' : 'web' })
  t.equal(host.add('e').ip, '10.100.0.14', 'the last one')
  const err = refusal(() => host.acquire('f'))
  t.equal(err.code, 'ERR_FLATNET_NO_ADDRESS')
  t.match(err.message, '5 of 5 used, 0 resting, 0 stale, 0 static')
  t.match(err.message, 'flatnet gc')
  t.match(err.message, 'ipam.hostPrefix')
  t.match(err.details, 'web 3')
  t.match(err.facts, { total: 5, used: 5, holders: [{ holder: 'web', addresses: 3 }] })
  t.equal(host.list().length, 5)

  host.kill('b')
  const { lease, reclaimed } = host.acquire('f')
  t.equal(lease.ip, '10.100.0.11', 'a stale lease goes when space is needed')
  t.same(
    reclaimed.map(({ containerId }) => containerId),
    ['b'],
  )
})

t.test('a full slice of many blocks', async (t) => {
  const host = fakeHost(t, slice('10.96.0.0/12', 23, 510))
  t.equal(host.slice.last - host.slice.first, 0, 'one address, in the second block')
  t.equal(host.add('a').ip, '10.96.3.254')
  t.equal(refusal(() => host.acquire('b')).code, 'ERR_FLATNET_NO_ADDRESS')
  host.kill('a')
  t.equal(host.acquire('b').lease.ip, '10.96.3.254')
})

t.test('counts', async (t) => {
  const host = fakeHost(t, slice24)
  const counted = () => counts(host.store(), slice24, host.facts(), host.clock)
  t.same(counted(), { total: 245, used: 0, free: 245, resting: 0, stale: 0, static: 0, outside: 0 })
  for (const id of ['a', 'b', 'c']) host.add(id)
  host.add('s', { requestedIp: '10.100.1.2' })
  host.del('a')
  host.kill('b')
  t.same(counted(), { total: 245, used: 2, free: 243, resting: 1, stale: 1, static: 1, outside: 0 })
  host.clock.ms += 60_000
  t.equal(counted().resting, 0)
})

t.test('activating a lease that was collected is an error', async (t) => {
  const host = fakeHost(t)
  const { lease } = host.acquire('web')
  release(host.store(), lease, host.clock)
  const err = refusal(() => activate(host.store(), lease))
  t.equal(err.code, 'ERR_FLATNET_STORE')
  t.match(err.message, 'removed while it was being attached')
})

t.test('asking a host that never leased makes nothing', async (t) => {
  const host = fakeHost(t)
  t.same(host.list(), [])
  t.equal(find(host.store(), attachmentOf('web')), undefined)
  t.equal(release(host.store(), attachmentOf('web'), host.clock), undefined)
  t.same(collectStale(host.store(), host.facts(), host.clock), [])
  t.same(listNetworks(host.dataDir), [])
  t.throws(() => host.files(), { code: 'ENOENT' })
})

t.test('networks have stores of their own', async (t) => {
  const host = fakeHost(t)
  const a = host.add('web')
  const { lease: b } = host.acquire('web', { attachment: attachmentOf('web', 'eth1') })
  t.not(a.ip, b.ip, 'two interfaces of a container are two attachments')
  t.same(listNetworks(host.dataDir), ['flatnet'])
  t.equal(new Set(host.list().map(attachmentKey)).size, 2)
})

t.test('names that are no names never reach the disk', async (t) => {
  const host = fakeHost(t)
  for (const id of ['../../../etc/x', 'a:b', '', 'a/b', '.boot']) {
    t.equal(refusal(() => host.acquire(id)).code, 'ERR_FLATNET_ENV', JSON.stringify(id))
  }
  t.same(host.list(), [])
})
