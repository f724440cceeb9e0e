/**
 * A machine on the LAN, or on another bridge of the host, sends as a container: its packets end before they are routed.
 */
import t from 'tap'
import { faultHost } from '../helpers/cni/fault.ts'
import { ask, attached, httpd } from '../helpers/cni/fault-servers.ts'
import { datagrams, dropped, macOf } from '../helpers/hostile/observe.ts'
import { sendFrames, udp } from '../helpers/hostile/raw-frames.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const PORT = { hostPort: 8080, containerPort: 80, protocol: 'tcp' }
/** Another bridge of the host, as Podman makes one, with a container on it. */
const OTHER = `ip link add other0 type bridge; ip addr add 10.88.0.1/24 dev other0; ip link set other0 up
  ip netns add other; ip link add v0 master other0 type veth peer name eth0 netns other; ip link set v0 up
  ip -n other addr add 10.88.0.2/24 dev eth0; ip -n other link set eth0 up
  ip -n other route add default via 10.88.0.1`

for (const executable of executables()) {
  t.test(`${executable.name}: from the LAN with a container's address`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    const { m } = host
    const lan = await m.neighbour()
    const a = await attached(host, 'a')
    const b = await attached(host, 'b')
    const got = await datagrams(m, 'a', 4_000)
    const way = { from: await macOf(m, 'eth0', 'lan'), to: await macOf(m, 'lan0') }
    const from = (source: string, text: string) => udp(way, source, a, 4_000, text)
    await m.exec('ip', '-n', 'lan', 'route', 'add', '10.100.0.0/16', 'via', lan.machineIp)
    for (const source of [b, a, '10.100.1.1', '10.100.2.10', '10.100.77.7'])
      await sendFrames(m, 'lan', [from(source, `as ${source}`)])
    await sendFrames(m, 'lan', [from(lan.ip, 'as myself')])
    await waitFor('an honest datagram arrives', 10_000, () => got().includes(`as myself from ${lan.ip}`))
    t.notMatch(got(), /as 10\./, 'and no other')
    t.equal(await dropped(m, 'foreign_source'), 5, 'each is counted')
    await m.exec('nft', 'flush', 'chain', 'inet', 'flatnet', 'foreign')
    await sendFrames(m, 'lan', [from(b, 'forged'), from(lan.ip, 'the end')])
    await waitFor('the last one arrives', 10_000, () => got().includes('the end'))
    t.match(got(), `forged from ${b}`, 'nothing else would have stopped it')
  })

  t.test(`${executable.name}: from another bridge of the host`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    const { m } = host
    const lan = await m.neighbour()
    const a = await attached(host, 'a', [PORT])
    const b = await attached(host, 'b')
    await httpd(m, 'a', 'a')
    await m.sh(OTHER)
    const got = await datagrams(m, 'a', 4_000)
    const way = { from: await macOf(m, 'eth0', 'other'), to: await macOf(m, 'other0') }
    await sendFrames(m, 'other', [udp(way, b, a, 4_000, 'forged'), udp(way, '10.88.0.2', a, 4_000, 'honest')])
    await waitFor('an honest datagram arrives', 10_000, () => got().includes('honest from 10.88.0.2'))
    t.notMatch(got(), /forged/)
    t.equal(await dropped(m, 'foreign_source'), 1)
    t.equal(await ask(m, 'other', a), 'a 10.88.0.2', 'networks of others reach containers')
    // A container on two networks answers by the default route that it got first, here the other network's.
    await m.sh(`ip link add v1 master other0 type veth peer name eth1 netns a; ip link set v1 up
      ip -n a addr add 10.88.0.3/24 dev eth1; ip -n a link set eth1 up
      ip -n a route replace default via 10.88.0.1 dev eth1`)
    t.equal(await ask(m, 'lan', `${lan.machineIp}:8080`), `a ${lan.ip}`, 'its published port is reached')
    t.equal(await ask(m, undefined, '127.0.0.1:8080'), 'a 10.100.1.1', 'by loopback as well')
    t.equal(await ask(m, 'b', `${lan.machineIp}:8080`), 'a 10.100.1.1', 'and by hairpin')
    t.equal(await dropped(m, 'foreign_source'), 1, 'nothing of it was dropped')
  })

  t.test(
    `${executable.name}: from the LAN, where its card is a port of a bridge`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      const { m } = host
      const lan = await m.neighbour()
      const a = await attached(host, 'a', [PORT])
      const b = await attached(host, 'b')
      await httpd(m, 'a', 'a')
      await m.sh(`ip link add br0 type bridge; ip addr del ${lan.machineIp}/30 dev lan0; ip link set lan0 master br0
      ip addr add ${lan.machineIp}/30 dev br0; ip link set br0 up
      ip -n lan route add 10.100.0.0/16 via ${lan.machineIp}`)
      const got = await datagrams(m, 'a', 4_000)
      const hostGot = await datagrams(m, undefined, 4_001)
      const way = { from: await macOf(m, 'eth0', 'lan'), to: await macOf(m, 'br0') }
      for (const source of [b, a, '10.100.1.1', '10.100.2.10'])
        await sendFrames(m, 'lan', [
          udp(way, source, a, 4_000, 'forged'),
          udp(way, source, lan.machineIp, 4_001, 'forged'),
        ])
      await sendFrames(m, 'lan', [
        udp(way, lan.ip, a, 4_000, 'honest'),
        udp(way, lan.ip, lan.machineIp, 4_001, 'honest'),
      ])
      for (const [who, log] of [
        ['a container', got],
        ['the host', hostGot],
      ] as const) {
        await waitFor(`an honest datagram reaches ${who}`, 10_000, () =>
          log().includes(`honest from ${lan.ip}`),
        )
        t.notMatch(log(), /forged/, `no forged one reaches ${who}`)
      }
      // The kernel itself drops what claims to come from an address of its own.
      t.equal(await dropped(m, 'foreign_source'), 6)
      t.equal(await ask(m, 'lan', `${lan.machineIp}:8080`), `a ${lan.ip}`, 'published ports are reached')
      t.equal(await ask(m, 'b', `${lan.machineIp}:8080`), 'a 10.100.1.1', 'also by a container')
    },
  )

  t.test(
    `${executable.name}: machines on another bridge among themselves`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      const { m } = host
      await attached(host, 'a')
      await m.sh(`${OTHER}; ip netns add third
      ip link add v2 master other0 type veth peer name eth0 netns third; ip link set v2 up
      ip -n third addr add 10.100.9.9/16 dev eth0; ip -n third link set eth0 up
      ip -n other addr add 10.100.9.8/16 dev eth0
      if [ -e /proc/sys/net/bridge ]; then echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi`)
      const got = await datagrams(m, 'other', 4_000)
      const way = { from: await macOf(m, 'eth0', 'third'), to: await macOf(m, 'eth0', 'other') }
      await sendFrames(m, 'third', [udp(way, '10.100.9.9', '10.100.9.8', 4_000, 'passed on')])
      await waitFor('what a bridge only passes on arrives', 10_000, () => got().includes('passed on'))
      t.equal(await dropped(m, 'foreign_source'), 0, 'virtual machines may be hosts of the same network')
    },
  )
}
