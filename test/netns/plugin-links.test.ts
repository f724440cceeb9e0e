/**
 * What ADD makes, read back by `ip` and `bridge`; and that DEL takes all of it away
 * (docs/architecture/plugin.md#kernel-objects; docs/architecture/cni.md#a7, #p14 to #p19).
 */
import t from 'tap'
import type { CniHost } from '../helpers/cni/cni.ts'
import { faultHost, standing } from '../helpers/cni/fault.ts'
import { NOBODY } from '../helpers/cni/fault-kill.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { executables } from '../helpers/run/executable.ts'

interface IpLink {
  readonly ifname: string
  readonly address: string
  readonly mtu: number
  readonly operstate: string
  readonly master?: string
  readonly ifalias?: string
  readonly addr_info: readonly { family: string; local: string; prefixlen: number; scope: string }[]
}

const inside = (host: CniHost, ...argv: string[]) => host.m.json('ip', '-n', 'c1', '-j', ...argv)
const link = async (host: CniHost, name: string): Promise<IpLink> =>
  (await host.m.json('ip', '-j', 'addr', 'show', name))[0]
const own = async (host: CniHost, name = 'eth0'): Promise<IpLink> =>
  (await inside(host, 'addr', 'show', name))[0]
const sysctl = async (host: CniHost, path: string, ...prefix: string[]) =>
  (await host.m.exec(...prefix, 'cat', `/proc/sys/net/ipv4/${path}`)).trim()

/** Host end of the only container. */
async function port(host: CniHost): Promise<IpLink> {
  const links: IpLink[] = await host.m.json('ip', '-j', 'link')
  const found = links.find(({ ifname }) => /^fn[0-9a-f]{10}$/.test(ifname))
  if (found === undefined) throw new Error('no host end')
  return found
}

