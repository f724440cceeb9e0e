/**
 * The tunnel of whole hosts: how soon a new container is reached, what others do to device and routes, a peer that does
 * not read, and leaving.
 */
import { once } from 'node:events'
import t from 'tap'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { traffic } from '../helpers/cluster/tunnel-traffic.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const routes = (host: TestHost): string[] =>
  host.ns
    .json<{ dst: string; dev?: string; protocol?: string }[]>('ip', '-j', '-N', 'route')
    .filter((r) => r.protocol === '247')
    .map((r) => `${r.dst} ${r.dev ?? ''}`.trim())
    .sort()

t.test('three hosts', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  const get = async (host: TestHost, name: string) =>
    (await host.exec(['curl', '-s', '-m', '3', `http://127.0.0.1:8080/~${name}/`])).stdout
  const cherry = await hostContainer(t, one, 'cherry')
  const apple = await hostContainer(t, two, 'apple')
  const berry = await hostContainer(t, three, 'berry')
  const reaches = (what: string) =>
    waitFor(`apple reaches berry ${what}`, 10_000, () =>
      apple.ns.exec('curl', '-s', '-m', '1', `http://${berry.ip}/`).startsWith('berry'),
    )

  await t.test('a container is reached by another gateway within 300 ms of being announced', async (t) => {
    const took: number[] = []
    for (let n = 0; n < 5; n++) {
      const { announcedAt } = await hostContainer(t, three, `fresh${n}`)
      await waitFor('its page', 5_000, async () => (await get(one, `fresh${n}`)) === `fresh${n} on host 3\n`)
      took.push(performance.now() - announcedAt)
    }
    took.sort((a, b) => a - b)
    t.ok((took[2] ?? 1_000) < 300, `ms: ${took.map(Math.round).join(' ')}`)
  })

  await t.test('the device is deleted', async (t) => {
    two.ns.exec('ip', 'link', 'del', 'flatnet-gw')
    await reaches('again')
    t.same(routes(two), ['10.100.0.0/16', '10.100.1.0/24 flatnet-gw', '10.100.3.0/24 flatnet-gw'])
    t.equal(two.logged('tunnel device was lost').length, 1)
  })

  await t.test('the device is set down, or loses its address', async (t) => {
    const all = ['10.100.0.0/16', '10.100.1.0/24 flatnet-gw', '10.100.3.0/24 flatnet-gw']
    two.ns.exec('ip', 'link', 'set', 'flatnet-gw', 'down')
    await reaches('again')
    two.ns.exec('ip', 'addr', 'flush', 'dev', 'flatnet-gw')
    await waitFor('the routes are back', 10_000, () => routes(two).length === all.length)
    await reaches('still')
    t.same(routes(two), all)
    t.equal((await two.api('/v1/status')).tunnel.problem, null)
  })

  await t.test('the routes are deleted', async (t) => {
    for (const dst of ['10.100.1.0/24', '10.100.3.0/24'])
      two.ns.exec('ip', 'route', 'del', dst, 'dev', 'flatnet-gw')
    two.ns.exec('ip', 'route', 'del', 'unreachable', '10.100.0.0/16', 'proto', '247')
    t.same(routes(two), [])
    await reaches('again')
    t.same(routes(two), ['10.100.0.0/16', '10.100.1.0/24 flatnet-gw', '10.100.3.0/24 flatnet-gw'])
  })

  await t.test(
    'a foreign route stands where ours belongs: status names it, and ours comes back when it is gone',
    async (t) => {
      two.ns.exec('ip', 'route', 'del', '10.100.3.0/24', 'metric', '200')
      two.ns.exec('ip', 'route', 'add', '10.100.3.0/24', 'dev', 'lo', 'metric', '200')
      const problem = await waitFor('the problem is told', 10_000, async () => {
        return (await two.api('/v1/status')).tunnel.problem
      })
      t.match(problem, /10\.100\.3\.0\/24/)
      t.match(routes(two), ['10.100.0.0/16', '10.100.1.0/24 flatnet-gw'], 'the others stay')
      two.ns.exec('ip', 'route', 'del', '10.100.3.0/24', 'dev', 'lo')
      await reaches('again')
      t.equal((await two.api('/v1/status')).tunnel.problem, null)
    },
  )

  await t.test('a peer that does not read for two seconds holds up no other', async (t) => {
    const server = cherry.spawn(...traffic('serve', 9000))
    t.teardown(() => server.kill('SIGKILL'))
    await waitFor('it listens', 10_000, () => cherry.ns.exec('ss', '-Hltn').includes(':9000 '))
    const rss = async () => (await two.api('/v1/status')).memory.rssBytes
    const before = await rss()
    three.signal('SIGSTOP')
    // Big datagrams without a reader: the queue to host 3 is always full.
    const flood = apple.spawn(
      'sh',
      '-c',
      `dd if=/dev/zero bs=32k count=4000 2>/dev/null | nc -u -w 1 ${berry.ip} 9`,
    )
    const client = apple.spawn(...traffic('send', cherry.ip, 9000, 64))
    let out = ''
    client.stdout?.setEncoding('utf8').on('data', (text: string) => {
      out += text
    })
    const ended = once(client, 'close')
    await ended
    t.match(out, /\{"equal":true\}\s*$/)
    three.signal('SIGCONT')
    flood.kill('SIGKILL')
    t.ok((await rss()) - before < 64 << 20, 'memory is bounded')
    await reaches('when it reads again')
  })

  await t.test(
    'a host that leaves takes its device and routes along, and has no route at the others',
    async (t) => {
      await three.ok('leave')
      await waitFor('device and routes are gone', 10_000, () => routes(three).length === 0)
      t.notMatch(three.ns.exec('ip', 'link'), /flatnet-gw/)
      await waitFor('the others have no route to it', 5_000, () => !routes(one).join().includes('10.100.3.0'))
      const ping = await one.exec(['busybox', 'ping', '-c', '1', '-W', '1', berry.ip])
      t.match(ping.stdout + ping.stderr, /unreachable|No route/i)
      t.equal(await get(three, 'berry'), 'berry on host 3\n', 'its own containers go on')
    },
  )
})
