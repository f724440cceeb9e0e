/**
 * Two machines with one identity: kept out on all peers with an alarm that says what to do, until a person has put it
 * right.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type BareContainer, bareContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { equalTables, marked, markOf } from '../helpers/cluster/tables.ts'
import { followEvents } from '../helpers/gateway/event-stream.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** The disk of one host in another machine, with that machine's own paths. */
function clone(from: TestHost, to: TestHost): void {
  for (const part of ['data', 'cni']) cpSync(join(from.dir, part), join(to.dir, part), { recursive: true })
  for (const file of ['flatnet.yaml', 'cni/10-flatnet.conflist']) {
    const text = readFileSync(join(from.dir, file), 'utf8')
    writeFileSync(join(to.dir, file), text.replaceAll(`${from.dir}/`, `${to.dir}/`))
  }
}

/** How many echo requests came to the container, ever. */
function echoes({ ns }: BareContainer): number {
  const [names = '', values = ''] = ns.exec('grep', '^Icmp:', '/proc/net/snmp').split('\n')
  return Number(values.split(' ')[names.split(' ').indexOf('InEchos')])
}

t.test('three hosts', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 3, { spare: 1 })
  const [one, two, three, other] = [net.host(1), net.host(2), net.host(3), net.host(4)]
  const peers = [one, two]
  const apple = await bareContainer(t, one, 'apple')
  const cherry = await bareContainer(t, three, 'cherry')
  await equalTables([one, two, three], 5_000)
  t.match(cherry.ns.exec('busybox', 'ping', '-c', '1', apple.ip), '1 packets received')
  t.equal(echoes(apple), 1, 'what gets in is counted')
  const streams = await Promise.all(peers.map((h) => followEvents(t, h)))
  clone(three, other)
  await other.start()

  await t.test('it is seen by all, and said', async (t) => {
    const took = await marked(peers, 3, 'quarantined', 20_000)
    t.comment(`${Math.round(took)} ms`)
    for (const [i, host] of peers.entries()) {
      const view = (await host.hosts()).find((h) => h.hostId === 3)
      t.match(view, { state: 'quarantined', quarantine: /two machines use the identity of host 3/ })
      t.match(view, { path: { state: 'QUARANTINED' } })
      const alarms = streams[i]?.flatMap(({ event }) => (event.type === 'alarm' ? [event] : [])) ?? []
      t.match(alarms, [
        { hostId: 3, next: /stop the machine that should not be host 3, then.* flatnet hosts release 3/ },
      ])
      t.equal(alarms.length, 1, 'once')
      const line = await waitFor('it is logged', 5_000, () => host.logged('host alarm raised').at(-1))
      t.match(line.reason, /two machines/)
      t.match(await host.metrics(), /^flatnet_hosts\{state="quarantined"\} 1$/m)
      t.equal(await markOf(host, host === one ? 2 : 1), host === one ? undefined : 'live')
    }
  })
  await t.test('the one that came second is not believed meanwhile', async (sub) => {
    await bareContainer(t, other, 'forgery')
    await bareContainer(t, three, 'late')
    await bareContainer(t, two, 'berry')
    await waitFor(
      'what others say is',
      5_000,
      async () => (await one.api('/v1/assignments?name=berry')).length,
    )
    for (const host of peers) {
      const shown = (await host.assignments()).filter((a) => a.hostId === 3).map((a) => a.name)
      sub.ok(shown.includes('cherry') && !shown.includes('forgery'), shown.join(', '))
    }
  })
  await t.test('no packet of it gets in', async (t) => {
    // Which of the two has the link is chance, and so is whether its gateway sends at all while both want it.
    const knock = async (): Promise<void> => {
      cherry.ns.exec('sh', '-c', `busybox ping -c 1 -W 1 ${apple.ip} || true`)
      await other.exec(['busybox', 'ping', '-c', '1', '-W', '1', apple.ip])
    }
    const before = echoes(apple)
    for (let n = 0; n < 3; n++) await knock()
    t.equal(echoes(apple), before)
    t.notMatch(one.ns.exec('ip', 'route'), /10\.100\.3\.0/)
  })
  await t.test('it outlives a restart of the peer, and the clone', async (t) => {
    await other.kill()
    await two.restart()
    t.equal(await markOf(two, 3), 'quarantined')
    t.notMatch(two.ns.exec('ip', 'route'), /10\.100\.3\.0/, 'no route of an earlier run')
    await waitFor('host 3 is linked again', 15_000, async () => (await two.linksUp()).includes(3))
    t.equal(await markOf(two, 3), 'quarantined')
  })
  await t.test('a person ends it on each peer', async (t) => {
    for (const host of peers) t.same(await host.api('/v1/hosts/3/release', {}), { hostId: 3, released: true })
    await marked(peers, 3, 'live', 10_000)
    const { containers } = await equalTables([one, two, three], 15_000)
    t.same(containers.map((line) => line.split(' ')[1]).sort(), ['apple', 'berry', 'cherry', 'late'])
    t.ok(containers.includes(`${cherry.ip}/24 cherry`))
    t.same(await one.api('/v1/hosts/3/release', {}), { hostId: 3, released: false })
  })
})
