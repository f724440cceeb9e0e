/**
 * A container sends as its neighbour, as the bridge, as a stranger, or under a neighbour's MAC: nothing of it leaves
 * its port.
 */
import t, { type Test } from 'tap'
import type { CniHost } from '../helpers/cni/cni.ts'
import { faultHost } from '../helpers/cni/fault.ts'
import { ask, attached, httpd, pings } from '../helpers/cni/fault-servers.ts'
import { extras } from '../helpers/hostile/guarded.ts'
import { datagrams, dropped, macOf } from '../helpers/hostile/observe.ts'
import { type Arp, arp, emptyIpv6, lldp, sendFrames, udp } from '../helpers/hostile/raw-frames.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { executables } from '../helpers/run/executable.ts'
import { waitFor } from '../helpers/run/wait.ts'

const [A, B, BRIDGE] = ['0a:64:0a:64:01:0a', '0a:64:0a:64:01:0b', '0a:64:0a:64:01:01']
const ALL = 'ff:ff:ff:ff:ff:ff'
/** Containers a, b and c have the addresses .10, .11 and .12. */
const ips = { a: '10.100.1.10', b: '10.100.1.11', c: '10.100.1.12', bridge: '10.100.1.1' }

const forgedArp: Readonly<Record<string, Arp>> = {
  'a reply with the neighbour’s address': {
    from: A,
    to: ALL,
    operation: 'reply',
    sender: ips.b,
    target: ips.c,
  },
  'a request with it': { from: A, to: ALL, operation: 'request', sender: ips.b, target: ips.c },
  'a reply as the bridge': { from: A, to: ALL, operation: 'reply', sender: ips.bridge, target: ips.c },
  'under a foreign sender within': {
    from: A,
    to: ALL,
    operation: 'reply',
    sender: ips.a,
    senderMac: B,
    target: ips.c,
  },
  'a probe for the neighbour’s address': {
    from: A,
    to: ALL,
    operation: 'request',
    sender: '0.0.0.0',
    target: ips.b,
  },
  'from the neighbour’s MAC': { from: B, to: ALL, operation: 'request', sender: ips.b, target: ips.c },
}

/** Three containers that have spoken with each other, so that bridge and neighbours know all. */
async function three(
  t: Test,
  executable: Parameters<typeof faultHost>[1],
  conf: object = {},
): Promise<CniHost> {
  const host = await faultHost(t, executable)
  for (const name of ['a', 'b', 'c']) await attached(host, name, [], { ...conf })
  for (const [from, to] of ['ab', 'ac', 'bc'].map((pair) => [...pair] as ['a', 'b' | 'c']))
    t.ok(await pings(host.m, from, ips[to]), `${from} reaches ${to}`)
  return host
}

/** Whose MAC a container has for an address. */
const neighbour = async ({ m }: CniHost, netns: string, ip: string): Promise<string> =>
  /lladdr (\S+)/.exec(await m.exec('ip', '-n', netns, 'neigh', 'show', ip))?.[1] ?? ''

/** The port of the bridge behind which it believes a MAC to be. */
const portOf = async ({ m }: CniHost, mac: string): Promise<string> => {
  const found: { mac: string; ifname: string }[] = await m.json(
    'bridge',
    '-j',
    'fdb',
    'show',
    'br',
    'flatnet0',
  )
  return (
    found.find((entry) => entry.mac === mac && !('flags' in entry && String(entry.flags).includes('self')))
      ?.ifname ?? ''
  )
}

const hostEnd = (host: CniHost, address: string): string =>
  host.leases().find(({ ip }) => ip === address)?.hostIfname ?? ''

