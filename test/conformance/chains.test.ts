/** One plugin among Debian's in a conflist, before them and behind them, under real libcni. */
import t from 'tap'
import { cniHost, debianPluginsMissing, needsRoot } from '../helpers/cni/cni.ts'
import { resultProblems } from '../helpers/cni/cni-result.ts'
import { cnitool, cnitoolMissing, runTool, writeList } from '../helpers/cni/cnitool.ts'
import { executables } from '../helpers/run/executable.ts'

const version = '1.0.0' // the newest that Debian 12's plugins speak
const checks = cnitool() !== undefined
const plugins = ['portmap', 'firewall', 'tuning', 'bandwidth', 'loopback', 'bridge']
const skip = needsRoot || cnitoolMissing() || debianPluginsMissing(...plugins)

for (const executable of executables()) {
  t.test(`${executable.name} in front of portmap, firewall, tuning and bandwidth`, { skip }, async (t) => {
    const host = await cniHost(t, executable, version)
    await host.container('c1')
    const lan = await host.m.neighbour()
    const { cniVersion: _, name: __, ...entry } = host.conf()
    writeList(host, 'chain', [
      // A later plugin that changes the MAC needs it off.
      { ...entry, antiSpoof: false, capabilities: { ips: true, mac: true, aliases: true } },
      { type: 'portmap', capabilities: { portMappings: true }, snat: true },
      { type: 'firewall', backend: 'iptables' },
      { type: 'tuning', sysctl: { 'net.core.somaxconn': '500' }, mac: '02:00:00:00:00:aa' },
      { type: 'bandwidth', ingressRate: 80_000_000, ingressBurst: 8_000_000 },
    ])
    const capabilities = { portMappings: [{ hostPort: 8088, containerPort: 80, protocol: 'tcp' }] }
    const { rc, json, stderr, stdout } = await runTool(host, 'add', 'chain', { capabilities })
    t.equal(rc, 0, stderr + stdout)
    t.strictSame(resultProblems(json, version), [])
    t.strictSame(
      json.ips.map(({ address }: { address: string }) => address),
      ['10.100.1.10/24'],
    )
    const server = ['ip', 'netns', 'exec', 'c1', 'busybox', 'nc', '-ll', '-p', '80', '-e', 'echo', 'served']
    await host.m.start(server)

    t.test("Debian's portmap forwards to our address", async (t) => {
      const got = await lan.run([
        'sh',
        '-c',
        `for i in 1 2 3 4 5 6 7 8 9 10; do busybox nc -w 1 ${lan.machineIp} 8088 </dev/null && break; done`,
      ])
      t.match(got.stdout, 'served')
    })
    t.test("our CHECK lives with tuning's MAC", async (t) => {
      const [eth0] = await host.m.json('ip', '-n', 'c1', '-j', 'link', 'show', 'eth0')
      t.equal(eth0.address, '02:00:00:00:00:aa')
      const [lease] = host.leases('chain')
      const checked = await host.call('CHECK', {
        ...(lease && { containerId: lease.containerId, netns: '/run/netns/c1' }),
        conf: { name: 'chain', antiSpoof: false, prevResult: json },
      })
      t.equal(checked.rc, 0, checked.stdout)
    })
    t.test('the whole chain is taken down', async (t) => {
      const done = await runTool(host, 'del', 'chain', { capabilities })
      t.equal(done.rc, 0, done.stderr + done.stdout)
      t.strictSame(await host.leftovers(), [])
    })
  })

  t.test(`${executable.name} behind loopback`, { skip }, async (t) => {
    const host = await cniHost(t, executable, version)
    await host.container('c1')
    const { cniVersion: _, name: __, ...entry } = host.conf()
    writeList(host, 'chain', [{ type: 'loopback' }, entry])
    const { rc, json, stderr, stdout } = await runTool(host, 'add', 'chain')
    t.equal(rc, 0, stderr + stdout)
    t.test("loopback's part is in the result, and each address points to its interface", async (t) => {
      const names = json.interfaces.map(({ name }: { name: string }) => name)
      t.equal(names[0], 'lo')
      t.ok(names.includes('eth0') && names.includes('flatnet0'))
      const owners = json.ips.map(({ address, interface: i }: { address: string; interface: number }) => [
        address,
        names[i],
      ])
      t.ok(owners.some(([address, name]: [string, string]) => address === '127.0.0.1/8' && name === 'lo'))
      t.ok(
        owners.some(([address, name]: [string, string]) => address === '10.100.1.10/24' && name === 'eth0'),
      )
    })
    t.test('check and del', { skip: !checks }, async (t) => {
      const [lease] = host.leases('chain')
      const checked = await host.call('CHECK', {
        ...(lease && { containerId: lease.containerId, netns: '/run/netns/c1' }),
        conf: { name: 'chain', prevResult: json },
      })
      t.equal(checked.rc, 0, checked.stdout)
      t.equal((await runTool(host, 'del', 'chain')).rc, 0)
      t.strictSame(await host.leftovers(), [])
    })
  })

  t.test(`${executable.name} behind a plugin that has made the interface`, { skip }, async (t) => {
    const host = await cniHost(t, executable, version)
    await host.container('c1')
    const { cniVersion: _, name: __, ...entry } = host.conf()
    const hostLocal = { type: 'host-local', ranges: [[{ subnet: '10.44.0.0/24' }]] }
    writeList(host, 'chain', [{ type: 'bridge', bridge: 'deb0', ipam: hostLocal }, entry])
    const { rc, stderr, stdout } = await runTool(host, 'add', 'chain')
    t.equal(rc, 1)
    t.match(stderr + stdout, /eth0.*exists|exists.*eth0/, 'says that eth0 exists (SPEC ADD)')
    t.strictSame(await host.leftovers(), [])
  })
}
