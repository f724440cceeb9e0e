/**
 * Faults of the UDP path alone between hosts of a test: dropped, lost, too large, slow or delayed datagrams.
 *
 * TCP between the hosts, and with it the gateway path, is never touched, but by `delayBoth` and `hostile`.
 */
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import type { Test } from 'tap'
import { type Harm, hostileRelay, type RelayConf } from '../hostile/hostile-relay.ts'
import { run } from '../kernel/netns.ts'
import { waitFor } from '../run/wait.ts'
import type { TestHost, TestNet } from './hosts.ts'

const PORT = 7443
const TABLE = 'udpfault'
type Protocols = 'udp' | 'tcp' | 'tcp, udp'
const PROXY = join(import.meta.dirname, 'delay-proxy.ts')

export interface Delay {
  /** Keeps each for so long from now on. Where that is shorter, those on their way come behind later ones. */
  set(ms: number): void
  end(): void
}

export interface HostileRelay {
  order(harm: Harm): void
  /** Datagrams of its own making so far, ones that it held back among them. */
  sent(): number
}

export interface UdpFaults {
  /** Drops all datagrams from host `from` to host `to`. */
  dropOneWay(from: number, to: number): void
  /** Drops all datagrams between the two. */
  drop(a: number, b: number): void
  /** Loses so many percent of the datagrams from `from` to `to`, each by chance. */
  lose(from: number, to: number, percent: number): void
  /** Drops datagrams from `from` to `to` whose UDP length is above `bytes`. */
  dropLarge(from: number, to: number, bytes: number): void
  /** Drops datagrams with packets from `from` to `to`; probes and all else of control pass. */
  dropData(from: number, to: number): void
  /** Drops what is above so many kbytes/s of datagrams from `from` to `to`, without a queue, as a policer does. */
  police(from: number, to: number, kbytes: number): void
  /** Lets pass so many kbit/s of datagrams from `from`, with a queue of 32 KB, as a slow uplink does. */
  throttle(from: number, kbit: number): void
  /** Sends datagrams of the pair through a program that keeps each for so long. */
  delay(t: Test, net: TestNet, a: number, b: number, ms: number): Promise<Delay>
  /** As `delay`, for TCP between the two as well: the gateway path. Connections break by it. */
  delayBoth(t: Test, net: TestNet, a: number, b: number, ms: number): Promise<Delay>
  /**
   * As `delay`, through a program that does harm when it is told to. TCP is delayed by 100 ms, there and back: on a
   * busy machine the program takes its time, and hosts leave a UDP path that is slower than the gateway path.
   */
  hostile(t: Test, net: TestNet, a: number, b: number): Promise<HostileRelay>
  /** Forgets every flow that connection tracking knows at a host, as a router that reboots does. */
  forgetFlows(host: number): void
  /** Ends all faults but delays. */
  heal(): void
}

const nft = ({ ns }: TestHost, text: string): string =>
  run('ip', ['netns', 'exec', ns.name, 'nft', '-f', '-'], text)

/** A table of this host for one kind of fault, in which each call adds a rule. */
const rule = (host: TestHost, text: string): string =>
  nft(
    host,
    `add table inet ${TABLE}
     add chain inet ${TABLE} out { type filter hook output priority -290; }
     add rule inet ${TABLE} out udp dport ${PORT} ${text}`,
  )

export function udpFaults(net: TestNet): UdpFaults {
  const touched = new Set<TestHost>()
  const throttled = new Set<TestHost>()
  const at = (index: number): TestHost => {
    const host = net.host(index)
    touched.add(host)
    return host
  }
  // Where a roamed or translated source port is answered, the destination port is another: both ends of the pair count.
  const from = (index: number, to: number, what: string): void => {
    rule(at(index), `ip daddr ${net.host(to).ip} ${what}`)
  }
  const faults: UdpFaults = {
    dropOneWay: (a, b) => from(a, b, 'drop'),
    drop(a, b) {
      faults.dropOneWay(a, b)
      faults.dropOneWay(b, a)
    },
    lose: (a, b, percent) => from(a, b, `numgen random mod 1000 < ${Math.round(percent * 10)} drop`),
    dropLarge: (a, b, bytes) => from(a, b, `udp length > ${bytes} drop`),
    // The two bits of the form, behind 8 bytes of UDP and 4 of index; 3 is control
    // (docs/architecture/udp-plane.md#datagrams).
    dropData: (a, b) => from(a, b, '@th,96,2 != 3 drop'),
    // The burst holds two messages, which pass this hook uncut.
    police: (a, b, kbytes) => from(a, b, `limit rate over ${kbytes} kbytes/second burst 128 kbytes drop`),
    throttle(index, kbit) {
      const host = at(index)
      throttled.add(host)
      throttle(host, kbit)
    },
    delay: (...args) => delay('udp', ...args),
    delayBoth: (...args) => delay('tcp, udp', ...args),
    hostile,
    forgetFlows: (index) => void net.host(index).ns.exec('sh', '-c', 'conntrack -F 2>/dev/null'),
    heal() {
      for (const host of touched) nft(host, `add table inet ${TABLE}\ndelete table inet ${TABLE}`)
      for (const host of throttled) host.ns.exec('tc', 'qdisc', 'del', 'dev', 'eth0', 'root')
      touched.clear()
      throttled.clear()
    },
  }
  return faults
}

