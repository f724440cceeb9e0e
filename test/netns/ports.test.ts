/**
 * Published ports on the real kernel: who reaches them from where, whose they are, and that they go
 * (docs/architecture/cni.md#p10, #p11).
 */
import t from 'tap'
import type { Call, CniHost } from '../helpers/cni/cni.ts'
import { faultHost, standing } from '../helpers/cni/fault.ts'
import { NOBODY } from '../helpers/cni/fault-kill.ts'
import { ask, askUdp, attached, httpd, udpServer } from '../helpers/cni/fault-servers.ts'
import { publishedPorts } from '../helpers/kernel/leftovers.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { executables } from '../helpers/run/executable.ts'

const tcp = (hostPort: number, over: object = {}) => ({
  hostPort,
  containerPort: 80,
  protocol: 'tcp',
  ...over,
})
const call = (containerId: string, ...portMappings: object[]): Call => ({
  containerId,
  conf: { runtimeConfig: { portMappings } },
})

const udp = (hostPort: number) => ({ hostPort, containerPort: 53, protocol: 'udp' })

/** Container `a` on network `net<n>`, by its interface `eth<n>` with the address 10.100.<n>.10. */
const onNetwork = (n: number, portMappings: readonly object[]): Call => ({
  containerId: 'a',
  ifname: `eth${n}`,
  conf: {
    name: `net${n}`,
    bridge: `flatnet${n}`,
    ipam: { type: 'flatnet', hostId: n, supernet: '10.100.0.0/16' },
    runtimeConfig: { portMappings, ips: [`10.100.${n}.10`] },
  },
})

async function moved(host: CniHost, from: string, to: string, mapping: object): Promise<void> {
  await host.ok('DEL', call(from, mapping))
  await host.ok('ADD', call(to, mapping))
}