for (const executable of executables()) {
  t.test(`${executable.name}: a container as it should be`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    await host.container('c1')
    await host.ok('ADD')
    const eth0 = await own(host)
    t.match(eth0, { address: '0a:64:0a:64:01:0a', mtu: 1500, operstate: 'UP' }, 'MAC from the address')
    t.match(
      eth0.addr_info.find(({ family }) => family === 'inet'),
      { local: '10.100.1.10', prefixlen: 24 },
    )
    t.match((await own(host, 'lo')).addr_info, [{ local: '127.0.0.1' }], 'lo is up')
    t.match(await inside(host, 'route', 'show', 'default'), [{ gateway: '10.100.1.1', dev: 'eth0' }])
    const fn = await port(host)
    t.match(fn, { master: 'flatnet0', mtu: 1500, operstate: 'UP', address: 'fe:64:0a:64:01:0a' })
    t.equal(fn.ifalias, 'flatnet flatnet c1 eth0 10.100.1.10/24')
    const [detail] = await host.m.json('bridge', '-j', '-d', 'link', 'show', 'dev', fn.ifname)
    t.match(detail, { hairpin: true, state: 'forwarding' })
    const bridge = await link(host, 'flatnet0')
    t.match(bridge, { address: '0a:64:0a:64:01:01', mtu: 1500 })
    t.match(
      bridge.addr_info.filter(({ family }) => family === 'inet'),
      [{ local: '10.100.1.1', prefixlen: 24 }],
    )
    // NET_ADDR_SET: udev's MACAddressPolicy leaves such an address alone (docs/architecture/cni.md#p17).
    for (const name of ['flatnet0', fn.ifname])
      t.equal((await host.m.exec('cat', `/sys/class/net/${name}/addr_assign_type`)).trim(), '3', name)
  })

  t.test(
    `${executable.name}: the sysctls that routing and publishing need`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      await host.ok('ADD')
      t.equal(await sysctl(host, 'ip_forward'), '1')
      t.equal(await sysctl(host, 'conf/flatnet0/rp_filter'), '2')
      t.equal(await sysctl(host, 'conf/flatnet0/route_localnet'), '1')
      const there = ['ip', 'netns', 'exec', 'c1']
      t.equal(await sysctl(host, 'conf/eth0/rp_filter', ...there), '2')
      t.equal(await sysctl(host, 'conf/eth0/arp_notify', ...there), '1')
    },
  )

  t.test(
    `${executable.name}: the bridge keeps its MAC while containers come and go (docs/architecture/cni.md#p16)`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      await host.container('c2')
      await host.ok('ADD', { conf: { runtimeConfig: { mac: '02:00:00:00:00:01' } } })
      t.equal((await own(host)).address, '02:00:00:00:00:01', 'a MAC that was asked for wins')
      await host.ok('ADD', { containerId: 'c2' })
      t.equal((await link(host, 'flatnet0')).address, '0a:64:0a:64:01:01')
      await host.ok('DEL')
      t.equal((await link(host, 'flatnet0')).address, '0a:64:0a:64:01:01')
      await host.ok('DEL', { containerId: 'c2' })
      t.same(await standing(host), NOBODY)
    },
  )

  t.test(
    `${executable.name}: MTU by configuration, from the uplink, or 1500 (docs/architecture/cni.md#p14)`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      const mtus = async (mtu?: number) => {
        await host.m.run(['ip', 'link', 'del', 'flatnet0'])
        const result = await host.ok('ADD', { conf: { ...(mtu !== undefined && { mtu }) } })
        const seen = [(await own(host)).mtu, (await port(host)).mtu, (await link(host, 'flatnet0')).mtu]
        t.same(
          result.interfaces.map((i: { mtu: number }) => i.mtu).sort(),
          [...seen].sort(),
          'and the result says so',
        )
        await host.ok('DEL')
        return seen
      }
      t.same(await mtus(), [1500, 1500, 1500], 'no way out')
      t.same(await mtus(9000), [9000, 9000, 9000])
      await host.m.neighbour()
      await host.m.sh('ip link set lan0 mtu 1400; ip route add default via 198.51.100.2')
      t.same(await mtus(), [1400, 1400, 1400], 'as the uplink')
      await host.m.sh('ip route del default; ip route add default dev lo')
      t.same(await mtus(), [1500, 1500, 1500], 'loopback is no uplink')
    },
  )

  t.test(`${executable.name}: routes by configuration`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    await host.container('c1')
    const routes = [
      { dst: '192.168.7.0/24', gw: '10.100.1.2', mtu: 1300, priority: 77 },
      { dst: '192.168.8.0/24' },
    ]
    const ipam = { type: 'flatnet', hostId: 1, supernet: '10.100.0.0/16', routes }
    const result = await host.ok('ADD', { conf: { isDefaultGateway: false, ipam } })
    t.same(await inside(host, 'route', 'show', 'default'), [], 'no default route')
    t.match(
      await inside(host, 'route', 'show', '10.100.0.0/16'),
      [{ gateway: '10.100.1.1' }],
      'but the flat network',
    )
    const [one] = await inside(host, 'route', 'show', '192.168.7.0/24')
    t.match(one, { gateway: '10.100.1.2', metric: 77, metrics: [{ mtu: 1300 }] })
    t.match(await inside(host, 'route', 'show', '192.168.8.0/24'), [{ gateway: '10.100.1.1' }])
    t.equal(result.routes.length, 3)
  })

  t.test(
    `${executable.name}: the same container twice (docs/architecture/cni.md#a6), and hairpin off`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      await host.ok('ADD')
      await host.ok('ADD', { ifname: 'eth1', conf: { hairpinMode: false } })
      const [a, b] = [await own(host), await own(host, 'eth1')]
      t.not(a.address, b.address)
      const routes: { dev: string }[] = await inside(host, 'route', 'show', 'default')
      t.equal(routes[0]?.dev, 'eth0', 'the first interface stays the way out')
      const links: { hairpin: boolean }[] = await host.m.json('bridge', '-j', '-d', 'link')
      t.same(links.map(({ hairpin }) => hairpin).sort(), [false, true])
      t.equal((await host.call('ADD', { ifname: 'eth1' })).rc, 1, 'a name that is taken')
      await host.ok('DEL', { ifname: 'eth1' })
      t.equal((await own(host)).operstate, 'UP', 'eth0 stays')
      await host.ok('DEL')
      t.same(await standing(host), NOBODY)
      t.same(await inside(host, 'link').then((all: IpLink[]) => all.map(({ ifname }) => ifname)), ['lo'])
    },
  )
}
