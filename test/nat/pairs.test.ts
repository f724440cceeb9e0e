/**
 * Every pair of kinds of access is connected at once through the hub, and then by the tier and within the time that the
 * table in helpers/nat says, while requests go on.
 */
import t, { type Test } from 'tap'
import type { PathInfo } from '../../core/api.ts'
import { type HostContainer, hostContainer } from '../helpers/cluster/host-container.ts'
import type { TestHost, TestNet } from '../helpers/cluster/hosts.ts'
import { requestsInTurn } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { free, heldTo, hold, type Span, timesOf } from '../helpers/nat/held-udp.ts'
import { type NatCluster, natCluster } from '../helpers/nat/nat-pairs.ts'
import { NAT_KINDS, type NatKind } from '../helpers/nat/nat-router.ts'
import { ACCESS, type Access, PAIRS, type PairOfKinds } from '../helpers/nat/pair-table.ts'
import { outlookOf, WAY, whyNot } from '../helpers/nat/pair-words.ts'
import { Stalls } from '../helpers/run/stalls.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** For each pair: busybox's httpd lets 9 connections wait, and the last host is asked by all others. */
const PER_SECOND = 0.5
const PATIENCE_MS = 60_000
/** Asked of each host once in a while: questions about each pair would keep the gateways busy. */
const LOOK_MS = 200

interface Pair extends PairOfKinds {
  readonly one: TestHost
  readonly two: TestHost
}

/** The pairs of the table that this cluster has. */
function pairsOf({ hub, hosts }: NatCluster): Pair[] {
  const all: readonly { readonly host: TestHost; readonly kind: Access }[] = [
    { host: hub, kind: 'public' },
    ...hosts,
  ]
  return all.flatMap((one, i) =>
    all.slice(i + 1).flatMap((two) => {
      const found = PAIRS.find(({ a, b }) => a === one.kind && b === two.kind)
      return found === undefined ? [] : [{ ...found, one: one.host, two: two.host }]
    }),
  )
}

type Ways = readonly (PathInfo | undefined)[]

/** How each of the two sees its path to the other. */
async function waysOf(pairs: readonly Pair[]): Promise<Map<Pair, Ways>> {
  const hosts = new Set(pairs.flatMap(({ one, two }) => [one, two]))
  const lists = [...hosts].map(
    async (host): Promise<[TestHost, PathInfo[]]> => [host, await host.api('/v1/paths')],
  )
  const paths = new Map(await Promise.all(lists))
  const way = (from: TestHost, to: TestHost) => paths.get(from)?.find(({ hostId }) => hostId === to.index)
  return new Map(pairs.map((pair) => [pair, [way(pair.one, pair.two), way(pair.two, pair.one)]]))
}

/** Waits until packets pass between the two of each pair, one way or the other. */
const connected = (pairs: readonly Pair[]): Promise<unknown> =>
  waitFor('all pairs are connected', PATIENCE_MS, async () =>
    [...(await waysOf(pairs)).values()]
      .flat()
      .every((way) => way?.tier !== undefined && way.state !== 'CONNECTING'),
  )

/** On a busy machine the hub's relay is late, and members carry the offers before it: then UDP counts as `punch`. */
const isBy = ({ tier }: Pair, way: PathInfo | undefined): boolean =>
  way?.tier === tier || (tier === 'ice' && way?.tier === 'punch')

/** Waits until all go by their tiers. @returns those that do not */
async function settled(pairs: readonly Pair[]): Promise<Map<Pair, Ways>> {
  const open = new Map<Pair, Ways>()
  const look = async () => {
    const ways = await waysOf(pairs)
    open.clear()
    for (const [pair, both] of ways) if (!both.every((way) => isBy(pair, way))) open.set(pair, both)
    return open.size === 0
  }
  try {
    await waitFor('all pairs go by their tiers', PATIENCE_MS, look, { mostPauseMs: LOOK_MS })
  } catch (cause) {
    if (open.size === 0) throw cause
  }
  return open
}

