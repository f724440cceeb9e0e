/**
 * gateway/replication/name-conflicts: two hosts with containers of one name: a person is told, and the page says it.
 */
import t from 'tap'
import { listOf, renderList } from '../../../../gateway/ingress/pages/list.ts'
import { assignmentOf } from '../../../helpers/gateway/gateway-samples.ts'
import { SimNetwork, SimTime, seeded } from '../../../helpers/sim/network.ts'
import { emptyDisk, SimHost, type SimMembers, simKeys } from '../../../helpers/sim/sim-host.ts'

function twoHosts() {
  const time = new SimTime()
  const network = new SimNetwork(time, seeded(1), { isSerialized: true, delayMs: 20 })
  const keys = [simKeys(), simKeys()]
  const members: SimMembers = new Map(keys.map(({ keyId }, i) => [i + 1, keyId]))
  const [one, two] = keys.map((own, i) => {
    const host = new SimHost(network, members, i + 1, emptyDisk(), { clockMs: 0, keys: own })
    host.follow()
    return host
  }) as [SimHost, SimHost]
  const run = (host: SimHost, hostId: number, name: string, createdAt?: string): void => {
    const row = { hostId, name, containerId: `${name}-${hostId}`, ips: [`10.100.${hostId}.10/24`] }
    host.registry.put(assignmentOf({ ...row, ...(createdAt !== undefined && { createdAt }) }))
  }
  return { time, one, two, run }
}

const LATER = '9999-12-31T23:59:59.999Z'

t.test('the name leads to who had it first; alarm and page say so on both', async (t) => {
  const { time, one, two, run } = twoHosts()
  run(one, 1, 'web')
  time.run(20_000)
  run(two, 2, 'web', LATER)
  time.run(90_000)
  for (const host of [one, two]) {
    t.same(
      host.registry.byName('web').map((a) => a.hostId),
      [1, 2],
    )
    t.match(host.replication.alarms(), [
      {
        hostId: 2,
        reason: 'it has a container called web, which leads to host 1: that host had the name first',
        next: /give one of the two another name/,
      },
    ])
    const page = renderList({ hostId: 1, entries: listOf(host.registry), waiting: [] }, 'html')
    t.match(
      page,
      /href="\/~10-100-2-10\/">web<.*another container has this name, so this link goes by address/,
    )
    t.match(page, 'href="/~web/">web<', 'and the name leads to the first')
    t.equal(page.match(/another container has this name/g)?.length, 1)
  }
})

t.test('different names raise no alarm', async (t) => {
  const { time, one, two, run } = twoHosts()
  run(one, 1, 'web')
  run(two, 2, 'db')
  time.run(60_000)
  t.same([...one.replication.alarms(), ...two.replication.alarms()], [])
})
