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
import { type NatCluster, natCluster } from '../helpers/nat/nat-pairs.ts'
import { NAT_KINDS, type NatKind } from '../helpers/nat/nat-router.ts'
import { ACCESS, type Access, PAIRS, type PairOfKinds } from '../helpers/nat/pair-table.ts'
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

/** When the host wrote down that its path to another was in such a state, wall clock, in order. */
const timesOf = (from: TestHost, to: number, state: RegExp): number[] =>
  from
    .logged('path changed')
    .filter(({ peer, path }) => peer === to && state.test(path))
    .map(({ time }) => Date.parse(time))

/** From when a way could be found until both hosts send by it, as they wrote it down. */
function timeOf(
  { one, two, tier }: Pair,
  freeAt: ReadonlyMap<TestHost, number>,
): { from: number; to: number } {
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
      const { from, to } = await waitFor(`${name} is in both logs`, PATIENCE_MS, () => {
        const found = timeOf(pair, freeAt)
        return Number.isFinite(found.to - found.from) ? found : undefined
      })
      const stalledMs = Math.round(stalls.between(from, to))
      const took = `${to - from} ms, ${stalledMs} of them without a processor (bound ${withinMs})`
      t.ok(to - from - stalledMs <= withinMs, `${name} after ${took}`)
    }
  }
}

/** No UDP but to the hub, until `free`: the first packets go as they go before a try has found anything. */
function hold(net: TestNet): void {
  for (const { index, ns } of net.hosts) {
    if (index === 1) continue
    const drop = (...what: string[]) =>
      ns.exec('nft', 'insert', 'rule', 'inet', 'cut', 'out', ...what, 'drop')
    drop('udp', 'sport', '7443', 'ip', 'daddr', '!=', '192.0.2.1')
    drop('udp', 'sport', '7443', 'meta', 'nfproto', 'ipv6')
  }
}

/** @returns when each host was free, wall clock */
async function free(net: TestNet): Promise<Map<TestHost, number>> {
  const at = new Map<TestHost, number>()
  for (const host of net.hosts) {
    if (host.index !== 1) host.ns.exec('nft', 'flush', 'chain', 'inet', 'cut', 'out')
    at.set(host, Date.now())
  }
  await Promise.all(net.hosts.map((host) => host.api('/v1/paths/retry', {})))
  return at
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
  const cluster = await natCluster(t, kinds, hold)
  const pairs = pairsOf(cluster).filter(isJudged)
  await connected(pairs)
  const requests = await requestsOf(t, pairs)
  await requests.answered(1)
  t.pass('all answer through the hub')
  const freeAt = await free(cluster.net)
  await judge(t, pairs, stalls, freeAt)
  await requests.answered(3)
  await requests.judge(t)
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
