/**
 * Packets through what ADD made: containers, bridge, LAN, masquerade, and the way in that stays shut
 * (docs/architecture/plugin.md#kernel-objects).
 */
import t from 'tap'
import { faultHost } from '../helpers/cni/fault.ts'
import { ask, attached, httpd, pings } from '../helpers/cni/fault-servers.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { executables } from '../helpers/run/executable.ts'

for (const executable of executables()) {
  t.test(
    `${executable.name}: containers reach each other, the bridge and themselves`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      const { m } = host
      const a = await attached(host, 'a')
      const b = await attached(host, 'b')
      await httpd(m, 'b', 'b')
      t.equal(await ask(m, 'a', b), `b ${a}`, 'with its own address: no masquerade inside the flat network')
      t.equal(await ask(m, 'b', b), `b ${b}`, 'itself')
      t.equal(await ask(m, undefined, b), 'b 10.100.1.1', 'the host comes by the bridge address')
      t.ok(await pings(m, 'a', '10.100.1.1'))
      t.ok(await pings(m, 'a', '127.0.0.1'), 'lo is up')
    },
  )

  t.test(
    `${executable.name}: the LAN sees the host's address with ipMasq, the container's own without`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      const { m } = host
      const lan = await m.neighbour()
      await httpd(m, 'lan', 'lan')
      await attached(host, 'a')
      t.equal(await ask(m, 'a', lan.ip), `lan ${lan.machineIp}`)
      const ipam = { type: 'flatnet', hostId: 1, supernet: '10.101.0.0/16' }
      const b = await attached(host, 'b', [], { name: 'plain', bridge: 'plain0', ipMasq: false, ipam })
      t.equal(await ask(m, 'b', lan.ip), 'no answer', 'the LAN knows no way back')
      await m.exec('ip', '-n', 'lan', 'route', 'add', '10.101.0.0/16', 'via', lan.machineIp)
      t.equal(await ask(m, 'b', lan.ip), `lan ${b}`)
    },
  )

  t.test(`${executable.name}: no container speaks to the host's loopback`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    const { m } = host
    await attached(host, 'a', [], { hostAccess: true })
    await httpd(m, 'host', undefined, 8081)
    t.equal(await ask(m, undefined, '127.0.0.1:8081'), 'host 127.0.0.1', 'it is there')
    t.equal(await ask(m, 'a', '10.100.1.1:8081'), 'host 10.100.1.10', 'and reached by the bridge address')
    // route_localnet is on for the bridge: only the guard chain stands between.
    await m.sh(`ip netns exec a sh -c 'echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet'
      ip -n a route del table local 127.0.0.0/8; ip -n a route del table local 127.0.0.1
      ip -n a route del table local 127.255.255.255; ip -n a route add 127.0.0.0/8 via 10.100.1.1 dev eth0 onlink`)
    t.equal(await ask(m, 'a', '127.0.0.1:8081'), 'no answer')
    await m.sh('nft flush chain inet flatnet guard')
    t.equal(await ask(m, 'a', '127.0.0.1:8081'), 'host 10.100.1.10', 'nothing else would have stopped it')
  })
}
