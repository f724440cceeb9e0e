/** Containers by `web.local` where Avahi runs: on the gateway's machine, and on that of a person who asks by it. */
import t from 'tap'
import { bareContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts } from '../helpers/cluster/hosts.ts'
import { type Avahi, avahi } from '../helpers/dns/avahi.ts'
import { writeConf } from '../helpers/dns/host-conf.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

t.test('beside Avahi', { skip: needsRoot }, async (t) => {
  let beside: Avahi | undefined
  const net = await joinedHosts(t, 1, {
    spare: 1,
    async arrange({ hosts: [host] }) {
      if (host === undefined) return
      writeConf(host, { mdns: { enabled: true } })
      beside = await avahi(host, 'nas')
    },
  })
  const [one, person] = [net.host(1), net.host(2)]
  const theirs = await avahi(person, 'laptop')
  const mdns = async () => (await one.api('/v1/status')).mdns
  await bareContainer(t, one, 'web')

  await t.test('both are found, by another machine and by the same', async (t) => {
    await waitFor('web.local is published', 15_000, async () => (await mdns()).published === 1)
    for (const [whose, resolver] of [
      ['another machine', theirs],
      ['the same machine', beside],
    ] as const)
      for (const name of ['web.local', 'nas.local'])
        t.equal(await resolver?.resolve(name), one.ip, `${name}: ${whose}`)
    t.equal(await beside?.resolve('laptop.local'), person.ip)
    t.match(await mdns(), { taken: [], problem: null })
  })

  await t.test('a container called as that machine is not published', async (t) => {
    const laptop = await bareContainer(t, one, 'laptop')
    await waitFor('it is told', 10_000, async () => (await mdns()).taken.length === 1)
    t.same((await mdns()).taken, [{ name: 'laptop.local', ifname: 'eth0', by: person.ip }])
    t.equal(await beside?.resolve('laptop.local'), person.ip, 'the name stays with the machine')
    await laptop.del()
    await waitFor('the conflict is over', 10_000, async () => (await mdns()).taken.length === 0)
  })
})
