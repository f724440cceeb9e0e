/** ipam/store/recover.ts: what comes back after each kind of damage to blocks, keys and index. */
import { appendFileSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseIpv4 } from '../../../../core/addr.ts'
import { find, release } from '../../../../ipam/ipam.ts'
import {
  agrees,
  type BlockIndex,
  emptyIndex,
  knows,
  note,
  readIndex,
  setCursor,
  writeIndex,
} from '../../../../ipam/store/block-index.ts'
import { BLOCK_DAMAGE, blockFiles, setAside } from '../../../helpers/store/damage.ts'
import {
  attachmentOf,
  type FakeHost,
  fakeHost,
  refusal,
  slice16,
  slice24,
} from '../../../helpers/store/lease-host.ts'
import { checkStore } from '../../../helpers/store/store-invariants.ts'

const damage = (host: FakeHost, how: string): void => {
  for (const path of blockFiles(host.folder)) BLOCK_DAMAGE[how]?.(path)
}
const loseKeys = (host: FakeHost): void => rmSync(join(host.folder, 'keys'), { recursive: true })

const byAddress = (a: string, b: string): number => Number(a.split('.')[3]) - Number(b.split('.')[3])

for (const how of Object.keys(BLOCK_DAMAGE)) {
  t.test(`a block that is ${how} is set aside and rebuilt from the kernel`, async (t) => {
    const host = fakeHost(t)
    const live = [host.add('a'), host.add('b', { requestedIp: '10.100.1.5' })]
    damage(host, how)
    const store = host.store()
    t.equal(release(store, attachmentOf('unknown'), host.clock), undefined)
    host.acquire('c', { requestedIp: '10.100.1.12' })
    t.same(host.ips(), ['10.100.1.10', '10.100.1.5', '10.100.1.12'].sort(byAddress))
    for (const lease of live)
      t.match(find(host.store(), lease), { ip: lease.ip, mac: lease.mac, state: 'active' })
    t.equal(setAside(host.folder).length, 1, 'the broken file is kept')
    checkStore(t, host, 'afterwards')
  })

  t.test(`a block that is ${how}, without a kernel to ask, is rebuilt from the keys`, async (t) => {
    const host = fakeHost(t, slice24, { rebuild: () => [] })
    const live = [host.add('a'), host.add('b')]
    damage(host, how)
    t.equal(host.acquire('c').lease.ip, '10.100.1.12')
    for (const lease of live) t.match(find(host.store(), lease), { ip: lease.ip })
    checkStore(t, host, 'afterwards')
    t.equal(
      release(host.store(), live[0]!, host.clock)?.ip,
      '10.100.1.10',
      'and such a lease can be released',
    )
  })

  t.test(`a block that is ${how}, without kernel and keys, gives nothing out twice`, async (t) => {
    const host = fakeHost(t, slice24, { rebuild: () => [] })
    const live = [host.add('a'), host.add('b'), host.add('c')]
    damage(host, how)
    loseKeys(host)
    const inUse = (ip: string): boolean => live.some((lease) => lease.ip === ip)
    t.equal(host.acquire('d', { inUse }).lease.ip, '10.100.1.13', 'addresses in use are passed over')
    t.equal(
      refusal(() => host.acquire('e', { inUse, requestedIp: '10.100.1.11' })).code,
      'ERR_FLATNET_ADDRESS_NOT_AVAILABLE',
    )
    const blind = host.request('f')
    delete (blind as { inUse?: unknown }).inUse
    t.equal(refusal(() => host.acquire('f', { ...blind, inUse: () => true })).code, 'ERR_FLATNET_NO_ADDRESS')
    host.del('d')
    t.equal(
      host.acquire('g', { inUse: () => true }).lease.ip,
      '10.100.1.13',
      'what was released since is certain',
    )
    host.reboot()
    t.ok(host.acquire('h', { inUse: () => true }).lease.ip, 'a boot later nobody can hold anything')
  })
}

t.test('what is set aside has the content, and the incident says so', async (t) => {
  const errors: unknown[] = []
  const none = (): void => {}
  const log = { debug: none, info: none, warn: none, error: (fields: unknown) => void errors.push(fields) }
  const host = fakeHost(t)
  const lease = host.add('a')
  const [path = ''] = blockFiles(host.folder)
  appendFileSync(path, '{')
  const before = readFileSync(path, 'utf8')
  const store = host.store({ log })
  release(store, attachmentOf('unknown'), host.clock)
  t.same(store.incidents, [], 'a verb that does not need the block leaves it')
  release(store, lease, host.clock)
  t.match(store.incidents, [{ path, problem: 'it is not JSON', leases: 1 }])
  t.equal(readFileSync(store.incidents[0]?.setAside ?? '', 'utf8'), before)
  t.match(errors, [
    { network: 'flatnet', err: { message: `${path}: it is not JSON; its content is in ${path}.broken-` } },
  ])
})

t.test('whole leases in a broken block are kept as they are', async (t) => {
  const host = fakeHost(t, slice24, { rebuild: () => [] })
  const a = host.add('a')
  const b = host.add('b')
  const [path = ''] = blockFiles(host.folder)
  writeFileSync(path, readFileSync(path, 'utf8').replace('"containerId":"b"', '"containerId":["b"]'))
  t.same(host.list(), [a], 'also for readers, who change nothing')
  t.equal(setAside(host.folder).length, 0)
  t.equal(host.acquire('c').lease.ip, '10.100.1.12')
  t.same(find(host.store(), a), a)
  t.match(find(host.store(), b), { ip: b.ip, netns: '' }, 'the other is known by its key')
})