for (const executable of executables()) {
  t.test(`${executable.name}: nothing forged leaves a port`, { skip: needsRoot }, async (t) => {
    const host = await three(t, executable)
    const { m } = host
    const [before, port] = [await dropped(m, 'forged', 'bridge'), await portOf(host, B)]
    const messages = Object.values(forgedArp)
    await sendFrames(m, 'a', messages.map(arp))
    t.equal((await dropped(m, 'forged', 'bridge')) - before, messages.length, 'each message is counted')
    t.equal(await neighbour(host, 'c', ips.b), B, 'c is not fooled about its neighbour')
    t.not(await neighbour(host, 'c', ips.bridge), A, 'nor about the bridge')

    const got = await datagrams(m, 'c', 4_000)
    const way = { from: A, to: await macOf(m, 'eth0', 'c') }
    const sources = [ips.b, ips.bridge, '10.100.2.10', '192.0.2.1']
    await sendFrames(m, 'a', [
      ...sources.map((source) => udp(way, source, ips.c, 4_000, `as ${source}`)),
      udp({ ...way, from: B }, ips.a, ips.c, 4_000, "from b's MAC"),
      udp(way, ips.a, ips.c, 4_000, 'as myself'),
    ])
    await waitFor('an honest datagram arrives', 10_000, () => got().includes(`as myself from ${ips.a}`))
    t.notMatch(got(), /as 1|MAC/, 'and no other')

    // Frames that bridges do not forward teach them senders, too, where no rule sees it. IPv6 is not counted.
    await sendFrames(m, 'a', [emptyIpv6(B), lldp(B), lldp(BRIDGE)])
    t.equal(await portOf(host, B), port, "no kind of frame taught the bridge the neighbour's MAC")
    t.equal((await dropped(m, 'forged', 'bridge')) - before, messages.length + sources.length + 1)
    await m.sh(`ip -n a link set eth0 down; ip -n a link set eth0 address ${B}; ip -n a link set eth0 up`)
    await sendFrames(m, 'a', [arp({ from: B, to: ALL, operation: 'reply', sender: ips.b, target: ips.b })])
    t.not(await portOf(host, B), hostEnd(host, ips.a), 'nor when the whole interface has it')
    await httpd(m, 'b', 'b')
    t.equal(await ask(m, 'c', ips.b), `b ${ips.c}`, 'the neighbour is served as before')
  })

  t.test(`${executable.name}: without antiSpoof it does`, { skip: needsRoot }, async (t) => {
    const host = await three(t, executable, { antiSpoof: false })
    const { m } = host
    const before = await portOf(host, B)
    const taken = async (): Promise<boolean> => {
      await sendFrames(m, 'a', [
        arp({ from: A, to: ALL, operation: 'request', sender: ips.b, target: ips.c }),
        arp({ from: B, to: ALL, operation: 'request', sender: ips.a, target: ips.a }),
      ])
      return (await neighbour(host, 'c', ips.b)) === A && (await portOf(host, B)) !== before
    }
    // Again: a neighbour is not believed within a second of the last one, and b may speak.
    await waitFor(
      'c takes the new place of the address, as for keepalived, and the bridge that of the MAC',
      20_000,
      taken,
    )
    await m.exec('ip', '-n', 'a', 'addr', 'add', '10.100.1.200/24', 'dev', 'eth0')
    t.ok(await pings(m, 'c', '10.100.1.200'), 'a second address answers')
    t.equal(await dropped(m, 'forged', 'bridge'), 0)
  })

  t.test(
    `${executable.name}: two networks of one container, and their end`,
    { skip: needsRoot },
    async (t) => {
      const host = await faultHost(t, executable)
      const { m } = host
      await attached(host, 'a')
      await attached(host, 'b')
      const second = {
        name: 'second',
        bridge: 'second0',
        ipam: { type: 'flatnet', hostId: 1, supernet: '10.101.0.0/16' },
      }
      const call = { containerId: 'a', ifname: 'eth1', conf: second }
      await host.ok('ADD', call)
      await attached(host, 'c', [], second)
      await httpd(m, 'a', 'a')
      await m.exec('ip', '-n', 'a', 'route', 'del', '10.101.1.0/24', 'dev', 'eth1')
      t.equal(
        await ask(m, undefined, '10.101.1.10'),
        'a 10.101.1.1',
        'answers leave by the first default route',
      )
      t.equal((await extras(m)).length, 4, 'each port of a passes both addresses')
      for (const containerId of ['b', 'c'])
        await host.ok('DEL', { containerId, ...(containerId === 'c' && { conf: second }) })
      await host.ok('DEL', call)
      await host.ok('DEL', { containerId: 'a' })
      t.same(await extras(m), [], 'DEL leaves none')
    },
  )
}
