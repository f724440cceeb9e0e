/**
 * Two hosts behind symmetric NATs and TURN servers: the way by one, its death and return, a secret, wrong passwords.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { PathInfo } from '../../core/api.ts'
import type { Status } from '../../gateway/api/status.ts'
import { hostContainer } from '../helpers/cluster/host-container.ts'
import type { TestHost } from '../helpers/cluster/hosts.ts'
import {
  failures,
  type P2pPair,
  PATIENCE_MS,
  pathTo,
  requestsTo,
  worstGap,
} from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { type Coturn, coturn, TURN_IP, TURN_LOGIN, TURN_SECRET } from '../helpers/nat/coturn.ts'
import { heldTo } from '../helpers/nat/held-udp.ts'
import { natCluster } from '../helpers/nat/nat-pairs.ts'
import { Stalls } from '../helpers/run/stalls.ts'
import { waitFor } from '../helpers/run/wait.ts'

const BY_NAME = `${TURN_IP}:3478`
const BY_SECRET = `${TURN_IP}:3479`

function configure({ dir }: TestHost, turn: readonly object[]): void {
  const conf = join(dir, 'flatnet.yaml')
  writeFileSync(
    conf,
    readFileSync(conf, 'utf8').replace('  stun: []', `  stun: []\n  turn: ${JSON.stringify(turn)}`),
  )
}

/** A silent server is asked each half minute at least; then the pair proves and promotes the path as any other. */
const RETURNS_WITHIN_MS = 35_000

type Hosts = Pick<P2pPair, 'net' | 'one' | 'two'>

const paths = ({ one, two }: Hosts): Promise<PathInfo[]> =>
  Promise.all([pathTo(one, two.index), pathTo(two, one.index)])

/** @returns how many ms it took */
async function tookUntil(
  what: string,
  hosts: Hosts,
  isSo: (both: readonly PathInfo[]) => boolean,
): Promise<number> {
  const began = performance.now()
  await waitFor(what, PATIENCE_MS, async () => isSo(await paths(hosts)))
  return Math.round(performance.now() - began)
}

const isRelayedBy = (hosts: Hosts, server: string): Promise<number> =>
  tookUntil(
    `both send through ${server}`,
    hosts,
    (both) => both.every(({ state }) => state === 'P2P_ACTIVE') && both[0]?.p2p?.turn === server,
  )

const leavesTurn = (hosts: Hosts): Promise<number> =>
  tookUntil('both send through the hub', hosts, (both) => both.every(({ via }) => via === 'relay:1'))

t.test('two hosts behind symmetric NATs', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  const servers: Coturn[] = []
  const { net } = await natCluster(t, ['symmetric', 'symmetric'], async (net) => {
    servers.push(await coturn(t, net.lan))
    const secretFile = join(net.host(2).dir, 'turn-secret')
    writeFileSync(secretFile, `${TURN_SECRET}\n`, { mode: 0o600 })
    configure(net.host(2), [
      { server: BY_NAME, ...TURN_LOGIN },
      { server: BY_SECRET, secretFile },
    ])
    configure(net.host(3), [{ server: BY_NAME, ...TURN_LOGIN, password: 'wrong' }])
  })
  const [server] = servers
  const [one, two] = [net.host(2), net.host(3)]
  const hosts = { net, one, two }
  if (server === undefined) throw new Error('there is no server')
  await t.test('become direct through the TURN server of one of them', async (t) => {
    t.comment(`through TURN ${await isRelayedBy(hosts, BY_NAME)} ms after all had links to the hub`)
    const [mine, its] = await waitFor('both carry full datagrams', PATIENCE_MS, async () => {
      const both = await paths(hosts)
      return both.every(({ p2p }) => p2p?.mtu === 1_500) ? both : undefined
    })
    t.match(mine, { tier: 'ice', p2p: { turn: BY_NAME, address: /^192\.0\.2\.103:/, mtu: 1500 } })
    t.match(its, { tier: 'ice', p2p: { turn: TURN_IP, address: /^192\.0\.2\.50:/ } })
    t.match(await one.ok('status'), /through TURN server\s+192\.0\.2\.50:3478/)
  })
  await t.test('wrong passwords are told in status, log and netcheck, and nowhere shown', (t) =>
    wrongPassword(t, two),
  )
  const apple = await hostContainer(t, one, 'apple')
  const berry = await hostContainer(t, two, 'berry')
  const pair = { ...hosts, apple, berry } as P2pPair
  await t.test('the server dies under traffic', (t) => killed(t, pair, server))
  await t.test('started again after tries have failed, it carries packets again', (t) =>
    returns(t, pair, server),
  )
  await t.test('netcheck is accepted by it, and by one that knows a secret', async (t) => {
    const second = await coturn(t, net.lan, { ns: server.ns, port: 3479, login: 'secret' })
    const { turn } = JSON.parse(await one.ok('netcheck', '--json'))
    t.match(turn, [
      { server: BY_NAME, state: 'ready', relayed: /^192\.0\.2\.50:/, rttMs: Number },
      { server: BY_SECRET, state: 'ready', relayed: /^192\.0\.2\.50:/, rttMs: Number },
    ])
    await second.kill()
  })
})

async function wrongPassword(t: Test, host: TestHost): Promise<void> {
  const problem = /refuses username and password/
  const status = await waitFor('the refusal is in status', PATIENCE_MS, async () => {
    const { p2p }: Status = await host.api('/v1/status')
    return p2p?.turn?.[0]?.problem === undefined ? undefined : p2p
  })
  // Once its path is proven by the other host's server, it is not asked again, and the problem stays told.
  t.match(status.turn, [{ server: BY_NAME, state: /^(waiting|idle)$/, problem }])
  const netcheck = await host.flatnet('netcheck', '--json')
  t.match(JSON.parse(netcheck.stdout).turn, [{ server: BY_NAME, problem }])
  t.equal(host.logged('turn server could not be used').length, 1, 'once in the log')
  for (const text of [JSON.stringify(status), netcheck.stdout, host.log()])
    t.notMatch(text, /"wrong"/, 'the password is nowhere')
}

/** Requests go on meanwhile by the hub. */
async function killed(t: Test, pair: P2pPair, server: Coturn): Promise<void> {
  const requests = requestsTo(pair, 50)
  await requests.answered(50)
  await server.kill()
  t.comment(`through the hub ${await leavesTurn(pair)} ms after the server died`)
  await requests.answered(100)
  await requests.answered(200)
  const answers = await requests.stop()
  t.comment(`worst gap ${worstGap(answers)} ms`)
  t.same(failures(answers), [], `none of ${answers.length} requests failed`)
}

/** By itself, and although the hosts' keys are others by then than those that the last datagram through it had. */
async function returns(t: Test, pair: P2pPair, server: Coturn): Promise<void> {
  const tries = async (): Promise<number> => (await pathTo(pair.one, pair.two.index)).p2p?.attempts ?? 0
  const before = await tries()
  await pair.one.api(`/v1/paths/${pair.two.index}/retry`, {})
  await waitFor(
    'a try has failed, and another one has begun',
    PATIENCE_MS,
    async () => (await tries()) >= before + 2,
  )
  const requests = requestsTo(pair, 50)
  using stalls = new Stalls()
  const from = Date.now()
  await server.start()
  await isRelayedBy(pair, BY_NAME)
  heldTo(t, 'through TURN again', { from, to: Date.now() }, stalls, RETURNS_WITHIN_MS)
  t.same(failures(await requests.stop()), [], 'no request failed')
}
