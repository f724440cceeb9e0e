/** `flatnet install` on a host whose Podman was upgraded from 4 to 5, `doctor` before and after, and `uninstall`. */
import t from 'tap'
import { IMAGE, imageTar } from '../helpers/cni/image.ts'
import { leasesOf, leftovers } from '../helpers/kernel/leftovers.ts'
import { machine } from '../helpers/kernel/machine.ts'
import { PODMAN5 } from '../helpers/podman/runtime.ts'
import { cliExecutable } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** The Podman before the upgrade, as far as install asks it. */
const PODMAN4 = `#!/bin/sh
case "$1" in
  --version) echo podman version 4.3.1 ;;
  info) echo cni ;;
esac
`
const CONFLIST = '/etc/cni/net.d/10-flatnet.conflist'
const NETWORK_FILE = '/etc/containers/networks/flatnet.json'
const PLUGIN = '/usr/local/libexec/netavark/flatnet'

t.test('Podman 4 becomes Podman 5', { skip: PODMAN5.missing(), timeout: 300_000 }, async (t) => {
  const m = await machine(t, PODMAN5.system)
  const exists = async (path: string) => (await m.run(['test', '-e', path])).rc === 0
  await m.run(['sh', '-c', 'cat >/etc/containers/containers.conf'], { input: PODMAN5.base })
  await m.run(['sh', '-c', 'cat >/usr/local/bin/podman; chmod 755 /usr/local/bin/podman'], { input: PODMAN4 })
  const flatnet = cliExecutable().path
  const installed = await m.exec(flatnet, 'install', '--host-id', '3', '--http-port', '81')
  t.match(installed, /Podman 4\.3\.1: CNI/)
  t.ok(await exists(CONFLIST))
  await m.exec('rm', '/usr/local/bin/podman')

  t.test('doctor says what to do', async (t) => {
    const { stdout } = await m.run(['flatnet', 'doctor'])
    t.match(stdout, /network flatnet is a conflist, .*\n?.*Podman 5\.\S+ reads/)
    t.match(stdout, 'flatnet install --network flatnet moves it')
  })
  t.test('install moves network and plugin, with all settings', async (t) => {
    const said = await m.exec('flatnet', 'install')
    t.match(said, /Podman 5\.\S+: netavark/)
    t.match(said, `write     ${NETWORK_FILE}  (moved from ${CONFLIST}`)
    t.notOk(await exists(CONFLIST))
    t.notOk(await exists('/opt/cni/bin/flatnet'))
    t.ok(await exists(PLUGIN))
    const [network] = await m.json('podman', 'network', 'inspect', 'flatnet')
    t.match(network, { driver: 'flatnet', options: { httpPort: '81', 'ipam.hostId': '3' } })
    t.notMatch(
      await m.exec('flatnet', 'install'),
      /^(write|remove) {4}(?!.*install\.json)/m,
      'again: nothing to do',
    )
  })
  t.test('containers start, and are in the way of uninstall', async (t) => {
    const gateway = await m.start(['flatnet', 'gateway'])
    await waitFor('the gateway answers', 10_000, async () => (await m.run(['flatnet', 'status'])).rc === 0)
    await m.exec('podman', 'import', '-q', '-c', 'CMD ["/bin/httpd","-f","-h","/www"]', imageTar(), IMAGE)
    await m.exec('podman', 'run', '-d', '--name', 'web', '--network', 'flatnet', IMAGE)
    t.match(leasesOf(m.path('/var/lib/flatnet'), 'flatnet'), [{ name: 'web', ip: '10.100.3.10' }])
    const doctor = await m.run(['flatnet', 'doctor'])
    t.equal(doctor.rc, 0, doctor.stdout)
    t.match((await m.run(['flatnet', 'uninstall'])).stderr, /containers are on the network: web/)
    await m.exec('podman', 'rm', '-f', '-t', '0', 'web')
    t.strictSame(await leftovers(m, m.path('/var/lib/flatnet')), [])
    await gateway.kill('SIGTERM')
  })
  t.test('a plugin that is missing, and a network without its driver', async (t) => {
    await m.exec('mv', PLUGIN, `${PLUGIN}.away`)
    t.match((await m.run(['flatnet', 'doctor'])).stdout, /no executable named flatnet in/)
    await m.exec('mv', `${PLUGIN}.away`, PLUGIN)
    await m.sh(`sed -i.kept "/ipam_options/,/}/s/flatnet/host-local/" ${NETWORK_FILE}`)
    t.match((await m.run(['flatnet', 'doctor'])).stdout, /has no "ipam_options": \{ "driver": "flatnet" \}/)
    await m.exec('mv', `${NETWORK_FILE}.kept`, NETWORK_FILE)
  })
  t.test('uninstall removes the network before the plugin', async (t) => {
    const said = await m.exec('flatnet', 'uninstall', '--purge')
    t.ok(said.indexOf(`remove    ${NETWORK_FILE}`) < said.indexOf(`remove    ${PLUGIN}`), said)
    t.equal(await m.sh('find /etc /var/lib /opt /usr/local /run -name "*flatnet*" 2>/dev/null'), '')
    const networks: { name: string }[] = await m.json('podman', 'network', 'ls', '--format', 'json')
    t.strictSame(
      networks.map(({ name }) => name),
      ['podman'],
    )
  })
})
