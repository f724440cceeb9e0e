/** What can be in the way of hosts behind the strictest NATs: a STUN server that lies, and a hub that dies. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { TierInfo } from '../../core/api.ts'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import type { TestHost, TestNet } from '../helpers/cluster/hosts.ts'
import { failures, pathTo, requestsInTurn, worstGap } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { natCluster } from '../helpers/nat/nat-pairs.ts'
import { waitFor } from '../helpers/run/wait.ts'

const PATIENCE_MS = 60_000
/** Of the overlay: a direct path to there would lead through the tunnel that it is to replace. */
const LIE = '10.100.2.1:7443'

/** A STUN server at the hub's address that names an address of the overlay, and who asks it. */
async function lyingServer(t: Test, net: TestNet): Promise<{ asked: Promise<unknown> }> {
  const { index, ns } = net.host(1)
  const program = [process.execPath, join(import.meta.dirname, '../helpers/nat/stun-server.ts')]
  const argv = ['192.0.2.1', '127.0.0.1', '3478', '3479', LIE]
  const server = spawn('ip', ['netns', 'exec', ns.name, ...program, ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => server.kill('SIGKILL'))
  await once(server.stdout, 'data')
  for (const { dir } of net.hosts.filter((host) => host.index !== index)) {
    const conf = join(dir, 'flatnet.yaml')
    writeFileSync(conf, readFileSync(conf, 'utf8').replace('  stun: []', '  stun: ["192.0.2.1:3478"]'))
  }
  return { asked: once(server.stdout, 'data') }
}

/** Counts what a host sends by the port of direct paths to the hub, and into the overlay. */
function count({ ns }: TestHost): void {
  for (const to of ['192.0.2.1', '10.100.0.0/16'])
    ns.exec('nft', 'add', 'rule', 'inet', 'cut', 'out', 'udp', 'sport', '7443', 'ip', 'daddr', to, 'counter')
}

const counted = ({ ns }: TestHost): number[] =>
  [...ns.exec('nft', 'list', 'chain', 'inet', 'cut', 'out').matchAll(/counter packets (\d+)/g)].map(
    ([, packets]) => Number(packets),
  )

t.test('two hosts behind the strictest NATs', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  let liar: { readonly asked: Promise<unknown> } | undefined
  const { hub, hosts } = await natCluster(t, ['cgnat', 'portRestricted'], async (net) => {
    for (const host of net.hosts) count(host)
    liar = await lyingServer(t, net)
  })
  const [one, two] = hosts.map(({ host }) => host) as [TestHost, TestHost]
  const isDirect = async (): Promise<boolean> =>
    (await Promise.all([pathTo(one, two.index), pathTo(two, one.index)])).every(
      ({ state }) => state === 'P2P_ACTIVE',
    )

  await t.test('become direct, though a STUN server lies', async (t) => {
    await liar?.asked
    await waitFor('they are direct', PATIENCE_MS, isDirect)
    const { p2p } = await pathTo(one, two.index)
    t.match(p2p?.address, /^192\.0\.2\./)
    for (const host of [one, two]) {
      const [toHub = 0, toOverlay] = counted(host)
      t.ok(toHub > 0, `${toHub} datagrams to the hub`)
      t.equal(toOverlay, 0, 'and nothing went where the lie leads')
    }
    const tiers: TierInfo[] = JSON.parse(await one.ok('tiers', '--json'))
    t.match(
      tiers.find(({ name }) => name === 'ice'),
      { tries: Number, successes: Number, medianMs: Number },
    )
  })

  await t.test('netcheck says how the hub sees a host behind a NAT', async (t) => {
    const found = JSON.parse(await two.ok('netcheck', '--json'))
    t.match(found, { udp: true, behindNat: true })
    t.match(found.ipv4, [new RegExp(`^192\\.0\\.2\\.${100 + two.index}:\\d+$`)])
    t.match(found.members[0], { hostId: 1, server: '192.0.2.1:7443', rttMs: Number })
  })

  await t.test('stay direct while the hub is dead', async (t) => {
    const apple = await hostContainer(t, one, 'apple')
    const berry = await hostContainer(t, two, 'berry')
    const requests = requestsInTurn(apple, [berry], 50)
    await requests.answered(50)
    await hub.kill()
    await waitFor('both hosts miss the hub', PATIENCE_MS, async () =>
      (await Promise.all([one, two].map((host) => host.linksUp()))).every((up) => up.length === 0),
    )
    await requests.answered(150)
    t.ok(await isDirect(), 'they are direct still')
    const answers = await requests.stop()
    t.comment(`worst gap ${worstGap(answers)} ms`)
    t.same(failures(answers), [], `none of ${answers.length} requests failed`)
  })
})
