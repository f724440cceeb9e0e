/**
 * Hosts as they are in the field: what is in the way is told and left as it was (docs/architecture/cni.md#p19,
 * #p20, #p23).
 */
import t, { type Test } from 'tap'
import type { Call, CniHost } from '../helpers/cni/cni.ts'
import { errorProblems } from '../helpers/cni/cni-result.ts'
import { faultHost, litter, standing } from '../helpers/cni/fault.ts'
import { NOBODY } from '../helpers/cni/fault-kill.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { executables } from '../helpers/run/executable.ts'

async function refused(t: Test, host: CniHost, code: number, msg: RegExp, call: Call = {}): Promise<void> {
  const before = await host.m.exec('ip', '-o', 'addr')
  const reply = await host.call('ADD', call)
  t.same(errorProblems(reply.json, code, '1.1.0'), [])
  t.match(`${reply.json?.msg} ${reply.json?.details ?? ''}`, msg)
  t.same(await standing(host), NOBODY, 'nothing is left')
  t.same(litter(host), [])
  const still = (text: string) => text.replaceAll(/valid_lft.*/g, '')
  t.equal(still(await host.m.exec('ip', '-o', 'addr')), still(before), 'and what was there is as it was')
}

for (const executable of executables()) {
  t.test(
    `${executable.name}: the bridge's name is taken by something else`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      await host.m.exec('ip', 'link', 'add', 'flatnet0', 'type', 'veth', 'peer', 'name', 'other')
      await refused(
        t,
        host,
        7,
        /bridge is "flatnet0": an interface of that name exists and is veth; choose another/,
      )
      t.match(await host.m.json('ip', '-j', '-d', 'link', 'show', 'flatnet0'), [
        { linkinfo: { info_kind: 'veth' } },
      ])
      await host.ok('ADD', { conf: { bridge: 'flatnet1' } })
    },
  )

  t.test(`${executable.name}: a bridge of that name with another address`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    await host.container('c1')
    await host.m.sh(
      'ip link add flatnet0 type bridge; ip addr add 10.88.0.1/16 dev flatnet0; ip link set flatnet0 up',
    )
    await refused(
      t,
      host,
      7,
      /bridge flatnet0 has the address 10\.88\.0\.1\/16, not 10\.100\.1\.1\/24: .*ip link del/,
    )
    await host.m.sh('ip addr del 10.88.0.1/16 dev flatnet0')
    await host.ok('ADD')
    t.match(
      await host.m.exec('ip', '-o', '-4', 'addr', 'show', 'flatnet0'),
      /10\.100\.1\.1\/24/,
      'an empty bridge is taken',
    )
  })

  t.test(`${executable.name}: the host gets another number`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    await host.container('c1')
    await host.container('c2')
    const second = { ipam: { type: 'flatnet', hostId: 2, supernet: '10.100.0.0/16' } }
    await host.ok('ADD')
    t.match(await host.call('ADD', { containerId: 'c2', conf: second }), {
      json: { code: 7, msg: /bridge flatnet0 has the address 10\.100\.1\.1\/24/ },
    })
    await host.ok('DEL')
    await host.ok('STATUS', { conf: second })
    await host.ok('ADD', { containerId: 'c2', conf: second })
    const [bridge] = await host.m.json('ip', '-j', 'addr', 'show', 'flatnet0')
    t.match(bridge, { address: '0a:64:0a:64:02:01', operstate: 'UP' }, 'the idle bridge made way')
    t.match(bridge.addr_info, [{ local: '10.100.2.1', prefixlen: 24 }])
    t.match(
      await host.m.exec('ip', 'netns', 'exec', 'c2', 'busybox', 'ping', '-c1', '-W2', '10.100.2.1'),
      / 0% packet loss/,
    )
  })

  t.test(
    `${executable.name}: two networks of one host with the same slice`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      await host.container('c2')
      await host.ok('ADD')
      const other = { containerId: 'c2', conf: { name: 'other', bridge: 'other0' } }
      const reply = await host.call('ADD', other)
      t.match(reply.json, {
        code: 7,
        msg: /network other has the slice 10\.100\.1\.0\/24, and network flatnet of this host holds addresses of it/,
      })
      t.equal((await host.m.run(['ip', 'link', 'show', 'other0'])).rc, 1, 'its bridge was not made')
      await host.ok('DEL', { ...other })
      await host.ok('DEL')
      await host.m.exec('ip', 'link', 'del', 'flatnet0')
      await host.ok('ADD', other)
      t.pass('a network that nobody uses any more makes way')
    },
  )

  t.test(
    `${executable.name}: /proc/sys is read-only (docs/architecture/cni.md#p19)`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      // As systemd's ProtectKernelTunables does it; the namespace of a container shows by the same mount.
      await host.m.sh(
        'echo 0 >/proc/sys/net/ipv4/ip_forward; mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys',
      )
      await refused(t, host, 103, /sysctl net\.ipv4\.ip_forward is 0 and cannot be set to 1.*EROFS/)
      await host.m.sh(`umount /proc/sys; echo 1 >/proc/sys/net/ipv4/ip_forward
      echo 2 >/proc/sys/net/ipv4/conf/default/rp_filter; echo 1 >/proc/sys/net/ipv4/conf/default/route_localnet
      ip netns exec c1 sh -c 'echo 2 >/proc/sys/net/ipv4/conf/default/rp_filter; echo 1 >/proc/sys/net/ipv4/conf/default/arp_notify'
      mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys`)
      await host.ok('ADD')
      t.pass('right values need no writing')
    },
  )

  t.test(
    `${executable.name}: a host without IPv6 (docs/architecture/cni.md#p19)`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await host.container('c1')
      const off = 'for c in all default; do echo 1 >/proc/sys/net/ipv6/conf/$c/disable_ipv6; done'
      await host.m.sh(`${off}; ip netns exec c1 sh -c '${off}'`)
      await host.ok('ADD')
      t.equal(
        (await host.m.run(['ip', 'netns', 'exec', 'c1', 'busybox', 'ping', '-c1', '-W2', '10.100.1.1'])).rc,
        0,
      )
      await host.ok('DEL')
      t.same(await standing(host), NOBODY)
    },
  )

  t.test(`${executable.name}: tables of others stay as they are`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    await host.container('c1')
    await host.m.sh(`nft -f - <<'X'
table inet firewalld { chain filter_FORWARD { type filter hook forward priority 10; policy accept; ct state established accept; }
  set s { type ipv4_addr; elements = { 10.100.1.10 }; }; }
table ip nat { chain PREROUTING { type nat hook prerouting priority -100; policy accept; }; }
X`)
    const foreign = async () =>
      (await host.m.exec('nft', 'list', 'ruleset')).replaceAll(
        /table (inet|bridge) flatnet \{[\s\S]*?\n\}\n/g,
        '',
      )
    const before = await foreign()
    await host.ok('ADD', {
      conf: { runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80 }] } },
    })
    t.equal(await foreign(), before)
    await host.ok('DEL')
    t.equal(await foreign(), before)
  })
}