/** From when a way could be found until both hosts send by it, as they wrote it down. */
function timeOf({ one, two, tier }: Pair, freeAt: ReadonlyMap<TestHost, number>): Span {
  const ends = [
    [one, two.index],
    [two, one.index],
  ] as const
  const first = (state: RegExp): number =>
    Math.max(...ends.map(([from, to]) => timesOf(from, to, state)[0] ?? Number.NaN))
  if (tier === 'ice') {
    const from = Math.max(...[one, two].map((host) => freeAt.get(host) ?? Number.NaN))
    return { from, to: first(/^P2P_ACTIVE/) }
  }
  if (tier === 'relay') {
    const reached = [one, two].map((host) => timesOf(host, 1, /^GATEWAY|^P2P/)[0] ?? Number.NaN)
    return { from: Math.max(...reached), to: first(/ relay:1$/) }
  }
  const to = first(tier === 'gateway' ? / gateway$/ : /^P2P_ACTIVE/)
  return { from: Math.max(...timesOf(one, two.index, /./).filter((at) => at < to)), to }
}

function tellHistory(t: Test, { one, two }: Pair): void {
  for (const [from, to] of [
    [one, two.index],
    [two, one.index],
  ] as const)
    for (const { time, path, reason, peer } of from.logged('path changed'))
      if (peer === to) t.comment(`${time} host ${from.index} to ${to}: ${path}, ${reason}`)
}

/** Judges the pairs, once they had time to settle. */
async function judge(
  t: Test,
  pairs: readonly Pair[],
  stalls: Stalls,
  freeAt: ReadonlyMap<TestHost, number>,
): Promise<void> {
  const open = await settled(pairs)
  for (const pair of pairs) {
    const { a, b, tier, withinMs } = pair
    const name = `${ACCESS[a]} and ${ACCESS[b]}: ${tier}`
    const ways = open.get(pair)
    if (ways !== undefined) t.fail(name, { ways })
    else {
      const span = await waitFor(`${name} is in both logs`, PATIENCE_MS, () => {
        const found = timeOf(pair, freeAt)
        return Number.isFinite(found.to - found.from) ? found : undefined
      })
      if (!heldTo(t, name, span, stalls, withinMs)) tellHistory(t, pair)
    }
  }
}

/** What a host's executable prints, in one line. */
const printed = async (host: TestHost, ...args: string[]): Promise<string> =>
  (await host.flatnet(...args)).stdout.replaceAll(/\n(?!\n)/g, ' ')

/** Waits until either end of each pair that is not direct says why, and at which end; then reads it in status. */
async function sayWhyNot(t: Test, pairs: readonly Pair[]): Promise<void> {
  const indirect = pairs.flatMap((pair) => {
    const words = whyNot(pair)
    return words === undefined ? [] : [{ pair, words }]
  })
  let said: unknown
  await waitFor('the cause of each pair is told', PATIENCE_MS, async () => {
    const ways = await waysOf(indirect.map(({ pair }) => pair))
    said = [...ways].map(([{ a, b }, both]) => [a, b, both.map((way) => way?.p2p?.reason)])
    return indirect.every(({ pair, words }) =>
      words.every((word, end) => word.test(ways.get(pair)?.[end]?.p2p?.reason ?? '')),
    )
  }).catch((cause) => {
    throw new Error(JSON.stringify(said), { cause })
  })
  const texts = new Map<TestHost, string>()
  for (const host of new Set(indirect.flatMap(({ pair: { one, two } }) => [one, two])))
    texts.set(host, await printed(host, 'status'))
  for (const { pair, words } of indirect)
    for (const [end, from, to] of [
      [0, pair.one, pair.two],
      [1, pair.two, pair.one],
    ] as const) {
      const [, rest = ''] = texts.get(from)?.split(`host ${to.index} is not direct: `) ?? []
      const [line = ''] = rest.split(/ host \d+ is not direct: /)
      t.match(line, words[end], `${ACCESS[pair.a]} and ${ACCESS[pair.b]}: ${line.trim()}`)
    }
}