/** Datagrams to the port go through a class of their own, everything else past it. tc-tbf(8), tc-u32(8). */
function throttle({ ns }: TestHost, kbit: number): void {
  const tc = (line: string): string => ns.exec('tc', ...line.split(' '))
  tc('qdisc add dev eth0 root handle 1: htb default 20')
  tc('class add dev eth0 parent 1: classid 1:20 htb rate 10gbit quantum 60000')
  tc('class add dev eth0 parent 1: classid 1:10 htb rate 10gbit quantum 60000')
  // tbf cuts segmentation batches that are larger than its burst, as a router behind the card would have got them.
  tc(`qdisc add dev eth0 parent 1:10 handle 10: tbf rate ${kbit}kbit burst 3200 limit 32768`)
  const isUdp = 'match ip protocol 17 0xff'
  tc(`filter add dev eth0 parent 1: protocol ip u32 ${isUdp} match ip dport ${PORT} 0xffff flowid 1:10`)
}

/**
 * The proxy runs on a spare host of the net. Each end's datagrams to the other are translated to it, so that neither
 * end has a way around.
 */
async function through(
  t: Test,
  net: TestNet,
  [a, b]: readonly [number, number],
  command: (conf: RelayConf) => readonly string[],
  protocols: Protocols = 'udp',
): Promise<{ child: ChildProcess; end(): void }> {
  const proxy = spareOf(net, a, b)
  const ports = { [a]: 20_000 + a, [b]: 20_000 + b }
  const way = (from: number, to: number) => ({
    listen: 20_000 + from,
    to: net.host(to).ip,
    forgeFrom: 30_000 + from,
  })
  const child = proxy.spawn(...command({ ways: [way(a, b), way(b, a)], port: PORT }))
  t.teardown(() => child.kill('SIGKILL'))
  await waitFor('the program in the middle listens', 10_000, () =>
    proxy.ns.exec('ss', protocols === 'tcp' ? '-Hltn' : '-Hlun').includes(`:${ports[b]} `),
  )
  const translate = (from: number, to: number): void => {
    const isOfPair = `meta l4proto { ${protocols} } th`
    // What still comes straight from the other end would begin a flow, and its answers are not translated.
    nft(
      net.host(from),
      `add table ip udpdelay
       add chain ip udpdelay out { type nat hook output priority -100; }
       add rule ip udpdelay out ip daddr ${net.host(to).ip} ${isOfPair} dport ${PORT} dnat to ${proxy.ip}:${ports[from]}
       add chain ip udpdelay in { type filter hook prerouting priority -310; }
       add rule ip udpdelay in ether saddr ${macOf(net.host(to))} ${isOfPair} dport ${PORT} drop
       add rule ip udpdelay in ether saddr ${macOf(net.host(to))} ${isOfPair} sport ${PORT} drop`,
    )
  }
  translate(a, b)
  translate(b, a)
  // Only the first datagram of a flow is looked up for translation.
  for (const index of [a, b]) net.host(index).ns.exec('sh', '-c', 'conntrack -F 2>/dev/null')
  const end = (): void => {
    for (const index of [a, b]) {
      nft(net.host(index), 'delete table ip udpdelay')
      net.host(index).ns.exec('sh', '-c', 'conntrack -F 2>/dev/null')
    }
    child.kill('SIGKILL')
  }
  return { child, end }
}

async function delay(
  protocols: Protocols,
  t: Test,
  net: TestNet,
  a: number,
  b: number,
  ms: number,
): Promise<Delay> {
  const command = (conf: RelayConf) => [process.execPath, PROXY, JSON.stringify({ ...conf, ms, protocols })]
  const { child, end } = await through(t, net, [a, b], command, protocols)
  return { set: (ms) => void child.stdin?.write(`${ms}\n`), end }
}

async function hostile(t: Test, net: TestNet, a: number, b: number): Promise<HostileRelay> {
  const { ns } = spareOf(net, a, b)
  const forge = (index: number) =>
    `add rule ip forge out udp sport ${30_000 + index} snat to ${net.host(index).ip}:${PORT}`
  run(
    'ip',
    ['netns', 'exec', ns.name, 'nft', '-f', '-'],
    `add table ip forge
     add chain ip forge out { type nat hook postrouting priority 100; }
     ${forge(a)}
     ${forge(b)}`,
  )
  await delay('tcp', t, net, a, b, 50)
  const { child } = await through(t, net, [a, b], hostileRelay)
  let sent = 0
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    sent = Number(text.trim().split('\n').at(-1))
  })
  return { order: (harm) => void child.stdin?.write(`${harm}\n`), sent: () => sent }
}

function macOf({ ns }: TestHost): string {
  const [link] = ns.json('ip', '-j', 'link', 'show', 'eth0')
  return String(link.address)
}

function spareOf(net: TestNet, a: number, b: number): TestHost {
  const spare = net.hosts.at(-1)
  if (spare === undefined || spare.index === a || spare.index === b)
    throw new Error('a program in the middle needs a spare host: joinedHosts(t, n, { spare: 1 })')
  return spare
}
