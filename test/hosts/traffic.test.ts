/**
 * Containers of different hosts reach each other by their addresses, and a browser reaches any of them by any gateway.
 */
import t from 'tap'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const skip = needsRoot

t.test('three hosts', { skip }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  const a = await hostContainer(t, two, 'apple')
  const b = await hostContainer(t, three, 'berry')
  await t.test('by any gateway, without a container on the own host', async (t) => {
    await waitFor(
      'host 1 knows berry',
      5_000,
      async () => (await one.api('/v1/assignments?name=berry')).length === 1,
    )
    const got = await one.exec(['curl', '-s', '-m', '5', 'http://127.0.0.1:8080/~berry/'])
    t.equal(got.stdout, 'berry on host 3\n', `${JSON.stringify(await one.api('/v1/paths'))} ${one.log()}`)
  })
  await t.test('container to container', async (t) => {
    t.equal(a.ns.exec('busybox', 'wget', '-q', '-O', '-', `http://${b.ip}/`), 'berry on host 3\n')
    t.match(a.ns.exec('busybox', 'ping', '-c', '3', b.ip), '3 packets received')
    t.match(b.ns.exec('busybox', 'ping', '-c', '1', '-s', '20000', a.ip), '1 packets received')
  })
  t.comment(
    one.ns.exec('ip', 'route'),
    two.ns.exec('ip', 'route'),
    JSON.stringify(await one.api('/v1/status')),
  )
})
