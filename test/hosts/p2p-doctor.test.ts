/**
 * `flatnet doctor` and `status` on hosts with a direct path: content while all is well, and what kernel and network
 * lack is named.
 */
import t from 'tap'
import type { TestHost } from '../helpers/cluster/hosts.ts'
import { becomesDirect, PATIENCE_MS, p2pPair, pathTo } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { waitFor } from '../helpers/run/wait.ts'

interface Found {
  readonly id: string
  readonly state: string
  readonly what: string
}

/** Of direct paths alone: the rest of a host of namespaces is not as on a machine. */
const OURS = /^(?:udp-|p2p-|direct-|conntrack-)/

async function doctor(host: TestHost): Promise<Found[]> {
  const { stdout } = await host.flatnet('doctor', '--json')
  return JSON.parse(stdout).filter(({ id }: Found) => OURS.test(id))
}

const troubles = async (host: TestHost): Promise<string[]> =>
  (await doctor(host)).filter(({ state }) => state !== 'ok').map(({ id, what }) => `${id}: ${what}`)

t.test('what doctor says of direct paths', { skip: needsRoot, timeout: 600_000 }, async (t) => {
  const pair = await p2pPair(t)
  const { one, two, faults } = pair
  await becomesDirect(pair)
  const says = (host: TestHost, words: RegExp): Promise<unknown> =>
    waitFor(`doctor says ${words}`, 60_000, async () =>
      (await troubles(host)).find((line) => words.test(line)),
    )

  await t.test('all is well', async (t) => {
    // Five probes are the least that is judged.
    await waitFor('probes were answered', PATIENCE_MS, async () => {
      const probes = await Promise.all([pathTo(one, 2), pathTo(two, 1)])
      return probes.every(({ p2p }) => (p2p?.probes?.answered ?? 0) > 5 && (p2p?.probes?.received ?? 0) > 0)
    })
    for (const host of [one, two]) {
      const found = await doctor(host)
      t.match(
        found.map(({ id, state }) => `${id} ${state}`).sort(),
        ['direct-paths ok', 'p2p-process ok', 'udp-reach ok'],
        JSON.stringify(found),
      )
    }
  })

  await t.test('flatnet status shows the same fields as the API, within 100 columns', async (t) => {
    const { paths } = JSON.parse(await one.ok('status', '--json'))
    const shown = paths.find(({ hostId }: { hostId: number }) => hostId === 2)
    const path = await pathTo(one, 2)
    t.same(Object.keys(shown).sort(), Object.keys(path).sort())
    t.same(Object.keys(shown.p2p).sort(), Object.keys(path.p2p ?? {}).sort())
    t.match(path, { tier: 'ipv4', p2p: { tier: 'ipv4', mtu: 1500, form: /^(whole|record)$/ } })
    const printed = await one.ok('status')
    t.match(printed, /^HOST {2}STATE +VIA +TIER +RTT +SINCE \(UTC\) +REASON$/m)
    t.match(printed, /^HOST {2}UDP +TIER +RTT +JITTER +LOSS +THROUGHPUT +MTU +FORM +QUALITY$/m)
    t.match(printed, /^2 {5}carries {2}ipv4 .* ms .* ms .* % .*bit\/s +1500 +\w+ +[01]\.\d\d$/m)
    t.same(
      printed.split('\n').filter((line) => line.length > 100),
      [],
    )
  })

  await t.test('the kernel of this host', async (t) => {
    one.ns.exec('sysctl', '-qw', 'net.ipv4.conf.flatnet-p2p.rp_filter=1')
    one.ns.exec('sysctl', '-qw', 'net.netfilter.nf_conntrack_udp_timeout=10')
    one.ns.exec('sysctl', '-qw', 'net.netfilter.nf_conntrack_udp_timeout_stream=5')
    const found = await troubles(one)
    t.match(
      found.find((line) => line.startsWith('direct-rp-filter')),
      /strict/,
    )
    t.match(
      found.filter((line) => line.startsWith('conntrack-udp-timeout')),
      [/after 10 s/, /with answers after 5 s/],
    )
    one.ns.exec('sysctl', '-qw', 'net.ipv4.conf.flatnet-p2p.rp_filter=2')
    one.ns.exec('sysctl', '-qw', 'net.netfilter.nf_conntrack_udp_timeout=30')
    one.ns.exec('sysctl', '-qw', 'net.netfilter.nf_conntrack_udp_timeout_stream=120')
    t.same(await troubles(one), [], 'and is content again')
  })

  await t.test('the network between the hosts passes 1,300 bytes', async () => {
    for (const [a, b] of [
      [1, 2],
      [2, 1],
    ] as const)
      faults.dropLarge(a, b, 1_280)
    await says(one, /^udp-mtu: packets to host 2 pass up to 1280 bytes, and eth0 sends 1500/)
    faults.heal()
  })

  await t.test('one direction of UDP is blocked', async () => {
    faults.dropOneWay(1, 2)
    // Addresses that are not in use are probed each 30 s: doctor waits for one probe more.
    await waitFor('nothing of host 1 has arrived for 35 s', 60_000, async () => {
      const { answeredAt = '', receivedAt = '' } = (await pathTo(two, 1)).p2p?.probes ?? {}
      return Date.now() - Math.max(Date.parse(answeredAt), Date.parse(receivedAt)) > 35_000
    })
    await says(two, /^udp-reach: no UDP of host 1 arrives here/)
    await says(one, /^udp-reach: UDP of host 2 arrives here, and none from here is answered/)
    faults.heal()
  })
})
