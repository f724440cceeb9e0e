/** CHECK notices every part of an attachment that is broken by hand, and nothing else. */
import t from 'tap'
import { type CniHost, cniHost, needsRoot } from '../helpers/cni/cni.ts'
import { errorProblems } from '../helpers/cni/cni-result.ts'
import { executables } from '../helpers/run/executable.ts'

interface Break {
  readonly name: string
  /** Shell commands; $HOSTIF is the host end of the veth. */
  readonly script: string
  readonly says: RegExp
}

const BREAKS: readonly Break[] = [
  { name: 'the interface is gone', script: 'ip -n c1 link del eth0', says: /eth0/ },
  { name: 'the interface is down', script: 'ip -n c1 link set eth0 down', says: /eth0/ },
  { name: 'the address is gone', script: 'ip -n c1 addr flush dev eth0', says: /10\.100\.1\.\d+/ },
  { name: 'the default route is gone', script: 'ip -n c1 route del default', says: /0\.0\.0\.0\/0|default/ },
  { name: 'the host end left the bridge', script: 'ip link set $HOSTIF nomaster', says: /flatnet0/ },
  { name: 'the bridge is gone', script: 'ip link del flatnet0', says: /flatnet0/ },
  { name: 'the bridge lost its address', script: 'ip addr flush dev flatnet0', says: /10\.100\.1\.1/ },
  { name: 'the published port is gone', script: 'nft flush map inet flatnet ports_any', says: /8080/ },
  { name: 'the whole table is gone', script: 'nft delete table inet flatnet', says: /nftables/ },
  {
    name: 'forwarding was switched off',
    script: 'sysctl -qw net.ipv4.ip_forward=0',
    says: /sysctl net\.ipv4\.ip_forward is 0, not 1 .*sysctl -w net\.ipv4\.ip_forward=1/,
  },
  {
    name: "the bridge's reverse path filter became strict",
    script: 'sysctl -qw net.ipv4.conf.flatnet0.rp_filter=1 net.ipv4.conf.all.rp_filter=0',
    says: /net\.ipv4\.conf\.flatnet0\.rp_filter is 1, not 2/,
  },
  {
    name: 'all reverse path filters became strict, after ours was taken away',
    script: 'sysctl -qw net.ipv4.conf.flatnet0.rp_filter=0 net.ipv4.conf.all.rp_filter=1',
    says: /net\.ipv4\.conf\.flatnet0\.rp_filter is 1, not 2/,
  },
  {
    name: 'ports are no longer reached from the loopback',
    script: 'sysctl -qw net.ipv4.conf.flatnet0.route_localnet=0',
    says: /net\.ipv4\.conf\.flatnet0\.route_localnet is 0, not 1/,
  },
  { name: 'the lease is gone', script: 'rm -r $DATA/ipam', says: /lease/ },
]

/** Done by other plugins or by the machine: none of our business (docs/architecture/cni.md#k3, #k6). */
const HARMLESS: readonly Omit<Break, 'says'>[] = [
  { name: 'udev gave the host end another MAC', script: 'ip link set $HOSTIF address 02:00:00:00:00:99' },
  { name: 'a route was added', script: 'ip -n c1 route add 192.168.77.0/24 via 10.100.1.1' },
  { name: 'an address was added', script: 'ip -n c1 addr add 192.168.78.1/24 dev eth0' },
  { name: 'all reverse path filters are loose', script: 'sysctl -qw net.ipv4.conf.all.rp_filter=2' },
  {
    name: 'there is no reverse path filter at all',
    script: 'sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.flatnet0.rp_filter=0',
  },
  {
    name: 'the container has its own filter',
    script: 'ip netns exec c1 sysctl -qw net.ipv4.conf.eth0.rp_filter=1',
  },
  { name: 'another interface came', script: 'ip -n c1 link add extra type veth' },
]

const RUNTIME = { runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] } }

async function hostIfname(host: CniHost): Promise<string> {
  const links: { ifname: string }[] = await host.m.json('ip', '-j', 'link')
  return links.find(({ ifname }) => ifname.startsWith('fn'))?.ifname ?? ''
}

for (const executable of executables()) {
  t.test(executable.name, { skip: needsRoot }, async (t) => {
    const host = await cniHost(t, executable)

    async function attach(): Promise<Record<string, unknown>> {
      await host.m.run(['ip', 'netns', 'del', 'c1']) // of a case that failed half-way
      await host.container('c1')
      return { ...RUNTIME, prevResult: await host.ok('ADD', { conf: RUNTIME }) }
    }
    async function detach(): Promise<void> {
      await host.ok('DEL')
      await host.m.run(['ip', 'netns', 'del', 'c1'])
    }
    async function run(script: string): Promise<void> {
      await host.m.sh(`HOSTIF=${await hostIfname(host)} DATA=${host.dataDir}; ${script}`)
    }

    for (const { name, script, says } of BREAKS) {
      t.test(`notices that ${name}`, async (t) => {
        const conf = await attach()
        t.equal((await host.call('CHECK', { conf })).rc, 0, 'sound before')
        await run(script)
        const reply = await host.call('CHECK', { conf })
        t.equal(reply.rc, 1)
        t.match(`${reply.json?.msg} ${reply.json?.details}`, says)
        t.strictSame(errorProblems(reply.json, reply.json?.code), [])
        await detach()
        t.strictSame(await host.leftovers(), [], 'DEL cleans up all the same')
        await host.m.run(['ip', 'link', 'del', 'flatnet0'])
      })
    }

    for (const { name, script } of HARMLESS) {
      t.test(`does not mind that ${name}`, async (t) => {
        const conf = await attach()
        await run(script)
        const reply = await host.call('CHECK', { conf })
        t.equal(reply.rc, 0, reply.stdout)
        await detach()
      })
    }

    t.test('does not ask for what ADD could not set: /proc/sys is read-only', async (t) => {
      await host.m.sh(
        'ip link del flatnet0; ip link add flatnet0 type bridge; sysctl -qw net.ipv4.conf.flatnet0.rp_filter=0',
      )
      await host.m.sh('mount --rbind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys')
      const conf = await attach()
      t.equal((await host.m.exec('cat', '/proc/sys/net/ipv4/conf/flatnet0/route_localnet')).trim(), '0')
      const reply = await host.call('CHECK', { conf })
      t.equal(reply.rc, 0, reply.stdout)
      await detach()
      await host.m.sh('umount -l /proc/sys; ip link del flatnet0')
    })

    t.test('a prevResult with interfaces of other plugins', async (t) => {
      const conf = await attach()
      const prevResult = conf['prevResult'] as { interfaces: unknown[] }
      prevResult.interfaces.push({ name: 'other0', mac: '02:00:00:00:00:01', sandbox: '/run/netns/c1' })
      const reply = await host.call('CHECK', { conf })
      t.equal(reply.rc, 0, reply.stdout)
      await detach()
    })
  })
}
