/**
 * Hosts that have no hub, need none, or have a TURN server besides: direct by the tier and within the time that the
 * table in helpers/nat/set-ups says, while requests go on by the way that there is before.
 */
import t, { type Test } from 'tap'
import type { TierName } from '../../core/api.ts'
import { configure, switchUdp } from '../helpers/cluster/configure.ts'
import { type HostContainer, hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { failures, pathTo, requestsInTurn, worstGap } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { hostsInChain, openMiddle } from '../helpers/nat/chain.ts'
import { coturn, TURN_IP, TURN_LOGIN } from '../helpers/nat/coturn.ts'
import { heldTo, timesOf } from '../helpers/nat/held-udp.ts'
import { natCluster } from '../helpers/nat/nat-pairs.ts'
import { SET_UPS, type SetUp } from '../helpers/nat/set-ups.ts'
import { Stalls } from '../helpers/run/stalls.ts'
import { waitFor } from '../helpers/run/wait.ts'

const PATIENCE_MS = 60_000
const PER_SECOND = 20

type Pair = readonly [one: TestHost, two: TestHost]

const endsOf = ([one, two]: Pair): (readonly [from: TestHost, to: number])[] => [
  [one, two.index],
  [two, one.index],
]

/** Until both ends of each pair send by UDP. */
const direct = (pairs: readonly Pair[]): Promise<unknown> =>
  waitFor('all pairs are direct', PATIENCE_MS, async () =>
    (await Promise.all(pairs.flatMap(endsOf).map(([from, to]) => pathTo(from, to)))).every(
      ({ state }) => state === 'P2P_ACTIVE',
    ),
  )

/** Until packets pass between the two of each pair. */
const reached = (pairs: readonly Pair[]): Promise<unknown> =>
  waitFor('packets pass between all pairs', PATIENCE_MS, async () =>
    (await Promise.all(pairs.flatMap(endsOf).map(([from, to]) => pathTo(from, to)))).every(
      ({ state, tier }) => tier !== undefined && state !== 'CONNECTING' && state !== 'ISOLATED',
    ),
  )

const useUdp = (host: TestHost): void => switchUdp(host, true)

/** No host tries another by these tiers then; all else is ready. */
const withhold = (host: TestHost, ...tiers: TierName[]): void =>
  configure(
    host,
    /^ {2}tiers:.*$/m,
    `  tiers: { ${tiers.map((name) => `${name}: { enabled: false }`).join(', ')} }`,
  )
const release = (host: TestHost): void => configure(host, /^ {2}tiers:.*$/m, '  tiers: {}')

interface Ready {
  readonly hosts: readonly TestHost[]
  readonly pairs: readonly (readonly [setUp: SetUp, pair: Pair])[]
  /** From then on they may be direct. */
  go(): void
}

/** When a host could first agree with another about UDP, after this moment. */
type Begin = (from: TestHost, to: number, after: number) => number | undefined
const firstTry: Begin = (from, to, after) => timesOf(from, to, /^P2P_ATTEMPTING/).find((at) => at >= after)
const firstLetter: Begin = (from, to) => {
  const [line] = from
    .logged('host was reached by letters, as it has no link')
    .filter(({ peer }) => peer === to)
  return line && Date.parse(line.time)
}

/** Lets them be direct, and judges the pairs by their tiers and times. */
async function race(t: Test, { go, pairs }: Ready, stalls: Stalls, begin = firstTry): Promise<void> {
  const goAt = Date.now()
  go()
  await direct(pairs.map(([, pair]) => pair))
  for (const [{ aimMs, text, tier, withinMs }, pair] of pairs) {
    for (const [from, to] of endsOf(pair))
      t.match(await pathTo(from, to), { state: 'P2P_ACTIVE', tier }, `${text}: ${tier}`)
    const span = await waitFor(`${text} is in both logs`, PATIENCE_MS, () => {
      const from = Math.min(...endsOf(pair).map(([host, to]) => begin(host, to, goAt) ?? Number.NaN))
      const both = endsOf(pair).map(([host, to]) => timesOf(host, to, /^P2P_ACTIVE/)[0] ?? Number.NaN)
      return Number.isFinite(Math.max(from, ...both)) ? { from, to: Math.max(...both) } : undefined
    })
    heldTo(t, `${text} (aim ${aimMs})`, span, stalls, withinMs)
    t.comment(`${text}: ${span.from - goAt} ms until then`)
  }
}

/** The same, with requests between the two of each pair before, meanwhile and after. */
async function raceWithRequests(t: Test, ready: Ready, stalls: Stalls): Promise<void> {
  const containers = new Map<TestHost, HostContainer>()
  // One after another: a hub that stands still for 3 s loses what it relays.
  for (const host of ready.hosts) containers.set(host, await hostContainer(t, host, `web${host.index}`))
  await reached(ready.pairs.map(([, pair]) => pair))
  const all = ready.pairs.map(([, [one, two]]) => {
    const [from, to] = [containers.get(one), containers.get(two)]
    if (from === undefined || to === undefined) throw new Error('a host of the pair has no container')
    return requestsInTurn(from, [to], PER_SECOND)
  })
  await Promise.all(all.map((requests) => requests.answered(5)))
  await race(t, ready, stalls)
  for (const [i, requests] of all.entries()) {
    await requests.answered(2 * PER_SECOND)
    const answers = await requests.stop()
    const gap = `worst gap ${worstGap(answers)} ms`
    t.same(failures(answers), [], `none of ${answers.length} requests failed, ${gap}`)
    t.comment(`${ready.pairs[i]?.[0].text}: ${gap}`)
  }
}

t.test('in one LAN', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  using stalls = new Stalls()
  const net = await joinedHosts(t, 2, {
    p2p: true,
    arrange: async (net) => withhold(net.host(2), 'ipv4', 'ipv6'),
  })
  const [one, two] = [net.host(1), net.host(2)]
  const pairs = [[SET_UPS.lan, [one, two]]] as const
  await raceWithRequests(t, { hosts: [one, two], pairs, go: () => release(two) }, stalls)
})

t.test('with a TURN server', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  using stalls = new Stalls()
  const turn = JSON.stringify([{ server: `${TURN_IP}:3478`, ...TURN_LOGIN }])
  const { hosts } = await natCluster(t, ['symmetric', 'symmetric', 'portRestricted'], async (net) => {
    await coturn(t, net.lan)
    for (const host of net.hosts.filter(({ index }) => index !== 1))
      configure(host, / {2}stun: \[\]/, `  stun: []\n  turn: ${turn}`)
    withhold(net.host(2), 'ice')
  })
  const all = hosts.map(({ host }) => host)
  const [two, three, four] = all as [TestHost, TestHost, TestHost]
  const pairs = [
    [SET_UPS.turn, [two, three]],
    [SET_UPS.turnToPortRestricted, [two, four]],
  ] as const
  await raceWithRequests(t, { hosts: all, pairs, go: () => release(two) }, stalls)
  for (const [, pair] of pairs)
    for (const [from, to] of endsOf(pair))
      t.match(await pathTo(from, to), { p2p: { turn: new RegExp(`^${TURN_IP}`) } }, 'through the TURN server')
})

t.test('without a hub', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  using stalls = new Stalls()
  const chain = await hostsInChain(t, 'cone')
  await openMiddle(chain)
  const [one, , three, four] = chain
  const hosts = [three, four]
  const go = (): void => hosts.forEach(useUdp)
  await race(t, { hosts, pairs: [[SET_UPS.chain, [three, four]]], go }, stalls, firstLetter)
  t.match(await one.metrics(), /^flatnet_letters_total\{what="passed"\} [1-9]/m)
})
