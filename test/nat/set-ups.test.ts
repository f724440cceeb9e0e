/**
 * Hosts that have no hub, need none, or have a TURN server besides: direct by the tier and within the time that the
 * table in helpers/nat/set-ups says, while requests go on by the way that there is before.
 */
import t, { type Test } from 'tap'
import type { TierName } from '../../core/api.ts'
import { configure, switchUdp } from '../helpers/cluster/configure.ts'
import { type HostContainer, hostContainer } from '../helpers/cluster/host-container.ts'
import { joinedHosts, type TestHost } from '../helpers/cluster/hosts.ts'
import { failures, p2pPid, pathTo, requestsInTurn, worstGap } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { hostsInChain, openMiddle } from '../helpers/nat/chain.ts'
import { coturn, TURN_IP, TURN_LOGIN } from '../helpers/nat/coturn.ts'
import { calm, keepsBoundAlone, LATEST_MS, type Span, timesOf } from '../helpers/nat/held-udp.ts'
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

/** Until packets pass between the two of each pair, by the way that it has without UDP. */
const reached = (pairs: readonly Pair[]): Promise<unknown> =>
  waitFor('packets pass between all pairs', PATIENCE_MS, async () =>
    (await Promise.all(pairs.flatMap(endsOf).map(([from, to]) => pathTo(from, to)))).every(
      ({ state, tier }) => tier !== undefined && !NO_WAY.includes(state) && state !== 'P2P_ACTIVE',
    ),
  )
const NO_WAY: readonly string[] = ['CONNECTING', 'ISOLATED']

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
  /** From then on they may not, and no session is left. */
  end(): Promise<unknown>
  /** When a host could first agree with another about UDP, after this moment. Absent: with its first try. */
  readonly begin?: (from: TestHost, to: number, after: number) => number | undefined
}

const firstTry = (from: TestHost, to: number, after: number): number | undefined =>
  timesOf(from, to, /^P2P_ATTEMPTING/).find((at) => at >= after)
const firstLetter = (from: TestHost, to: number, after: number): number | undefined =>
  from
    .logged('host was reached by letters, as it has no link')
    .filter(({ peer }) => peer === to)
    .map(({ time }) => Date.parse(time))
    .find((at) => at >= after)

/** How long the pair took after this moment, as both hosts wrote it down. */
const spanOf = ({ begin = firstTry }: Ready, text: string, pair: Pair, goAt: number): Promise<Span> =>
  waitFor(`${text} is in both logs`, PATIENCE_MS, () => {
    const from = Math.min(...endsOf(pair).map(([host, to]) => begin(host, to, goAt) ?? Number.NaN))
    const both = endsOf(pair).map(([host, to]) => timesOf(host, to, /^P2P_ACTIVE/).find((at) => at >= goAt))
    const to = Math.max(...both.map((at) => at ?? Number.NaN))
    return Number.isFinite(from + to) ? { from, to } : undefined
  })

/** Takes direct paths by these tiers from a host. A person's order ends the wait before the next move of each pair. */
async function withholdAgain(host: TestHost, pairs: readonly Pair[], ...tiers: TierName[]): Promise<void> {
  withhold(host, ...tiers)
  await reached(pairs)
  for (const [from, to] of pairs.flatMap(endsOf)) await from.api(`/v1/paths/${to}/retry`, {})
}

/** Lets them be direct, and judges the pairs by their tiers and times. @returns those that are direct and were late */
async function race(t: Test, ready: Ready, stalls: Stalls): Promise<Ready['pairs']> {
  const goAt = Date.now()
  ready.go()
  await direct(ready.pairs.map(([, pair]) => pair))
  const late: (typeof ready.pairs)[number][] = []
  for (const [setUp, pair] of ready.pairs) {
    const { aimMs, text, tier, withinMs } = setUp
    for (const [from, to] of endsOf(pair))
      t.match(await pathTo(from, to), { state: 'P2P_ACTIVE', tier }, `${text}: ${tier}`)
    const span = await spanOf(ready, text, pair, goAt)
    const found = calm(span, stalls)
    const told = `${text} (aim ${aimMs}) ${found.text} (bound ${withinMs})`
    if (found.ms <= withinMs) t.pass(told)
    // NaN too: it ended before it began.
    else if (!(found.ms <= LATEST_MS)) t.fail(told)
    else {
      t.comment(`late: ${told}`)
      late.push([setUp, pair])
    }
    t.comment(`${text}: ${span.from - goAt} ms until then`)
  }
  return late
}

/** Holds to their bound those that were late beside other work. */
async function judgeAlone(t: Test, ready: Ready, late: Ready['pairs']): Promise<void> {
  for (const [{ text, withinMs }, pair] of late)
    await keepsBoundAlone(t, text, withinMs, async () => {
      await ready.end()
      const goAt = Date.now()
      ready.go()
      return spanOf(ready, text, pair, goAt)
    })
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
  const late = await race(t, ready, stalls)
  for (const [i, requests] of all.entries()) {
    await requests.answered(2 * PER_SECOND)
    const answers = await requests.stop()
    const gap = `worst gap ${worstGap(answers)} ms`
    t.same(failures(answers), [], `none of ${answers.length} requests failed, ${gap}`)
    t.comment(`${ready.pairs[i]?.[0].text}: ${gap}`)
  }
  await judgeAlone(t, ready, late)
}

t.test('in one LAN', { skip: needsRoot, timeout: 300_000 }, async (t) => {
  using stalls = new Stalls()
  const net = await joinedHosts(t, 2, {
    p2p: true,
    arrange: async (net) => withhold(net.host(2), 'ipv4', 'ipv6'),
  })
  const [one, two] = [net.host(1), net.host(2)]
  const ready = {
    hosts: [one, two],
    pairs: [[SET_UPS.lan, [one, two]]],
    go: () => release(two),
    end: () => withholdAgain(two, [[one, two]], 'ipv4', 'ipv6'),
  } as const
  await raceWithRequests(t, ready, stalls)
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
  const both = pairs.map(([, pair]) => pair)
  const switches = { go: () => release(two), end: () => withholdAgain(two, both, 'ice') }
  await raceWithRequests(t, { hosts: all, pairs, ...switches }, stalls)
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
  const useUdp = (isOn: boolean) => (): void => hosts.forEach((host) => void switchUdp(host, isOn))
  const ready = {
    hosts,
    pairs: [[SET_UPS.chain, [three, four]]],
    go: useUdp(true),
    async end() {
      useUdp(false)()
      const isGone = (): boolean => hosts.every((host) => p2pPid(host) === undefined)
      await waitFor('the P2P processes have ended', PATIENCE_MS, isGone)
    },
    begin: firstLetter,
  } as const
  await judgeAlone(t, ready, await race(t, ready, stalls))
  t.match(await one.metrics(), /^flatnet_letters_total\{what="passed"\} [1-9]/m)
})
