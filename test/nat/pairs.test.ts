/**
 * Every pair of kinds of access is connected at once through the hub, and then by the tier and within the time that the
 * table in helpers/nat says, while requests go on. A pair that is late beside all others is held to its time by itself.
 */
import t, { type Test } from 'tap'
import { type HostContainer, hostContainer } from '../helpers/cluster/host-container.ts'
import type { TestHost, TestNet } from '../helpers/cluster/hosts.ts'
import { requestsInTurn } from '../helpers/cluster/p2p-pair.ts'
import { needsRoot } from '../helpers/kernel/netns.ts'
import { calm, free, hold, keepsBoundAlone, LATEST_MS, type Span } from '../helpers/nat/held-udp.ts'
import {
  connected,
  directionsOf,
  PATIENCE_MS,
  type Pair,
  pairsOf,
  settled,
  waysOf,
} from '../helpers/nat/nat-pair.ts'
import { type NatCluster, natCluster } from '../helpers/nat/nat-pairs.ts'
import { NAT_KINDS, type NatKind } from '../helpers/nat/nat-router.ts'
import { ACCESS } from '../helpers/nat/pair-table.ts'
import { timeAgain, timeInCrowd } from '../helpers/nat/pair-times.ts'
import { outlookOf, WAY, whyNot } from '../helpers/nat/pair-words.ts'
import { Stalls } from '../helpers/run/stalls.ts'
import { waitFor } from '../helpers/run/wait.ts'

/** For each pair: busybox's httpd lets 9 connections wait, and the last host is asked by all others. */
const PER_SECOND = 0.5

function tellHistory(t: Test, pair: Pair): void {
  for (const [from, to] of directionsOf(pair))
    for (const { time, path, reason, peer } of from.logged('path changed'))
      if (peer === to) t.comment(`${time} host ${from.index} to ${to}: ${path}, ${reason}`)
}

const nameOf = ({ a, b, tier }: Pair): string => `${ACCESS[a]} and ${ACCESS[b]}: ${tier}`

/** Judges the pairs, once they had time to settle. @returns those that are on their way and were late */
async function judge(
  t: Test,
  pairs: readonly Pair[],
  stalls: Stalls,
  freeAt: ReadonlyMap<TestHost, number>,
): Promise<Pair[]> {
  const open = await settled(pairs)
  const late: Pair[] = []
  for (const pair of pairs) {
    const ways = open.get(pair)
    if (ways !== undefined) {
      t.fail(nameOf(pair), { ways })
      continue
    }
    t.pass(nameOf(pair))
    const { ms, text } = calm(await timeInCrowd(pair, freeAt), stalls)
    const told = `${nameOf(pair)} ${text} (bound ${pair.withinMs})`
    if (ms <= pair.withinMs) t.pass(told)
    // NaN too: it ended before it began.
    else if (!(ms <= LATEST_MS)) t.fail(told)
    else {
      t.comment(`late beside all others: ${told}`)
      late.push(pair)
    }
  }
  return late
}

/** The bound is that of a pair on a machine that does nothing else. In the crowd 36 pairs share two processors. */
async function judgeAlone(t: Test, late: readonly Pair[]): Promise<void> {
  for (const pair of late) {
    const again = (): Promise<Span> => timeAgain(pair)
    if (!(await keepsBoundAlone(t, nameOf(pair), pair.withinMs, again))) tellHistory(t, pair)
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
  const late = await judge(t, pairs, stalls, freeAt)
  await requests.answered(3)
  await requests.judge(t)
  await sayWhyNot(t, pairs)
  // Twins are of kinds that the one cluster of all has.
  if (kinds === NAT_KINDS) await sayWhatIs(t, cluster, pairs)
  await judgeAlone(t, late)
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
