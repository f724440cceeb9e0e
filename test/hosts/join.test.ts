/** Hosts become a cluster by the command line alone: init, token, join; and what is refused on the way. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { HostView } from '../../gateway/cluster/view.ts'
import { hosts, joinedHosts, type TestHost, tokenOf } from '../helpers/hosts.ts'
import { needsRoot } from '../helpers/netns.ts'
import { waitFor } from '../helpers/wait.ts'

const skip = needsRoot
const helper = (name: string): string => join(import.meta.dirname, '../helpers', name)

/** What has to be the same everywhere. */
const table = (views: readonly HostView[]): unknown =>
  views.map(({ hostId, member }) => [hostId, member?.name, member?.slice, member?.state, member?.keyId])

const install = (host: TestHost): Promise<string> => host.ok('install', '--listen', '0.0.0.0:8080')

t.test('three hosts from nothing to a cluster', { skip }, async (t) => {
  const net = await joinedHosts(t, 3)
  const [one, two, three] = [net.host(1), net.host(2), net.host(3)]
  await t.test('every host shows the same table', async (t) => {
    const tables = await Promise.all(net.hosts.map(async (h) => table(await h.hosts())))
    t.match(tables[0], [
      [1, 'h1', '10.100.1.0/24', 'active'],
      [2, 'h2', '10.100.2.0/24', 'active'],
      [3, 'h3', '10.100.3.0/24', 'active'],
    ])
    t.same(tables[1], tables[0])
    t.same(tables[2], tables[0])
    const printed = await two.ok('hosts')
    t.match(printed, /^HOST +NAME +SLICE +STATE +ENDPOINT +KEY +ADMITS +SINCE$/m)
    t.match(printed, /^1 +h1 +10\.100\.1\.0\/24 +up +192\.0\.2\.1:7443 +[0-9a-f]{12} +yes +20/m)
    t.match(printed, /^2 +h2 +10\.100\.2\.0\/24 +this host +192\.0\.2\.2:7443/m)
  })
  await t.test('plugin and gateway of a host that joined use its slice', async (t) => {
    t.match(readFileSync(join(three.dir, 'flatnet.yaml'), 'utf8'), /^hostId: 3$/m)
    const conflist = JSON.parse(readFileSync(join(three.dir, 'cni/flatnet.conflist'), 'utf8'))
    t.equal(conflist.plugins[0].ipam.hostId, 3)
    t.match(await three.api('/v1/status'), {
      slice: '10.100.3.0/24',
      cluster: { name: 'testing', members: 3, linksUp: 2, expelled: null, certificate: { state: 'valid' } },
    })
    t.notOk(existsSync(join(three.dataDir, 'cluster/ca.key')), 'the key of the CA stays on host 1')
  })
  await t.test('what is done twice is refused, and says what to do', async (t) => {
    const again = await one.flatnet('init')
    t.equal(again.rc, 1)
    t.match(again.stderr, /in a cluster already: it is host 1 of testing[\s\S]*next: .*flatnet token/)
    const other = await two.flatnet('token')
    t.match(other.stderr, /holds no ca\.key: do it on host 1 \(h1\)/)
    const taken = await one.flatnet('token', '--host-id', '2')
    t.match(taken.stderr, /hostId 2 was given before.*--replace 2/)
  })
  await t.test('metrics', async (t) => {
    const { stdout } = await one.exec(['curl', '-s', '--unix-socket', one.socket, 'http://flatnet/metrics'])
    t.match(stdout, /^flatnet_cluster_members 3$/m)
    t.match(stdout, /^flatnet_cluster_admissions_total\{outcome="joined"\} 2$/m)
  })
})

t.test('joining', { skip }, async (t) => {
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

    const replayed = await three.flatnet('join', token)
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
    const wrong = { imports: [helper('wrong-clock.ts')], env: { FT_CLOCK_OFFSET_MS: String(-86_400_000) } }
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
  await t.test('nobody there', async (t) => {
    net.cut(1, 3)
    const ran = await three.flatnet('join', await tokenOf(one))
    t.equal(ran.rc, 1)
    t.match(ran.stderr, /host 1 cannot be reached \(192\.0\.2\.1:7443: no answer within 5 s\)/)
    t.match(ran.stderr, /next: .*TCP 7443/)
    net.healAll()
  })
  await t.test('killed after each file it wrote, and run again', async (t) => {
    const token = await tokenOf(one)
    const imports = [helper('die-after.ts')]
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

t.test('containers cannot reach the port for peers', { skip }, async (t) => {
  const net = await hosts(t, 1)
  const one = net.host(1)
  const root = join(import.meta.dirname, '../..')
  one.ns.exec('nft', '-f', join(root, 'conf/flatnet.nft'))
  const script = `import { refusePort } from '${root}/kernel/refused.ts'; refusePort(7443); refusePort(7443)`
  const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript']
  const ran = await one.exec([process.execPath, ...flags, '-e', script])
  t.equal(ran.rc, 0, ran.stderr)
  t.match(one.ns.exec('nft', 'list', 'set', 'inet', 'flatnet', 'refused_ports'), /elements = \{ 7443 \}/)
})
