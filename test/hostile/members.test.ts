/** Containers of a host want to be taken for it by other gateways, and to reach services of other hosts. */
import t from 'tap'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

t.test('two hosts and a machine beside them', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  const net = await joinedHosts(t, 2, { spare: 1 })
  const [one, two, spare] = [net.host(1), net.host(2), net.host(3)]
  const apple = await hostContainer(t, one, 'apple')
  await hostContainer(t, two, 'berry')
  const serve = (host: typeof one, port: number) =>
    host.spawn('busybox', 'httpd', '-f', '-p', `0.0.0.0:${port}`, '-h', host.dir)
  serve(two, 9_000)
  serve(spare, 7_443)
  /** curl's exit code: 7 for a refusal. */
  const curl = async (url: string): Promise<number> =>
    (await one.exec(['ip', 'netns', 'exec', apple.ns.name, 'curl', '-sk', '-m', '5', '-o', '/dev/null', url]))
      .rc
  await waitFor(
    'the machine beside them serves',
    10_000,
    async () => (await curl(`http://${spare.ip}:7443/`)) === 0,
  )

  t.pass('the same port of a machine that is no member is reached')
  await waitFor(
    '7443 of host 2 is refused',
    40_000,
    async () => (await curl(`https://${two.ip}:7443/`)) === 7,
  )
  for (const address of [two.ip, one.ip, '10.100.1.1', '10.100.2.1'])
    t.equal(await curl(`https://${address}:7443/`), 7, `7443 at ${address}`)
  t.match(one.ns.exec('nft', 'list', 'counter', 'inet', 'flatnet', 'member_port'), /packets [1-9]/)
  t.equal(
    (await one.exec(['curl', '-sk', '-m', '5', `https://${two.ip}:7443/`])).rc === 7,
    false,
    'hosts reach it',
  )
  t.equal((await one.linksUp()).length, 1, 'and stay linked')

  t.equal(await curl('http://10.100.2.1:9000/'), 7, 'a service of host 2, through the tunnel')
  t.match(two.ns.exec('nft', 'list', 'counter', 'inet', 'flatnet', 'host_service'), /packets [1-9]/)
  for (const address of ['10.100.1.1', '10.100.2.1', one.ip, two.ip])
    t.equal(await curl(`http://${address}:8080/`), 0, `the page at ${address}`)
  t.equal(await curl(`http://${two.ip}:9000/`), 0, 'its LAN address is part of the world')
})
