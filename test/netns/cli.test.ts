/** The command line on a machine of its own: install, run, look, collect, uninstall; nothing may be left. */
import { join } from 'node:path'
import t from 'tap'
import { type Background, type Machine, machine } from '../helpers/kernel/machine.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { cliExecutable } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const { path: flatnet } = cliExecutable()
const INSTALL = ['install', '--no-service', '--cni-bin-dir', '/opt/cni/bin', '--listen', '127.0.0.1:8080']

const CONFIG = '/etc/flatnet/flatnet.yaml'
const CONFLIST = '/etc/cni/net.d/10-flatnet.conflist'
const ID = 'c'.repeat(64)

/** What the runtime would pipe into the plugin: the entry with the list's name and version. */
async function cni(m: Machine, verb: string, extra: Record<string, string> = {}) {
  const list = JSON.parse(await m.exec('cat', CONFLIST))
  const input = JSON.stringify({ ...list.plugins[0], name: list.name, cniVersion: list.cniVersion })
  const env = {
    CNI_COMMAND: verb,
    CNI_CONTAINERID: ID,
    CNI_IFNAME: 'eth0',
    CNI_NETNS: '/run/netns/web',
    CNI_PATH: '/opt/cni/bin',
    CNI_ARGS: 'IgnoreUnknown=1;K8S_POD_NAME=web',
    ...extra,
  }
  const ran = await m.run(['/opt/cni/bin/flatnet'], { input, env })
  if (ran.rc !== 0) throw new Error(`${verb}: ${ran.stdout}`)
  return ran
}

async function startGateway(m: Machine): Promise<Background> {
  const gateway = await m.start([flatnet, 'gateway', '--config', CONFIG])
  await waitFor('the gateway answers', 10_000, async () => (await m.run([flatnet, 'status'])).rc === 0)
  return gateway
}