t.test(
  'a lease that is known by its key only holds until its link is gone or the host restarts',
  async (t) => {
    const host = fakeHost(t, slice24, { rebuild: () => [] })
    const lease = host.add('a', { requestedIp: '10.100.1.50' })
    damage(host, 'empty')
    const take = (): string => host.acquire('b', { requestedIp: lease.ip }).lease.ip
    t.equal(refusal(take).code, 'ERR_FLATNET_ADDRESS_NOT_AVAILABLE')
    host.links.clear()
    t.equal(take(), lease.ip)
  },
)

t.test('a block of a newer version is left alone', async (t) => {
  const host = fakeHost(t)
  host.add('a')
  const [path = ''] = blockFiles(host.folder)
  const text = readFileSync(path, 'utf8').replace('"version":2', '"version":3')
  writeFileSync(path, text)
  const err = refusal(() => host.acquire('b'))
  t.equal(err.code, 'ERR_FLATNET_STORE')
  t.match(err.message, 'newer Flatnet (version 3)')
  t.equal(readFileSync(path, 'utf8'), text)
})

t.test('a store that was deleted below running containers is made again from the kernel', async (t) => {
  const host = fakeHost(t, slice16)
  const live = ['10.1.0.10', '10.1.0.11', '10.1.200.7'].map((ip, i) => host.add(`c${i}`, { requestedIp: ip }))
  rmSync(host.dataDir, { recursive: true })
  t.equal(host.acquire('next').lease.ip, '10.1.0.12')
  for (const lease of live) t.equal(find(host.store(), lease)?.ip, lease.ip)
  checkStore(t, host, 'afterwards')
})

t.test('what the kernel says is judged like what the disk says', async (t) => {
  const host = fakeHost(t)
  const lease = host.add('a')
  rmSync(host.folder, { recursive: true })
  const rebuild = () => [
    { ...lease, network: 'other' },
    { ...lease, ip: 'nonsense' },
    { ...lease, containerId: '../x' },
    lease,
    { ...lease, containerId: 'second' },
    { ...lease, ip: '10.100.1.99' },
  ]
  release(host.store({ rebuild }), attachmentOf('unknown'), host.clock)
  t.same(host.list(), [], 'releasing from nothing makes nothing')
  host.acquire('b', { requestedIp: '10.100.1.30' })
  t.same(host.ips(), ['10.100.1.10', '10.100.1.30'])
})

const indexOf = (host: FakeHost) => readIndex(join(host.folder, 'index'))!

for (const [name, harm] of [
  ['missing', (path: string) => rmSync(path)],
  ['empty', (path: string) => truncateSync(path)],
  ['torn', (path: string) => truncateSync(path, 1000)],
  ['of an earlier release', (path: string) => writeFileSync(path, '{"version":1,"first":167837706}')],
  ['of another slice', (path: string) => writeIndex(path, emptyIndex(1, 2))],
  [
    'of a size that no slice has',
    (path: string) => writeFileSync(path, new Uint8Array(Float64Array.of(2, 0, 2 ** 32 - 1, 0).buffer)),
  ],
  ['wrong', (path: string) => rewritten(path, (index) => note(index, parseIpv4('10.1.0.0')!, [9, 0]))],
  ['that says all is full', (path: string) => rewritten(path, (index) => index.fresh.fill(1))],
  ['with a cursor elsewhere', (path: string) => rewritten(path, (index) => setCursor(index, 7))],
] as const) {
  t.test(`an index that is ${name} costs time and nothing else`, async (t) => {
    const host = fakeHost(t, slice16)
    const first = host.add('a')
    host.add('b', { requestedIp: '10.1.77.77' })
    harm(join(host.folder, 'index'))
    t.equal(host.add('c').ip, '10.1.0.11')
    const index = indexOf(host)
    for (const [base, summary] of [
      ['10.1.0.0', [4, 0]],
      ['10.1.77.64', [15, 0]],
    ] as const) {
      t.ok(knows(index, parseIpv4(base)!) && agrees(index, parseIpv4(base)!, summary), base)
    }
    t.same(find(host.store(), first), first)
    checkStore(t, host, 'afterwards')
  })
}

function rewritten(path: string, change: (index: BlockIndex) => void): void {
  const index = readIndex(path)!
  change(index)
  writeIndex(path, index)
}

t.test('the index follows blocks from the first to the last address of a slice', async (t) => {
  const host = fakeHost(t, slice24)
  host.add('a', { requestedIp: '10.100.1.15' })
  host.add('static', { requestedIp: '10.100.1.5' })
  t.equal(indexOf(host), undefined, 'it is made for the first container that takes any address')
  for (let n = 0; n < 5; n++) host.add(`c${n}`)
  const head = parseIpv4('10.100.1.0')!
  t.ok(agrees(indexOf(host), head, [0, 0]))
  t.equal(host.add('next').ip, '10.100.1.16', 'the next block')
  host.del('c3')
  t.ok(agrees(indexOf(host), head, [0, host.clock.ms]))
  t.equal(host.add('again').ip, '10.100.1.17', 'never-used ones first')
  for (let n = 18; n < 255; n++) t.equal(host.add(`d${n}`).ip, `10.100.1.${n}`)
  host.clock.ms += 1
  host.del('d99')
  t.equal(host.add('round').ip, '10.100.1.13', 'then the one that was released longest ago')
})

t.test('after a reboot the keys are made anew and everything else stays', async (t) => {
  const host = fakeHost(t, slice16)
  const lease = host.add('a', { requestedIp: '10.1.9.9' })
  rmSync(join(host.folder, 'keys', 'a:eth0'))
  host.reboot()
  t.equal(release(host.store(), lease, host.clock)?.ip, lease.ip, 'a key that the loss of power took')
  t.same(
    readdirSync(join(host.folder, 'keys')).filter((name) => name !== '.boot'),
    [],
  )
})