/** Tiers names the way of each pair, and netcheck says what a host of each kind becomes direct with. */
async function sayWhatIs(t: Test, { hub, hosts }: NatCluster, pairs: readonly Pair[]): Promise<void> {
  const tiers = new Map<TestHost, string>()
  for (const host of new Set(pairs.map(({ one }) => one))) tiers.set(host, await host.ok('tiers'))
  for (const { a, b, one, tier } of pairs)
    if (tier in WAY)
      t.match(tiers.get(one), WAY[tier as keyof typeof WAY], `${ACCESS[a]} and ${ACCESS[b]}: ${tier}`)
  // Most of its time it waits.
  const outlooks = [{ host: hub, kind: 'public' as const }, ...hosts].map(async ({ host, kind }) => {
    const { stdout } = await host.flatnet('netcheck')
    t.match(stdout, outlookOf(kind), `netcheck of a host that is ${ACCESS[kind]}`)
  })
  await Promise.all(outlooks)
}

/** Requests between the two of each pair, until stopped. */
async function requestsOf(t: Test, pairs: readonly Pair[]) {
  const hosts = new Set(pairs.flatMap(({ one, two }) => [one, two]))
  const containers = new Map<TestHost, HostContainer>()
  // One after another: hosts that share two processors must not all be busy at once.
  for (const host of hosts) containers.set(host, await hostContainer(t, host, `web${host.index}`))
  const all = [...hosts].flatMap((one) => {
    const own = pairs.filter((pair) => pair.one === one)
    const from = containers.get(one)
    if (from === undefined || own.length === 0) return []
    const to = own.flatMap(({ two }) => containers.get(two) ?? [])
    return [{ own, requests: requestsInTurn(from, to, PER_SECOND * to.length) }]
  })
  return {
    answered: (each: number) =>
      Promise.all(all.map(({ own, requests }) => requests.answered(each * own.length))),
    async judge(t: Test): Promise<void> {
      for (const { own, requests } of all) {
        const answers = await requests.stop()
        for (const [i, { a, b }] of own.entries()) {
          const some = answers.filter(([, , , of]) => of === i)
          const failed = some.filter(([, , outcome]) => outcome !== 200)
          t.ok(some.length > 1)
          t.same(failed, [], `${ACCESS[a]} to ${ACCESS[b]}: none of ${some.length} requests failed`)
        }
      }
    },
  }
}

/** Connects the hosts through the hub, then lets UDP pass, with requests between all pairs all the time. */
async function race(
  t: Test,
  kinds: readonly NatKind[],
  isJudged: (pair: Pair) => boolean = () => true,
): Promise<void> {
  using stalls = new Stalls()
  const held = ({ hosts }: TestNet): TestHost[] => hosts.filter(({ index }) => index !== 1)
  const cluster = await natCluster(t, kinds, (net) => hold(held(net)))
  const pairs = pairsOf(cluster).filter(isJudged)
  await connected(pairs)
  const requests = await requestsOf(t, pairs)
  await requests.answered(1)
  t.pass('all answer through the hub')
  const freeAt = await free(held(cluster.net), cluster.net.hosts)
  await judge(t, pairs, stalls, freeAt)
  await requests.answered(3)
  await requests.judge(t)
  await sayWhyNot(t, pairs)
  // Twins are of kinds that the one cluster of all has.
  if (kinds === NAT_KINDS) await sayWhatIs(t, cluster, pairs)
}

t.test('every two kinds of access', { skip: needsRoot, timeout: 600_000 }, (t) => race(t, NAT_KINDS))

/** Two kinds at a time: five gateways, where one cluster of all would be seventeen at once. */
const TWINS = [
  ['cone', 'addressRestricted'],
  ['portRestricted', 'cgnat'],
  ['ipv6', 'symmetric'],
  ['hairpin', 'udpBlocked'],
] as const satisfies readonly (readonly NatKind[])[]
for (const kinds of TWINS)
  t.test(`twice ${kinds.join(', twice ')}`, { skip: needsRoot, timeout: 300_000 }, (t) =>
    race(
      t,
      kinds.flatMap((kind) => [kind, kind]),
      ({ a, b }) => a === b,
    ),
  )