t.test('a host from install to uninstall', { skip: needsRoot }, async (t) => {
  const m = await machine(t)

  const dry = await m.run([flatnet, ...INSTALL, '--dry-run'])
  t.equal(dry.rc, 0, dry.stderr)
  t.match(dry.stdout, /would write \/opt\/cni\/bin\/flatnet/)
  t.equal((await m.run(['ls', '/etc/flatnet'])).rc !== 0, true, 'a dry run changes nothing')

  const first = await m.run([flatnet, ...INSTALL, '--host-id', '7'])
  t.equal(first.rc, 0, first.stderr)
  t.match(first.stdout, /hands out 10\.100\.7\.0\/24/)
  t.match(await m.exec('cat', CONFIG), /^hostId: 7$/m)
  t.equal(JSON.parse(await m.exec('cat', CONFLIST)).plugins[0].ipam.hostId, 7)

  const again = await m.run([flatnet, ...INSTALL])
  t.match(again.stdout, /keep +\/etc\/cni\/net\.d\/10-flatnet\.conflist/, 'a second install keeps hostId 7')
  t.match(again.stdout, /keep +\/etc\/flatnet\/flatnet\.yaml/)

  const inode = (path: string) => m.exec('stat', '-c', '%i', path)
  const plugin = await inode('/opt/cni/bin/flatnet')
  const byItself = await m.run(['/usr/local/bin/flatnet', ...INSTALL])
  t.equal(byItself.rc, 0, byItself.stderr)
  t.equal(
    await inode('/opt/cni/bin/flatnet'),
    plugin,
    'the installed command keeps the plugin that it came with',
  )

  // An install was killed while it copied; process 1 lives.
  await m.sh('rm /opt/cni/bin/flatnet; touch /opt/cni/bin/.flatnet.4194304.tmp /opt/cni/bin/.flatnet.1.tmp')
  await m.exec(flatnet, ...INSTALL)
  t.match((await m.exec('ls', '-A', '/opt/cni/bin')).match(/^\.flatnet\..*$/gm), ['.flatnet.1.tmp'])
  await m.exec('rm', '/opt/cni/bin/.flatnet.1.tmp')

  // As install called it before; the runtimes that take the first file would take Debian's.
  const debian = '/etc/cni/net.d/87-podman-bridge.conflist'
  await m.sh(`mv ${CONFLIST} /etc/cni/net.d/90-flatnet.conflist; echo '{"name":"podman"}' >${debian}`)
  const firstFile = async () => {
    const { stdout } = await m.run([flatnet, 'doctor', '--json', '--cni-bin-dir', '/opt/cni/bin'])
    return stdout.match(/take the first file, [^"]* use ([\w./-]+)/)?.[1]
  }
  t.equal(await firstFile(), debian)
  const renamed = await m.run([flatnet, ...INSTALL])
  t.match(renamed.stdout, /10-flatnet\.conflist +\(moved from .*90-flatnet\.conflist\)/)
  t.equal((await m.run(['ls', '/etc/cni/net.d/90-flatnet.conflist'])).rc === 0, false)
  t.equal(await firstFile(), CONFLIST)
  await m.exec('rm', debian)

  await m.sh(`rm ${CONFLIST}`) // as `podman network prune` does
  t.match(await m.exec(flatnet, ...INSTALL), /hands out 10\.100\.7\.0\/24/, 'it is still host 7')
  t.match(await m.exec('cat', CONFIG), /^hostId: 7$/m)
  t.equal(JSON.parse(await m.exec('cat', CONFLIST)).plugins[0].ipam.hostId, 7)

  const down = await m.run([flatnet, 'ps'])
  t.equal(down.rc, 0)
  t.match(down.stderr, /next: start it: flatnet gateway --config/)
  t.notMatch(down.stderr, /systemctl/, 'there is no systemd here')
  t.match(down.stderr, /leases on disk/)

  const gateway = await startGateway(m)
  const moved = await m.run([flatnet, ...INSTALL, '--host-id', '8'])
  t.match(moved.stdout, /the gateway, process \d+, has read .*flatnet\.yaml again/)
  t.notMatch(moved.stdout, /Start the gateway/, 'it runs')
  t.match(await m.exec(flatnet, 'status'), /^host +8, owns 10\.100\.8\.0\/24/)
  await m.exec(flatnet, ...INSTALL, '--host-id', '7')
  await m.sh('ip netns add web')
  await cni(m, 'ADD')
  const listed = JSON.parse(await m.exec(flatnet, 'ps', '--json'))
  t.match(listed, [{ name: 'web', ips: ['10.100.7.10/24'], hostId: 7, containerId: ID }])
  t.match(await m.exec(flatnet, 'ps'), /web +10\.100\.7\.10 +7 +flatnet/)
  t.match(await m.exec(flatnet, 'status'), /host +7, owns 10\.100\.7\.0\/24 of 10\.100\.0\.0\/16/)

  const refused = await m.run([flatnet, 'uninstall'])
  t.equal(refused.rc, 1)
  t.match(refused.stderr, /: containers are on the network: web \(10\.100\.7\.10\)/)

  const held = await m.run([flatnet, ...INSTALL, '--host-id', '8'])
  t.equal(held.rc, 1)
  t.match(held.stderr, /from 10\.100\.7\.0\/24 to 10\.100\.8\.0\/24.* web \(10\.100\.7\.10\)/)
  t.equal(JSON.parse(await m.exec('cat', CONFLIST)).plugins[0].ipam.hostId, 7)

  const checks = JSON.parse(
    (await m.run([flatnet, 'doctor', '--json', '--cni-bin-dir', '/opt/cni/bin'])).stdout,
  )
  const failed = checks.filter(
    (c: { state: string; id: string }) => c.state === 'fail' && c.id !== 'podman-backend',
  )
  t.same(failed, [], 'doctor finds nothing wrong but the backend of Podman')

  // The namespace goes without a DEL, as after `kill -9` of conmon.
  await gateway.kill()
  await m.sh('ip netns del web')
  await waitFor(
    'the kernel takes the link away',
    5000,
    async () => !/fn[0-9a-f]{10}/.test(await m.exec('ip', 'link')),
  )
  t.same(JSON.parse(await m.exec(flatnet, 'gc', '--json', '--dry-run')).leases.length, 1)
  t.match(JSON.parse(await m.exec(flatnet, 'gc', '--json')).leases, [
    { ip: '10.100.7.10', name: 'web', reason: 'no namespace' },
  ])
  t.same(JSON.parse(await m.exec(flatnet, 'gc', '--json')), { dryRun: false, leases: [], ports: 0 })

  const gone = await m.run([flatnet, 'uninstall', '--purge'])
  t.equal(gone.rc, 0, gone.stderr)
  for (const path of [
    '/etc/flatnet',
    CONFLIST,
    '/opt/cni/bin/flatnet',
    '/usr/local/bin/flatnet',
    '/usr/local/bin/flatnet-cni',
    '/var/lib/flatnet',
    '/run/flatnet',
  ]) {
    t.not((await m.run(['ls', path])).rc, 0, `${path} is gone`)
  }
  t.notMatch(await m.exec('nft', 'list', 'tables'), /flatnet/)
  t.notMatch(await m.exec('ip', 'link'), /flatnet0/)
})

t.test(
  'install refuses what it must not overwrite, and says all of it at once',
  { skip: needsRoot },
  async (t) => {
    const m = await machine(t)
    await m.exec(flatnet, ...INSTALL)
    await m.sh(`sed -i 's/"mtu": 0/"mtu": 1400/' ${CONFLIST}`)

    const kept = await m.run([flatnet, ...INSTALL])
    t.equal(kept.rc, 0, 'what was changed by hand and needs no change is kept')
    t.match(await m.exec('cat', CONFLIST), /"mtu": 1400/)

    const refused = await m.run([flatnet, ...INSTALL, '--host-id', '9'])
    t.equal(refused.rc, 1)
    t.match(refused.stderr, /changed since \(plugins\[0\]\.ipam\.hostId: 1 -> 9\): --force/)

    const forced = await m.run([flatnet, ...INSTALL, '--host-id', '9', '--force'])
    t.equal(forced.rc, 0, forced.stderr)
    t.match(await m.exec('cat', `${CONFLIST}.bak`), /"hostId": 1/)
    t.match(await m.exec('cat', CONFLIST), /"mtu": 1400[\s\S]*"hostId": 9/)

    const wrong = await m.run([
      flatnet,
      ...INSTALL,
      '--host-id',
      '300',
      '--supernet',
      '10.100.0.1/16',
      '--http-port',
      '0',
      '--force',
    ])
    t.equal(wrong.rc, 1)
    t.match(wrong.stderr, /supernet is "10\.100\.0\.1\/16"/)
    t.match(wrong.stderr, /httpPort is 0/)

    const second = await m.run([flatnet, ...INSTALL, '--network', 'other', '--host-id', '9'])
    t.match(second.stderr, /gives out 10\.100\.9\.0\/24 too/)
    t.match(second.stderr, /has bridge flatnet0 already/)

    await m.exec('rm', CONFLIST)
    const doctor = await m.run([flatnet, 'doctor', '--cni-bin-dir', '/opt/cni/bin'])
    t.equal(doctor.rc, 1)
    t.match(doctor.stdout, /flatnet\.conflist was installed and is gone/)
  },
)

t.test('Podman is told to use CNI by a drop-in', { skip: needsRoot }, async (t) => {
  const m = await machine(t)
  await m.exec(flatnet, ...INSTALL, '--configure-podman')
  const root = ['--root', join(m.dir, 'storage'), '--runroot', '/run/containers-test']
  const info = await m.run(['podman', ...root, 'info', '--format', '{{.Host.NetworkBackend}}'])
  t.equal(info.stdout.trim(), 'cni', info.stderr)
  t.match(await m.exec('podman', ...root, 'network', 'ls', '--format', '{{.Name}}'), /^flatnet$/m)
  const out = await m.exec(flatnet, 'uninstall', '--purge')
  t.match(out, /50-flatnet\.conf/)
})

t.test(
  'a host of a cluster: its numbers stay, and who is not root is told so',
  { skip: needsRoot },
  async (t) => {
    const m = await machine(t)
    // Its --listen is that of the peers.
    await m.exec(flatnet, 'init', ...INSTALL.slice(1, -2), '--host-id', '7')
    const before = await m.exec('cat', CONFIG, CONFLIST)
    const refused = await m.run([flatnet, ...INSTALL, '--host-id', '8', '--supernet', '10.200.0.0/16'])
    t.equal(refused.rc, 1)
    t.match(refused.stderr, /this is host 7 of cluster/)
    t.match(
      refused.stderr,
      /--host-id is 8: here it is 7\n.*--supernet is 10\.200\.0\.0\/16: here it is 10\.100/,
    )
    t.equal(await m.exec('cat', CONFIG, CONFLIST), before)
    const same = await m.run([flatnet, ...INSTALL, '--host-id', '7'])
    t.equal(same.rc, 0, same.stderr)

    const gateway = await startGateway(m)
    // Under a name that others can reach; a folder of tests may be closed to them.
    const asNobody = (...args: string[]) =>
      m.run([
        'setpriv',
        '--reuid=65534',
        '--regid=65534',
        '--clear-groups',
        '/usr/local/bin/flatnet',
        ...args,
      ])
    for (const name of ['ps', 'status', 'hosts']) {
      const ran = await asNobody(name)
      t.equal(ran.rc, 1)
      t.match(ran.stderr, /permission denied\n {2}next: run it with sudo/)
    }
    const doctor = await asNobody('doctor')
    t.equal(doctor.rc, 1)
    t.match(doctor.stdout, /FAIL {2}running as user 65534, not as root/)
    t.match(doctor.stdout, /WARN {2}the leases may be read by root alone/)
    t.match(doctor.stdout, /WARN {2}root's Podman can be asked by root alone/)
    t.match(doctor.stdout, /WARN {2}the gateway does not answer on \S+: permission denied/)
    t.match(doctor.stdout, /\d+ ok, \d+ warnings, 1 failure\n$/, 'not being root is the only one')
    t.equal(doctor.stderr, '')

    // Alone it need not tell a gateway, whether its gateway runs or not.
    await gateway.kill()
    const left = await m.exec(flatnet, 'leave')
    t.match(left, /^host 7 of \w+ has left/)
    t.notMatch(left, /--force|revoke/)
  },
)
