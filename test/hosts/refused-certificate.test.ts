/**
 * A certificate that is over and one that was revoked: no link within 5 s anywhere, and the containers of that host are
 * marked or gone.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { issue, makeRequest } from '../../gateway/cluster/identity/certificates.ts'
import { bareContainer } from '../helpers/cluster/host-container.ts'
import { allLinked, joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { equalTables, marked, markOf } from '../helpers/cluster/tables.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

t.test('three hosts', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  for (const host of net.hosts) await bareContainer(t, host, `c${host.index}`)
  const { containers } = await equalTables(net.hosts, 5_000)
  const read = (host: TestHost, name: string): string =>
    readFileSync(join(host.dataDir, 'cluster', name), 'utf8')
  const refusals = (at: TestHost, why: RegExp): number =>
    at.logged('peer refused').filter(({ reason }) => why.test(reason)).length

  await t.test('expired, and no host there that renews it', async (t) => {
    const ca = { certPem: read(one, 'ca.crt'), keyPem: read(one, 'ca.key') }
    const { requestPem } = await makeRequest(read(three, 'host.key'))
    const days = 30 / 86_400
    const over = await issue(ca, requestPem, {
      cluster: 'testing',
      hostId: 3,
      now: Date.now() - 60_000,
      days,
    })
    await three.stop()
    net.cut(1, 3)
    writeFileSync(join(three.dataDir, 'cluster/host.crt'), over)
    await three.start()
    await waitFor('host 2 refuses it', 5_000, () => refusals(two, /CERT_HAS_EXPIRED/) > 0)
    t.equal(await markOf(two, 3), 'unreachable', 'its containers are marked')
    t.match(await three.api('/v1/status'), { cluster: { linksUp: 0, certificate: { state: 'expired' } } })
    // The admitting host takes it for the renewal alone.
    net.healAll()
    await waitFor('it renews itself', 20_000, () => read(three, 'host.crt') !== over)
    await marked([one, two], 3, 'live', 15_000)
    await allLinked(net)
    t.same((await equalTables(net.hosts, 10_000)).containers, containers)
  })

  await t.test('revoked, while host 1 alone is told', async (t) => {
    await one.ok('revoke', '3')
    const from = performance.now()
    const others = containers.filter((line) => !line.includes('10.100.3.'))
    for (const host of [one, two]) {
      await waitFor(`host ${host.index} has cut it off and withdrawn its containers`, 5_000, async () => {
        return !(await host.linksUp()).includes(3) && (await markOf(host, 3)) === undefined
      })
    }
    t.comment(`${Math.round(performance.now() - from)} ms`)
    t.same((await equalTables([one, two], 5_000)).containers, others)
    // With its old disk and its port closed it links to no gateway, not even to one that has just started.
    await three.restart()
    await two.restart()
    await waitFor('host 3 knows that it is out', 10_000, async () => (await three.linksUp()).length === 0)
    t.match((await three.api('/v1/status')).cluster.expelled, /revoked/)
    t.equal(await markOf(two, 3), undefined)
    t.ok(
      (await three.assignments()).some((a) => a.name === 'c3'),
      'its own containers go on',
    )
  })
})
