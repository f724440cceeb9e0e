/** Joining a gateway that runs, everything that a host is refused for, and a join that is killed at each file. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { hosts, type TestHost, tokenOf } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

const helper = (name: string): string => join(import.meta.dirname, '../helpers', name)

const install = (host: TestHost): Promise<string> => host.ok('install', '--listen', '0.0.0.0:8080')

t.test('joining', { skip: needsRoot }, async (t) => {
  const net = await hosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  for (const host of net.hosts) await install(host)
  await one.start()
  await two.start()
  const { pid } = one
  await t.test('a gateway that runs takes the cluster up without a restart', async (t) => {
    await one.ok('init', '--name', 'h1', '--cluster', 'testing')
    t.match(await one.api('/v1/status'), { pid, cluster: { name: 'testing' } })
    const token = await tokenOf(one)
    t.match(await two.ok('join', token), /This is host 2 of cluster testing; it hands out 10\.100\.2\.0\/24/)
    t.match(await two.api('/v1/status'), { hostId: 2, cluster: { name: 'testing' } })
    await waitFor('they are linked', 15_000, async () => (await one.linksUp()).includes(2))

    // As the documents have it: the list of processes does not show it.
    const replayed = await three.flatnetWith({ input: `flatnet join ${token}\n` }, 'join')
    t.equal(replayed.rc, 1)
    t.match(replayed.stderr, /the token was used at .*, by host 2\n +next: .*flatnet token/)
    t.match(await two.ok('join', token), /This is host 2/, 'on the host that used it, it changes nothing')
  })
  await t.test('what is no token', async (t) => {
    const ran = await three.flatnet('join', (await tokenOf(one)).slice(0, -3))
    t.equal(ran.rc, 2)
    t.match(ran.stderr, /no token: it is not complete/)
  })
  await t.test('a clock that is wrong', async (t) => {
    const token = await tokenOf(one)
    const wrong = {
      imports: [helper('cluster/wrong-clock.ts')],
      env: { FT_CLOCK_OFFSET_MS: String(-86_400_000) },
    }
    const ran = await three.flatnetWith(wrong, 'join', token)
    t.equal(ran.rc, 1)
    t.match(ran.stderr, /this host's clock is 24 hours behind that of host 1/)
    t.notOk(existsSync(join(three.dataDir, 'cluster/members.json')))
  })
  await t.test('an expired token', async (t) => {
    const { token, expiresAt } = JSON.parse(await one.ok('token', '--ttl', '1s', '--json'))
    await waitFor('it is over', 5_000, () => Date.now() > Date.parse(expiresAt))
    t.match((await three.flatnet('join', token)).stderr, /the token expired at [\s\S]*next: .*flatnet token/)
  })
  await t.test('a route into the network of the cluster', async (t) => {
    three.ns.exec('ip', 'route', 'add', '10.100.64.0/18', 'via', '192.0.2.99')
    const ran = await three.flatnet('join', await tokenOf(one))
    t.match(ran.stderr, /this host has routes into 10\.100\.0\.0\/16.*10\.100\.64\.0\/18 dev eth0/)
    three.ns.exec('ip', 'route', 'del', '10.100.64.0/18')
  })
  await t.test('no gateway there', async (t) => {
    net.cut(1, 3)
    const ran = await three.flatnet('join', await tokenOf(one))
    t.equal(ran.rc, 1)
    t.match(ran.stderr, /host 1 cannot be reached \(192\.0\.2\.1:7443: no answer within 5 s\)/)
    t.match(ran.stderr, /next: .*TCP 7443/)
    net.healAll()
  })
  await t.test('killed after each file it wrote, and run again', async (t) => {
    const token = await tokenOf(one)
    const imports = [helper('cni/die-after.ts')]
    // Five files make it a member; then flatnet.yaml, conflist and the record of both, of which each run adds one.
    for (const at of [1, 2, 3, 4, 5, 1, 1, 1]) {
      const ran = await three.flatnetWith({ imports, env: { FT_DIE_AFTER: String(at) } }, 'join', token)
      t.match(ran.stderr, /^SIGKILL/, `killed after ${at}`)
    }
    await three.ok('join', token)
    await three.start()
    t.match(await three.api('/v1/status'), { hostId: 3, cluster: { name: 'testing' } })
    await waitFor('it is linked with both', 15_000, async () => (await three.linksUp()).length === 2)
    t.equal((await one.hosts()).length, 3, 'it got one number')
  })
})
