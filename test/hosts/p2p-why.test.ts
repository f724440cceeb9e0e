/**
 * Why a pair is not direct: thirteen causes on four hosts, each named by `flatnet status` and explained in
 * docs/operations/why-not-direct.md.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { joinedHosts, type TestHost, type TestNet } from '../helpers/cluster/hosts.ts'
import { startWithoutTun } from '../helpers/cluster/no-tun.ts'
import { PATIENCE_MS, p2pPid, pathTo } from '../helpers/cluster/p2p-pair.ts'
import { udpFaults } from '../helpers/cluster/udp-faults.ts'
import { saysWhy } from '../helpers/cluster/why-not-direct.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { netnsProgram } from '../helpers/kernel/netns-programs.ts'
import { inRepo } from '../helpers/run/sources.ts'
import { waitFor } from '../helpers/run/wait.ts'

const NO_P2P = inRepo('test/helpers/cluster/no-p2p.ts')
const DIRECT_MS = 40_000

/** Writes the keys below `p2p` and has the gateway read them. */
function configure(host: TestHost, enabled: boolean, hosts = '{}'): void {
  const file = join(host.dir, 'flatnet.yaml')
  const text = readFileSync(file, 'utf8')
    .replace(/(?<=^p2p:\n {2}enabled: ).*$/m, String(enabled))
    .replace(/(?<=^ {2}hosts: ).*$/m, hosts)
  writeFileSync(file, text)
  host.signal('SIGHUP')
}

const direct = (net: TestNet, ...pairs: (readonly [number, number])[]): Promise<unknown> =>
  Promise.all(
    pairs.map(([a, b]) =>
      waitFor(`hosts ${a} and ${b} are direct`, DIRECT_MS, async () => {
        const paths = await Promise.all([pathTo(net.host(a), b), pathTo(net.host(b), a)])
        return paths.every(({ state }) => state === 'P2P_ACTIVE')
      }),
    ),
  )

/** Traffic to the other host's bridge: probes come four times a second while packets go. */
const ping = (from: TestHost, to: number): unknown =>
  from.spawn('sh', '-c', `exec ping -q -i 0.2 10.100.${to}.1 > /dev/null`)

/** Takes the port between the end of the P2P process and the start of the next one. */
async function takePort(t: Test, host: TestHost): Promise<void> {
  const holder = host.spawn(...netnsProgram('udp-hold', '7443'))
  t.teardown(() => holder.kill('SIGKILL'))
  let out = ''
  holder.stdout?.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  await waitFor('the program waits for the port', PATIENCE_MS, () => out.includes('waits'))
  const pid = p2pPid(host)
  if (pid !== undefined) process.kill(pid, 'SIGKILL')
  await waitFor('the port is taken', PATIENCE_MS, () => out.includes('holds'))
}

t.test('why a pair is not direct', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const net = await joinedHosts(t, 4, { spare: 1 })
  const faults = udpFaults(net)
  const [one, two, three, four] = [net.host(1), net.host(2), net.host(3), net.host(4)]
  const began = performance.now()

  await t.test('from the start', async (t) => {
    await saysWhy(t, one, 2, 'P2P is off on this host (p2p.enabled)')
    faults.drop(1, 2)
    for (const [a, b] of [
      [1, 3],
      [3, 1],
    ] as const)
      faults.dropLarge(a, b, 1_200)
    faults.dropOneWay(2, 3)
    for (const host of [one, two, three]) configure(host, true)
    await saysWhy(t, one, 4, 'the peer refuses: P2P is off there (p2p.enabled)')
    // Nothing of host 2 arrives at host 3 either.
    await saysWhy(t, one, 2, 'no probe was answered: UDP is blocked at the peer')
    await saysWhy(t, two, 1, 'no probe was answered: UDP is blocked at this host')
    await saysWhy(t, one, 3, 'small datagrams get through and full-size ones do not (path MTU)')
    await saysWhy(t, two, 3, 'UDP arrives from the peer, and nothing from here arrives there')
  })

  faults.heal()
  configure(four, true, '{ 3: off }')
  await waitFor('host 4 has read its file', PATIENCE_MS, async () =>
    (await pathTo(four, 3)).p2p?.reason.includes('is off here'),
  )
  for (const host of [one, two, three]) await host.ok('retry')
  await direct(net, [1, 2], [1, 3], [2, 3], [1, 4], [2, 4])

  await t.test('after UDP carried packets', async (t) => {
    ping(two, 4)
    ping(one, 2)
    faults.dropData(1, 2)
    faults.lose(2, 4, 15)
    faults.lose(4, 2, 15)
    faults.drop(1, 3)
    await saysWhy(t, four, 3, 'P2P with this host is off here (p2p.hosts)')
    await saysWhy(t, three, 4, 'the peer refuses: P2P with this host is off there (p2p.hosts)')
    await saysWhy(t, one, 3, 'UDP stopped answering')
    await saysWhy(t, one, 2, 'UDP answers probes and loses the packets')
    await saysWhy(t, two, 4, 'UDP loses 10 % or more')
    // From all: between two that reach a third, a relay carries the link, and the hosts try UDP over it.
    net.isolate(3)
    await saysWhy(t, two, 3, 'waits for the control link, over which both hosts agree on keys')
    net.healAll()
    faults.heal()
  })

  await t.test('a slow way, and what a host lacks', async (t) => {
    await direct(net, [1, 4])
    // Alone: the program in the middle is a NAT, by which host 1 is reached from others as well.
    const delay = await faults.delay(t, net, 1, 4, 150)
    ping(one, 4)
    await takePort(t, three)
    await saysWhy(t, three, 1, 'the P2P process has no UDP socket')
    await saysWhy(t, one, 3, 'the peer refuses: its P2P process has no UDP socket')
    await saysWhy(t, one, 4, 'UDP is slower than the gateway path')
    delay.end()
    await four.stop()
    const pid = p2pPid(four)
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
    await startWithoutTun(t, four)
    await saysWhy(t, four, 1, 'the P2P process has no device')
    await saysWhy(t, one, 4, 'the peer refuses: its P2P process has no device')
    await three.stop()
    await three.start({ imports: [NO_P2P] })
    await saysWhy(t, one, 3, 'the peer says nothing about UDP; it runs an older version')
  })

  t.comment(`all causes: ${Math.round((performance.now() - began) / 1000)} s (aim 90)`)
})
