/** How long a pair takes to its way: in the crowd in which all begin, and again by itself. */
import type { PathInfo } from '../../../core/api.ts'
import { switchUdpWith } from '../cluster/configure.ts'
import type { TestHost } from '../cluster/hosts.ts'
import { pathTo } from '../cluster/p2p-pair.ts'
import { waitFor } from '../run/wait.ts'
import { freeBetween, holdBetween, type Span, timesOf } from './held-udp.ts'
import { directionsOf, PATIENCE_MS, type Pair, passes } from './nat-pair.ts'

/** Packets pass through the hub; one that is chosen only, and not made yet, is CONNECTING. */
const RELAYED = /^(?!CONNECTING).* relay:1$/
const WITH_HUB = /^GATEWAY|^P2P/

/** When the later end of both wrote such a state down first, from then on; NaN: not yet. */
const bothSince = (pair: Pair, state: RegExp, since: number): number =>
  Math.max(
    ...directionsOf(pair).map(
      ([from, to]) => timesOf(from, to, state).find((at) => at >= since) ?? Number.NaN,
    ),
  )

/** From when a way could be found until both hosts send by it, as they wrote it down. */
function firstTime(pair: Pair, freeAt: ReadonlyMap<TestHost, number>): Span {
  const { one, two, tier } = pair
  if (tier === 'ice') {
    const from = Math.max(...[one, two].map((host) => freeAt.get(host) ?? Number.NaN))
    return { from, to: bothSince(pair, /^P2P_ACTIVE/, 0) }
  }
  if (tier === 'relay') {
    const reached = [one, two].map((host) => timesOf(host, 1, WITH_HUB)[0] ?? Number.NaN)
    return { from: Math.max(...reached), to: bothSince(pair, RELAYED, 0) }
  }
  const to = bothSince(pair, tier === 'gateway' ? / gateway$/ : /^P2P_ACTIVE/, 0)
  return { from: Math.max(...timesOf(one, two.index, /./).filter((at) => at < to)), to }
}

const written = (what: string, span: () => Span): Promise<Span> =>
  waitFor(`${what} is in both logs`, PATIENCE_MS, () => {
    const found = span()
    return Number.isFinite(found.to - found.from) ? found : undefined
  })

/** In the crowd. */
export const timeInCrowd = (pair: Pair, freeAt: ReadonlyMap<TestHost, number>): Promise<Span> =>
  written('the way of each pair', () => firstTime(pair, freeAt))

/** Makes the pair find its way anew, while all others have theirs. */
export const timeAgain = (pair: Pair): Promise<Span> =>
  pair.tier === 'ice' || pair.tier === 'ipv4' ? byUdpAgain(pair) : byTlsAgain(pair)

/**
 * Ends the session of the two, since a path that failed is proven for longer, and keeps UDP between them from passing
 * until both try by the way that they have without it.
 */
async function byUdpAgain(pair: Pair): Promise<Span> {
  const { one, two } = pair
  const until = (what: string, isSo: (way: PathInfo) => boolean): Promise<unknown> =>
    waitFor(what, PATIENCE_MS, async () =>
      (await Promise.all(directionsOf(pair).map(([from, to]) => pathTo(from, to)))).every(isSo),
    )
  switchUdpWith(two, one.index, false)
  await until('the pair has left UDP', (way) => passes(way) && way.state !== 'P2P_ACTIVE')
  holdBetween(pair.ends)
  switchUdpWith(two, one.index, true)
  await until('both try', (way) => passes(way) && way.state === 'P2P_ATTEMPTING')
  const from = await freeBetween(pair.ends)
  return written('the direct way', () => ({ from, to: bothSince(pair, /^P2P_ACTIVE/, from) }))
}

/** Starts one gateway of the two anew. */
async function byTlsAgain(pair: Pair): Promise<Span> {
  const { one, two } = pair
  await two.stop()
  await waitFor('the other host has no way', PATIENCE_MS, async () => !passes(await pathTo(one, two.index)))
  const startedAt = Date.now()
  await two.start()
  const isRelayed = pair.tier === 'relay'
  return written('the way by TLS', () => {
    const begun = timesOf(two, 1, isRelayed ? WITH_HUB : /./).find((at) => at >= startedAt)
    return { from: begun ?? Number.NaN, to: bothSince(pair, isRelayed ? RELAYED : / gateway$/, startedAt) }
  })
}
