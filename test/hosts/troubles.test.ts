/**
 * What a person sees and does on whole hosts when machines are cloned, numbers are given twice, and hosts do not
 * answer.
 */
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Finding } from '../../cli/doctor/check.ts'
import type { Status } from '../../gateway/api/status.ts'
import { hosts, joinedHosts, type TestHost, tokenOf } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const skip = needsRoot

const doctor = async (at: TestHost, ...ids: string[]): Promise<Finding[]> => {
  const { stdout } = await at.flatnet('doctor', '--json')
  const checks: Finding[] = JSON.parse(stdout)
  return checks.filter((c) => ids.includes(c.id) && c.state !== 'ok')
}

const alarmsOf = async (at: TestHost): Promise<Status['alarms']> =>
  (await at.api<Status>('/v1/status')).alarms

const linked = (a: TestHost, hostId: number) =>
  waitFor(`host ${a.index} has a link to ${hostId}`, 20_000, async () => (await a.linksUp()).includes(hostId))

const inBounds = (text: string): boolean => text.split('\n').every((line) => line.length <= 100)

t.test('a host that does not answer, and one that is cut off', { skip }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  await two.kill()
  net.cut(1, 3)
  net.cut(2, 3)
  await waitFor('both are out of reach', 20_000, async () => {
    const { paths } = await one.api<Status>('/v1/status')
    return paths.filter((p) => p.state === 'ISOLATED').length === 2
  })
  await waitFor('doctor tells them apart', 20_000, async () => {
    const found = await doctor(one, 'cluster-links')
    return found.length === 2 && found.every((c) => c.state === 'fail')
  })
  const found = await doctor(one, 'cluster-links')
  t.match(
    found.find((c) => /host 2/.test(c.what)),
    { what: /ECONNREFUSED/, fix: /systemctl start/ },
  )
  t.match(
    found.find((c) => /host 3/.test(c.what)),
    { fix: /allow TCP 7443/ },
  )
  const status = await one.ok('status')
  t.match(status, /^hosts 2, 3 ISOLATED: the gateway there has to run, and TCP 7443 to pass/m)
  t.ok(inBounds(status), status)
  const list = await one.ok('hosts')
  t.match(list, /^host 2: connect ECONNREFUSED 192\.0\.2\.2:7443$/m)
  t.match(list, /^host 3: \S/m)
  t.same((await one.flatnet('hosts', 'release', '3')).stdout.trim().split('\n').length, 1)
  t.ok(three.pid)
})

t.test(
  'one number for two machines: who comes second is refused, and where it is is told',
  { skip },
  async (t) => {
    const net = await hosts(t, 4)
    const [one, two, three, four] = [net.host(1), net.host(2), net.host(3), net.host(4)]
    await one.ok('init', '--cluster', 'testing', '--name', 'h1')
    await one.start()
    await two.ok('join', await tokenOf(one), '--name', 'h2')
    await two.start()
    await linked(two, 1)
    await one.stop()
    const folder = join(one.dataDir, 'cluster')
    const backup = join(one.dir, 'backup')
    cpSync(folder, backup, { recursive: true })
    await one.start()
    t.match(await three.ok('join', await tokenOf(one), '--name', 'h3'), /This is host 3/)
    await three.start()
    await linked(two, 3)
    // The disk of host 1 is restored from the day before; alone, it gives the number once more, and is then lost for
    // good.
    await one.stop()
    rmSync(folder, { recursive: true })
    cpSync(backup, folder, { recursive: true })
    net.cut(1, 2)
    net.cut(1, 3)
    await one.start()
    t.match(await four.ok('join', await tokenOf(one), '--name', 'h4'), /This is host 3/)
    await one.kill()
    await four.start()
    await waitFor('host 2 says so', 30_000, async () => (await alarmsOf(two)).length > 0)
    t.match(await alarmsOf(two), [
      { hostId: 3, reason: /^the machine at 192\.0\.2\.4.* calls itself host 3 with another/ },
    ])
    t.ok((await two.linksUp()).includes(3), 'the first keeps its link')
    t.same(await four.linksUp(), [])
    for (const verb of ['hosts', 'status']) {
      const said = await two.ok(verb)
      t.match(said, /^host 3: the machine at 192\.0\.2\.4/m)
      t.ok(inBounds(said), said)
    }
    t.match(await doctor(two, 'host-alarm'), [
      { state: 'fail', fix: /flatnet leave --force, then flatnet join/ },
    ])
    t.equal(two.logged('host alarm raised').length, 1)
    const refusals = two.logged('peer refused').filter((l) => /another key/.test(l.reason))
    t.equal(refusals.length, 1, 'and no more than once')
  },
)

t.test('a clone is kept out, and a person lets the host in again', { skip }, async (t) => {
  const net = await hosts(t, 3)
  const [one, two, copy] = [net.host(1), net.host(2), net.host(3)]
  await one.ok('init', '--cluster', 'testing', '--name', 'h1')
  await one.start()
  await two.ok('join', await tokenOf(one), '--name', 'h2')
  await copy.ok('install', '--host-id', '2')
  cpSync(two.dataDir, copy.dataDir, { recursive: true })
  await two.start()
  await linked(one, 2)
  await copy.start()
  await waitFor('it is kept out', 30_000, async () => /QUARANTINED/.test(await one.ok('hosts')))
  t.match(await doctor(one, 'quarantine'), [{ state: 'fail', fix: /flatnet hosts release 2$/ }])
  t.match(await one.ok('status'), /^host 2 QUARANTINED: stop the machine/m)
  await waitFor('the machines themselves are told', 30_000, async () => {
    const both = [...(await alarmsOf(two)), ...(await alarmsOf(copy))]
    return both.some((a) => /host 1 sees a second machine/.test(a.reason))
  })
  await copy.stop()
  t.match(await copy.ok('leave', '--force'), /host 2 of testing has left/)
  t.match(await one.ok('hosts', 'release', '2'), /^host 2 is admitted again/)
  await waitFor('it is reached', 30_000, async () => {
    const { paths } = await one.api<Status>('/v1/status')
    return paths.find((p) => p.hostId === 2)?.via === 'gateway'
  })
  t.match(
    (await one.hosts()).find((h) => h.hostId === 2),
    { member: { state: 'active' }, quarantine: null },
  )
  t.match(await copy.ok('join', await tokenOf(one), '--name', 'h3'), /This is host 3/)
  await copy.start()
  await linked(one, 3)
})
