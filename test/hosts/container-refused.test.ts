/**
 * What a container cannot do to the gateway of its own host: reach the port for peers, or the API, by any of the host's
 * addresses.
 */
import t from 'tap'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

t.test('two hosts', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 2)
  const [one, two] = [net.host(1), net.host(2)]
  const apple = await hostContainer(t, one, 'apple')
  await hostContainer(t, two, 'berry')
  const curl = (...args: string[]) =>
    one.exec(['ip', 'netns', 'exec', apple.ns.name, 'curl', '-sk', '-m', '3', ...args])
  /** Of everything that listens on the host itself. */
  const ports = [...one.ns.exec('ss', '-Hltn').matchAll(/:(\d+) /g)].map(([, port]) => Number(port))
  // 53 is the name server's, for containers.
  const others = [...new Set(ports)].filter((port) => port !== 53)
  t.same(others.sort(), [7443, 8080], 'nothing of the gateway listens elsewhere')
  const owns = ['10.100.1.1', '192.0.2.1']

  await t.test('the port for peers', async (t) => {
    await waitFor('it is refused', 5_000, async () => (await curl(`https://${owns[0]}:7443/`)).rc === 7)
    for (const address of [...owns, '10.100.2.1'])
      t.equal((await curl(`https://${address}:7443/`)).rc, 7, `${address} resets`)
    t.equal((await curl('--interface', '127.0.0.1', 'https://10.100.1.1:7443/')).rc === 0, false)
    t.equal((await one.linksUp()).length, 1, 'peers go on')
  })

  await t.test('the API, by the port for people', async (t) => {
    for (const address of owns) {
      const page = await curl('-o', '/dev/null', '-w', '%{http_code}', `http://${address}:8080/`)
      t.equal(page.stdout, '200', `${address} has pages`)
      for (const call of ['assignments', 'hosts', 'status', 'reload', 'events']) {
        const { stdout } = await curl(
          '-w',
          '\n%{http_code}',
          '-H',
          'accept: application/json',
          `http://${address}:8080/v1/${call}`,
        )
        t.match(stdout, /\n4\d\d$/, `${call} is none of them`)
      }
      const body = JSON.stringify({ network: 'flatnet', containerId: 'hostile', ifname: 'eth0' })
      const { stdout } = await curl(
        '-w',
        '\n%{http_code}',
        '-d',
        body,
        `http://${address}:8080/v1/assignments`,
      )
      t.match(stdout, /\n4\d\d$/)
    }
    t.same((await two.assignments()).map((a) => a.name).sort(), ['apple', 'berry'])
  })
})
