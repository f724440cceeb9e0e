/**
 * Hosts become a cluster by the command line alone: init, token, join; what every host then shows, and what the first
 * refuses.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { HostView } from '../../gateway/api/host-view.ts'
import { hosts, joinedByCommands } from '../helpers/cluster/hosts.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'

const skip = needsRoot
/** What has to be the same everywhere. */
const table = (views: readonly HostView[]): unknown =>
  views.map(({ hostId, member }) => [hostId, member?.name, member?.slice, member?.state, member?.keyId])

t.test('three hosts from nothing to a cluster', { skip }, async (t) => {
  const net = await joinedByCommands(t, 3)
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
    const conflist = JSON.parse(readFileSync(join(three.dir, 'cni/10-flatnet.conflist'), 'utf8'))
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

t.test('containers cannot reach the port for peers', { skip }, async (t) => {
  const net = await hosts(t, 1)
  const one = net.host(1)
  const root = join(import.meta.dirname, '../..')
  one.ns.exec('nft', '-f', join(root, 'conf/flatnet.nft'))
  const script = `import { ensureGatewayPorts } from '${root}/kernel/gateway-ports.ts'
    const members = ['192.0.2.2', '2001:db8::2', '192.0.2.2', 'host2.example'].map((host) => ({ host, port: 7443 }))
    const ports = { open: [8080], refused: [7443], members }
    console.log(ensureGatewayPorts(ports), ensureGatewayPorts(ports))`
  const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module-typescript']
  const ran = await one.exec([process.execPath, ...flags, '-e', script])
  t.equal(ran.rc, 0, ran.stderr)
  t.equal(ran.stdout.trim(), 'true false', 'what stands is left as it is')
  const set = (name: string) => one.ns.exec('nft', 'list', 'set', 'inet', 'flatnet', name)
  t.match(set('refused_ports'), /elements = \{ 7443 \}/)
  t.match(set('open_ports'), /elements = \{ 8080 \}/)
  t.match(set('members'), /elements = \{ 192\.0\.2\.2 \. 7443 \}/)
  t.match(set('members6'), /elements = \{ 2001:db8::2 \. 7443 \}/)
})
