/** Each key of the plugin's configuration, seen in the kernel: what it does, and what its absence means. */
import t from 'tap'
import { cniHost, needsRoot } from '../helpers/cni/cni.ts'
import { resultProblems } from '../helpers/cni/cni-result.ts'
import { publishedPorts } from '../helpers/kernel/leftovers.ts'
import { netnsProgram } from '../helpers/kernel/netns-programs.ts'
import { executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

for (const executable of executables()) {
  t.test(executable.name, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable)
    const lan = await host.m.neighbour()
    await host.container('c1')

    /** One attachment with these keys; `look` sees it, then it is deleted with its bridge. */
    async function attached<T>(
      conf: Record<string, unknown>,
      look: (result: Awaited<ReturnType<typeof host.ok>>) => Promise<T>,
    ) {
      const result = await host.ok('ADD', { conf })
      t.strictSame(resultProblems(result, host.version), [])
      const seen = await look(result)
      await host.ok('CHECK', { conf: { ...conf, prevResult: result } })
      await host.ok('DEL', { conf })
      t.strictSame(await host.leftovers(), [])
      await host.m.run(['ip', 'link', 'del', String(conf['bridge'] ?? 'flatnet0')])
      return seen
    }
    const eth0 = async () => (await host.m.json('ip', '-n', 'c1', '-j', '-d', 'addr', 'show', 'eth0'))[0]
    const routes = () => host.m.json('ip', '-n', 'c1', '-j', 'route', 'show')

    t.test('mtu, on both ends and the bridge, and in the result', async (t) => {
      await attached({ mtu: 1400 }, async (result) => {
        t.equal((await eth0()).mtu, 1400)
        const outer = await host.m.json('ip', '-j', 'link')
        for (const { ifname, mtu } of outer) if (/^(fn|flatnet)/.test(ifname)) t.equal(mtu, 1400, ifname)
        for (const { name, mtu } of result.interfaces) t.equal(mtu, 1400, name)
      })
    })
    t.test('mtu 0: that of the way out', async (t) => {
      await host.m.sh(`ip link set lan0 mtu 1380; ip route add default via ${lan.ip}`)
      await attached({}, async () => t.equal((await eth0()).mtu, 1380))
      await host.m.sh('ip route del default; ip link set lan0 mtu 1500')
    })
    t.test('the bridge keeps its MAC while containers come and go', async (t) => {
      const mac = async () => (await host.m.json('ip', '-j', 'link', 'show', 'flatnet0'))[0].address
      const first = (await host.ok('ADD')) && (await mac())
      await host.container('c9')
      await host.ok('ADD', { containerId: 'c9' })
      t.equal(await mac(), first)
      await host.ok('DEL')
      await host.ok('DEL', { containerId: 'c9' })
      t.equal(await mac(), first)
    })
    t.test('isDefaultGateway false: only the flat network is reached', async (t) => {
      await attached({ isDefaultGateway: false }, async (result) => {
        t.strictSame(
          (await routes()).map(({ dst }: { dst: string }) => dst),
          ['10.100.0.0/16', '10.100.1.0/24'],
        )
        t.strictSame(
          (result.routes ?? []).filter(({ dst }: { dst: string }) => dst === '0.0.0.0/0'),
          [],
        )
      })
    })
    t.test('ipam.routes', async (t) => {
      const extra = [{ dst: '172.30.0.0/16' }, { dst: '172.31.0.0/16', gw: '10.100.1.7' }]
      const ipam = { type: 'flatnet', hostId: 1, routes: extra }
      await attached({ ipam }, async (result) => {
        t.match(await routes(), [{}, {}, {}, {}])
        const by = new Map((await routes()).map((r: { dst: string; gateway?: string }) => [r.dst, r.gateway]))
        t.equal(by.get('172.30.0.0/16'), '10.100.1.1', 'without gw: by the bridge')
        t.equal(by.get('172.31.0.0/16'), '10.100.1.7')
        t.equal(by.get('default'), '10.100.1.1')
        t.equal(result.routes.length, 3)
      })
    })
    t.test('hairpinMode', async (t) => {
      const hairpin = async () => {
        const [port] = await host.m.json('ip', '-j', '-d', 'link', 'show', 'master', 'flatnet0')
        return port.linkinfo.info_slave_data.hairpin
      }
      t.equal(await attached({}, hairpin), true)
      t.equal(await attached({ hairpinMode: false }, hairpin), false)
    })
    t.test('ipMasq', async (t) => {
      const server = await host.m.start(['ip', 'netns', 'exec', lan.name, ...netnsProgram('serve', '80')])
      await waitFor('the server on the LAN listens', 10_000, () => server.log().includes('listening'))
      await host.m.sh(`ip -n ${lan.name} route add 10.100.0.0/16 via ${lan.machineIp}`)
      const from = async () => {
        const ran = await host.m.run([
          'ip',
          'netns',
          'exec',
          'c1',
          ...netnsProgram('http', `http://${lan.ip}/`),
        ])
        return JSON.parse(JSON.parse(ran.stdout).body).from
      }
      t.equal(await attached({}, from), lan.machineIp, 'on: the LAN sees the host')
      const own = await attached({ ipMasq: false }, async (result) => [await from(), result.ips[0].address])
      t.equal(`${own[0]}/24`, own[1], 'off: the LAN sees the container')
    })
    t.test('another supernet and size of slices', async (t) => {
      const ipam = { type: 'flatnet', hostId: 3, supernet: '172.20.0.0/16', hostPrefix: 26, firstOffset: 4 }
      await attached({ ipam }, async (result) => {
        t.match(result.ips, [{ address: '172.20.0.196/26', gateway: '172.20.0.193' }])
      })
    })
    t.test('bridge: another name', async (t) => {
      await attached({ bridge: 'mine0' }, async (result) => {
        t.equal(result.interfaces[0].name, 'mine0')
        t.equal((await host.m.json('ip', '-j', 'link', 'show', 'master', 'mine0')).length, 1)
      })
    })
    t.test('published ports of all three protocols, in any case, with and without an address', async (t) => {
      const portMappings = [
        { hostPort: 1000, containerPort: 10, protocol: 'tcp' },
        { hostPort: 1000, containerPort: 10, protocol: 'UDP' },
        { hostPort: 1000, containerPort: 10, protocol: 'sctp', hostIP: '0.0.0.0' },
        { hostPort: 1001, containerPort: 11, protocol: 'tcp', hostIP: '127.0.0.1' },
        { hostPort: 1001, containerPort: 11, protocol: 'tcp', hostIP: '198.51.100.1' },
        { hostPort: 1000, containerPort: 10, protocol: 'tcp' },
      ]
      await attached({ runtimeConfig: { portMappings } }, async () => {
        const published = (await publishedPorts(host.m)).sort()
        t.equal(published.length, 5, 'the same mapping twice is one')
        t.equal(published.filter((line) => line.startsWith('ports_any')).length, 3)
        t.match(published.join('\n'), /sctp/)
      })
    })
    t.test('a container cannot reach the loopback of the host, whatever it sets itself', async (t) => {
      const server = await host.m.start(netnsProgram('serve', '7777'))
      await waitFor('the server of the host listens', 10_000, () => server.log().includes('listening'))
      const portMappings = [{ hostPort: 8081, containerPort: 80, protocol: 'tcp', hostIP: '127.0.0.1' }]
      await attached({ runtimeConfig: { portMappings } }, async () => {
        await host.m.sh(`ip netns exec c1 sysctl -qw net.ipv4.conf.all.route_localnet=1 net.ipv4.conf.eth0.route_localnet=1
          ip -n c1 addr del 127.0.0.1/8 dev lo
          ip -n c1 route add 127.0.0.1/32 via 10.100.1.1 dev eth0`)
        const ran = await host.m.run([
          'ip',
          'netns',
          'exec',
          'c1',
          'timeout',
          '3',
          ...netnsProgram('http', 'http://127.0.0.1:7777/'),
        ])
        t.notMatch(ran.stdout, '"status":200')
        await host.m.sh('ip -n c1 route del 127.0.0.1/32; ip -n c1 addr add 127.0.0.1/8 dev lo')
      })
    })
  })
}