for (const executable of executables()) {
  t.test(`${executable.name}: TCP from everywhere`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    const { m } = host
    const lan = await m.neighbour()
    const a = await attached(host, 'a', [
      tcp(8080),
      tcp(8081, { hostIP: lan.machineIp }),
      tcp(8082, { hostIP: '127.0.0.1' }),
    ])
    await attached(host, 'b')
    await httpd(m, 'a', 'a')
    t.equal(await ask(m, 'lan', `${lan.machineIp}:8080`), `a ${lan.ip}`, 'the LAN, with its address kept')
    t.equal(
      await ask(m, undefined, `${lan.machineIp}:8080`),
      `a ${lan.machineIp}`,
      'the host by its own address',
    )
    t.equal(await ask(m, undefined, '127.0.0.1:8080'), 'a 10.100.1.1', 'the host by loopback')
    t.equal(await ask(m, 'b', `${lan.machineIp}:8080`), 'a 10.100.1.1', 'another container')
    t.equal(await ask(m, 'b', '10.100.1.1:8080'), 'a 10.100.1.1', 'by the bridge address')
    t.equal(await ask(m, 'a', `${lan.machineIp}:8080`), 'a 10.100.1.1', 'itself: hairpin')
    t.equal(await ask(m, 'lan', `${lan.machineIp}:8081`), `a ${lan.ip}`, 'bound to the address that is asked')
    t.equal(await ask(m, undefined, '127.0.0.1:8081'), 'no answer', 'bound to another one')
    t.equal(await ask(m, undefined, '127.0.0.1:8082'), 'a 10.100.1.1', 'bound to loopback')
    t.equal(await ask(m, 'lan', `${lan.machineIp}:8082`), 'no answer')
    await m.exec('ip', '-n', 'lan', 'route', 'add', '10.100.0.0/16', 'via', lan.machineIp)
    t.equal(await ask(m, 'lan', `${a}:80`), `a ${lan.ip}`, 'and directly, by who knows the way')
    await host.ok('DEL', call('a'))
    t.equal(await ask(m, 'lan', `${lan.machineIp}:8080`), 'no answer', 'gone with DEL')
    t.same(await publishedPorts(m), [])
  })

  t.test(
    `${executable.name}: a UDP client that keeps its port follows to the next container (plugins #123)`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      const { m } = host
      const lan = await m.neighbour()
      const mapping = { hostPort: 5353, containerPort: 53, protocol: 'udp' }
      await attached(host, 'a', [mapping])
      await host.container('b')
      await udpServer(m, 'a', 53, 'a')
      await udpServer(m, 'b', 53, 'b')
      const asked = () => askUdp(m, 'lan', lan.machineIp, 5353, 40_000)
      t.equal(await asked(), `a ${lan.ip}`)
      t.equal(await askUdp(m, undefined, '127.0.0.1', 5353), 'a 10.100.1.1')
      await moved(host, 'a', 'b', mapping)
      t.equal(await asked(), `b ${lan.ip}`, 'the old translation is forgotten')
      await host.ok('DEL', call('b', mapping))
      t.equal(await asked(), 'no answer')
      // A client that asked while nobody was there has an untranslated entry: ADD has to forget it too.
      await host.ok('ADD', call('a', mapping))
      t.equal(await asked(), `a ${lan.ip}`)
      // Many ports are looked for in one walk of the table.
      const range = Array.from({ length: 40 }, (_, i) => ({ ...mapping, hostPort: 5350 + i }))
      await host.ok('DEL', call('a', mapping))
      await host.ok('ADD', call('b', ...range))
      t.equal(await asked(), `b ${lan.ip}`)
      await host.ok('DEL', call('b', ...range))
      t.equal(await asked(), 'no answer', 'a range too')
    },
  )

  t.test(
    `${executable.name}: a port of a live container is refused by name, and nothing is left`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await attached(host, 'a', [tcp(8080)])
      await host.container('b')
      const before = await standing(host)
      const reply = await host.call('ADD', call('b', tcp(8079), tcp(8080)))
      t.match(reply.json, {
        code: 104,
        msg: /host port tcp \*:8080 is published by container a: choose another/,
      })
      t.same(await standing(host), before)
      t.equal((await publishedPorts(host.m)).length, 1, '8079 is not published either')
      t.equal(
        (await host.call('ADD', call('b', tcp(8080, { protocol: 'udp' })))).rc,
        0,
        'another protocol is another port',
      )
    },
  )

  t.test(
    `${executable.name}: what a container left without DEL makes way`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      await attached(host, 'a', [tcp(8080)])
      await host.m.exec('ip', 'link', 'del', host.leases()[0]?.hostIfname ?? '')
      await attached(host, 'b', [tcp(8080)])
      const elements = await publishedPorts(host.m)
      t.equal(elements.length, 1)
      t.match(elements[0], /\["10\.100\.1\.11",80\]/)
      await host.ok('DEL', call('a'))
      t.same(await publishedPorts(host.m), elements, "a late DEL leaves the new owner's element")
    },
  )

  t.test(
    `${executable.name}: an heir keeps the port of a network that was lost without DEL`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      const ports = [tcp(8080)]
      await host.container('a')
      await host.container('b')
      for (const n of [1, 2]) await host.ok('ADD', onNetwork(n, ports))
      await host.m.exec('ip', '-n', 'a', 'link', 'del', 'eth1')
      const taken = { ...onNetwork(3, ports), containerId: 'b' }
      t.match((await host.call('ADD', taken)).json, { code: 104, msg: /is published by container a/ })
      await host.ok('DEL', onNetwork(1, ports))
      t.match(await publishedPorts(host.m), [/"10\.100\.2\.10",80/])
      await host.ok('DEL', onNetwork(2, ports))
      await host.ok('ADD', taken)
      t.match(await publishedPorts(host.m), [/"10\.100\.3\.10",80/])
    },
  )

  t.test(`${executable.name}: 3,000 ports and SCTP`, { skip: needsRoot }, async (t) => {
    const host = await faultHost(t, executable)
    const range = Array.from({ length: 3_000 }, (_, i) => tcp(20_000 + i, { containerPort: 20_000 + i }))
    const all = [...range, tcp(9_000, { protocol: 'sctp' })]
    await attached(host, 'a', all)
    const elements = await publishedPorts(host.m)
    t.equal(elements.length, 3_001)
    t.ok(elements.some((element) => /\["sctp",9000\]/.test(element)))
    const lan = await host.m.neighbour()
    await httpd(host.m, 'a', 'a', 22_999)
    t.equal(await ask(host.m, 'lan', `${lan.machineIp}:22999`), `a ${lan.ip}`, 'the last one too')
    await host.ok('DEL', call('a', ...all))
    t.same(await standing(host), NOBODY)
    t.same(await publishedPorts(host.m), [])
  })

  t.test(
    `${executable.name}: one list of ports on three networks, whichever goes first`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      const { m } = host
      const lan = await m.neighbour()
      await host.container('a')
      await httpd(m, 'a', 'a')
      await udpServer(m, 'a', 53, 'a')
      const ports = [tcp(8080), tcp(8081, { hostIP: lan.machineIp }), udp(5353)]
      const reaches = async (target: string, when: string) => {
        t.match(
          await publishedPorts(m),
          ports.map(() => new RegExp(`\\["${target}",(80|53)\\]`)),
          when,
        )
        t.equal(await ask(m, 'lan', `${lan.machineIp}:8080`), `a ${lan.ip}`, `${when}: the LAN`)
        t.match(await ask(m, undefined, '127.0.0.1:8080'), /^a /, `${when}: the host`)
        t.equal(
          await askUdp(m, 'lan', lan.machineIp, 5353, 40_001),
          `a ${lan.ip}`,
          `${when}: the same UDP client`,
        )
      }
      for (const first of [1, 2, 3]) {
        const [next = 0, last = 0] = [1, 2, 3].filter((n) => n !== first)
        for (const n of [1, 2, 3]) await host.ok('ADD', onNetwork(n, ports))
        await reaches('10.100.1.10', `all three, before ${first} goes`)
        await host.ok('DEL', onNetwork(first, ports))
        await reaches(`10.100.${Math.min(next, last)}.10`, `without ${first}`)
        await host.ok('DEL', onNetwork(Math.min(next, last), ports))
        await reaches(`10.100.${Math.max(next, last)}.10`, `with ${Math.max(next, last)} alone`)
        await host.ok('DEL', onNetwork(Math.max(next, last), ports))
        t.same(await publishedPorts(m), [], 'and nothing without any')
        t.equal(await ask(m, 'lan', `${lan.machineIp}:8080`), 'no answer')
      }
    },
  )
}
