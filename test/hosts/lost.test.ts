/**
 * A peer that dies, hangs or is cut off: its containers are marked within 3.5 s and still shown, others are untouched,
 * and it comes back.
 */
import t from 'tap'
import { bareContainer } from '../helpers/cluster/host-container.ts'
import { allLinked, joinedHosts } from '../helpers/cluster/hosts.ts'
import { equalTables, marked, markOf } from '../helpers/cluster/tables.ts'
import { followEvents } from '../helpers/gateway/event-stream.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { heldTo } from '../helpers/nat/held-udp.ts'
import { Stalls } from '../helpers/run/stalls.ts'
import { waitFor } from '../helpers/run/wait.ts'

t.test('three hosts', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  for (const host of net.hosts) for (const n of [1, 2]) await bareContainer(t, host, `h${host.index}-${n}`)
  const { containers } = await equalTables(net.hosts, 5_000)
  t.equal(containers.length, 6)
  const streams = [await followEvents(t, one), await followEvents(t, two)]

  const ways = [
    { name: 'its gateway is killed', lose: () => three.kill(), find: () => three.start() },
    {
      name: 'its gateway hangs',
      lose: async () => three.signal('SIGSTOP'),
      find: async () => three.signal('SIGCONT'),
    },
    { name: 'its network is cut off', lose: async () => net.isolate(3), find: async () => net.healAll() },
  ]
  for (const { name, lose, find } of ways) {
    await t.test(name, async (t) => {
      using stalls = new Stalls()
      const from = Date.now()
      await lose()
      await marked([one, two], 3, 'unreachable', 5_000)
      heldTo(t, 'marked', { from, to: Date.now() }, stalls, 3_500)
      for (const host of [one, two]) {
        const shown = (await host.assignments()).map((a) => `${a.ips.join()} ${a.name}`).sort()
        t.same(shown, containers, `host ${host.index} shows all`)
        // Until the other has said that it lost it too, it is looked for behind the other.
        await waitFor(`host ${host.index} has no way to it`, 2_000, async () => {
          const view = (await host.hosts()).find((h) => h.hostId === 3)
          return view?.state === 'unreachable' && view.path?.state === 'ISOLATED'
        })
      }
      t.same([await markOf(one, 2), await markOf(two, 1)], ['live', 'live'])
      await find()
      t.comment(`back after ${Math.round(await marked([one, two], 3, 'live', 15_000))} ms`)
      t.same((await equalTables(net.hosts, 10_000)).containers, containers)
    })
  }
  await t.test('nothing was said of the others, and no container came or went', (t) => {
    for (const stream of streams) {
      const hosts = stream.flatMap(({ event }) => (event.type === 'hostChanged' ? [event] : []))
      t.same([...new Set(hosts.map((e) => e.hostId))], [3])
      t.same(
        hosts.map((e) => e.state),
        ways.flatMap(() => ['unreachable', 'live']),
      )
      t.same(
        stream.filter(({ event }) => event.type.startsWith('assignment')),
        [],
      )
    }
    t.end()
  })
  await t.test('told to stop when it has just started, it waits for nothing', async (t) => {
    await three.restart()
    await allLinked(net)
    using stalls = new Stalls()
    const from = Date.now()
    await three.stop()
    heldTo(t, 'ended', { from, to: Date.now() }, stalls, 1_500)
  })
})
