/**
 * Two hosts behind symmetric NATs, each with a TURN server of its own and no member that relays: a way by both servers.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { PathInfo, TierInfo } from '../../core/api.ts'
import type { Status } from '../../gateway/api/status.ts'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import type { TestHost } from '../helpers/cluster/hosts.ts'
import { failures, type P2pPair, PATIENCE_MS, pathTo, requestsTo } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { coturn, TURN_LOGIN, TURN_SECRET } from '../helpers/nat/coturn.ts'
import { natCluster } from '../helpers/nat/nat-pairs.ts'
import { waitFor } from '../helpers/run/wait.ts'

const FIRST = { ip: '192.0.2.50', server: '192.0.2.50:3478' }
const SECOND = { ip: '192.0.2.51', server: '192.0.2.51:3478' }

function configure({ dir }: TestHost, turn: readonly object[]): void {
  const conf = join(dir, 'flatnet.yaml')
  const text = readFileSync(conf, 'utf8')
    .replace('  stun: []', `  stun: []\n  turn: ${JSON.stringify(turn)}`)
    .replace('volunteer: true', 'volunteer: false')
  writeFileSync(conf, text)
}

type Hosts = Pick<P2pPair, 'net' | 'one' | 'two'>

const paths = ({ one, two }: Hosts): Promise<PathInfo[]> =>
  Promise.all([pathTo(one, two.index), pathTo(two, one.index)])

t.test('two hosts that reach no server but their own', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  const { net, hosts } = await natCluster(t, ['symmetric', 'symmetric'], async (net) => {
    await coturn(t, net.lan)
    await coturn(t, net.lan, { ip: SECOND.ip, login: 'secret' })
    configure(net.host(1), [])
    configure(net.host(2), [{ server: `turn:${FIRST.ip}?transport=udp`, ...TURN_LOGIN }])
    configure(net.host(3), [{ server: SECOND.server, secret: 'not the right one' }])
  })
  // As behind a firewall of a company, which lets UDP out to its own TURN server and to nothing else.
  for (const [i, { ip }] of [FIRST, SECOND].entries())
    hosts[i]?.behind.router.exec('nft', 'insert', 'rule', 'ip', 'router', 'forward', ...onlyTo(ip))
  const [one, two] = [net.host(2), net.host(3)]
  const pair = { net, one, two }
  await t.test('a wrong secret is told with the way out', (t) => wrongSecret(t, two))
  await t.test('the right one, and the pair meets by both servers', async (t) => {
    const conf = join(two.dir, 'flatnet.yaml')
    writeFileSync(conf, readFileSync(conf, 'utf8').replace('not the right one', TURN_SECRET))
    await two.restart()
    await waitFor('both paths are by TURN', PATIENCE_MS * 2, async () =>
      (await paths(pair)).every(({ state, p2p }) => state === 'P2P_ACTIVE' && p2p?.turn !== undefined),
    )
    const [mine, its] = await paths(pair)
    t.match(mine, { tier: 'ice', p2p: { turn: FIRST.server, address: /^192\.0\.2\.51:/ } })
    t.match(its, { tier: 'ice', p2p: { turn: SECOND.server, address: /^192\.0\.2\.50:/ } })
  })
  await t.test('status and tiers call it rightly', async (t) => {
    t.match(await one.ok('status'), /through TURN server\s+192\.0\.2\.50:3478/)
    t.match(await two.ok('status'), /through TURN server\s+192\.0\.2\.51:3478/)
    const all: TierInfo[] = JSON.parse(await one.ok('tiers', '--json'))
    t.match(
      all.find(({ name }) => name === 'ice'),
      { hosts: 2 },
    )
    t.comment(await one.ok('tiers'))
  })
  await t.test('and packets pass', async (t) => {
    const [apple, berry] = [await hostContainer(t, one, 'apple'), await hostContainer(t, two, 'berry')]
    const requests = requestsTo({ apple, berry }, 50)
    await requests.answered(100)
    const answers = await requests.stop()
    t.same(failures(answers), [], `none of ${answers.length} requests failed`)
  })
  await t.test('copied credentials whose time is over are told with the way out', (t) => over(t, two))
})

const onlyTo = (ip: string): string[] => [
  'iifname',
  'lan',
  'ip',
  'protocol',
  'udp',
  'ip',
  'daddr',
  '!=',
  ip,
  'drop',
]

/** As a provider's page shows them, made by a secret that the host does not have. */
async function over(t: Test, host: TestHost): Promise<void> {
  const conf = join(host.dir, 'flatnet.yaml')
  const login = JSON.stringify({ username: '1700000000:h3', password: 'of yesterday' }).slice(1, -1)
  writeFileSync(conf, readFileSync(conf, 'utf8').replace(`"secret":"${TURN_SECRET}"`, login))
  await host.restart()
  const problem = /were for a limited time and ended at 2023-11-14T22:13:20Z/
  await waitFor('it is in status', PATIENCE_MS, async () => {
    const { p2p }: Status = await host.api('/v1/status')
    return problem.test(p2p?.turn?.[0]?.problem ?? '')
  })
  t.match((await host.ok('status')).replaceAll(/\s+/g, ' '), problem)
  const { stdout } = await host.flatnet('doctor', '--json')
  t.match(stdout, problem)
  t.match(stdout, /put the server’s secret into paths\.turn \(secret or secretFile\)/)
  t.notMatch(stdout + host.log(), /of yesterday/, 'the password is nowhere')
}

async function wrongSecret(t: Test, host: TestHost): Promise<void> {
  const problem = /refuses username and password, or the secret/
  await waitFor('the refusal is in status', PATIENCE_MS, async () => {
    const { p2p }: Status = await host.api('/v1/status')
    return p2p?.turn?.[0]?.problem
  })
  t.match(await host.ok('status'), problem)
  const doctor = await host.flatnet('doctor', '--json')
  const found = JSON.parse(doctor.stdout)
  t.match(JSON.stringify(found), /turn-server/)
  t.match(doctor.stdout, /correct username and password or the secret in paths\.turn/)
  t.notMatch(doctor.stdout + host.log(), /not the right one/, 'the secret is nowhere')
}
