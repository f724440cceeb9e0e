/** Pairs of hosts behind routers of several kinds: which ones a cluster has, and which ways their packets go. */
import type { PathInfo } from '../../../core/api.ts'
import type { TestHost } from '../cluster/hosts.ts'
import { waitFor } from '../run/wait.ts'
import type { NatCluster } from './nat-pairs.ts'
import { type Access, PAIRS, type PairOfKinds } from './pair-table.ts'

export const PATIENCE_MS = 60_000
/** Asked of each host once in a while: questions about each pair would keep the gateways busy. */
const LOOK_MS = 200

/** A host of a pair. */
export interface End {
  readonly host: TestHost
  /** Its IPv4 addresses, and those of its router, that UDP for it goes to. */
  readonly addresses: readonly string[]
}

export interface Pair extends PairOfKinds {
  readonly ends: readonly [End, End]
  readonly one: TestHost
  readonly two: TestHost
}

/** The pairs of the table that this cluster has. */
export function pairsOf({ hub, hosts }: NatCluster): Pair[] {
  const all: readonly (End & { readonly kind: Access })[] = [
    { host: hub, kind: 'public', addresses: [hub.ip] },
    ...hosts.map(({ host, kind, behind: { hostIp, publicIp } }) => ({
      ...{ host, kind },
      addresses: [hostIp, publicIp],
    })),
  ]
  return all.flatMap((one, i) =>
    all.slice(i + 1).flatMap((two) => {
      const found = PAIRS.find(({ a, b }) => a === one.kind && b === two.kind)
      return found === undefined ? [] : [{ ...found, ends: [one, two], one: one.host, two: two.host }]
    }),
  )
}

/** Each host of a pair with the number of the other one. */
export const directionsOf = ({
  one,
  two,
}: Pick<Pair, 'one' | 'two'>): [[from: TestHost, to: number], [from: TestHost, to: number]] => [
  [one, two.index],
  [two, one.index],
]

export type Ways = readonly (PathInfo | undefined)[]

/** How each of the two sees its path to the other. */
export async function waysOf(pairs: readonly Pair[]): Promise<Map<Pair, Ways>> {
  const hosts = new Set(pairs.flatMap(({ one, two }) => [one, two]))
  const lists = [...hosts].map(
    async (host): Promise<[TestHost, PathInfo[]]> => [host, await host.api('/v1/paths')],
  )
  const paths = new Map(await Promise.all(lists))
  const way = (from: TestHost, to: number) => paths.get(from)?.find(({ hostId }) => hostId === to)
  return new Map(pairs.map((pair) => [pair, directionsOf(pair).map(([from, to]) => way(from, to))]))
}

/** Whether packets pass by it. */
export const passes = (way: PathInfo | undefined): boolean =>
  way?.tier !== undefined && way.state !== 'CONNECTING'

/** Waits until packets pass between the two of each pair, one way or the other. */
export const connected = (pairs: readonly Pair[]): Promise<unknown> =>
  waitFor('all pairs are connected', PATIENCE_MS, async () =>
    [...(await waysOf(pairs)).values()].flat().every(passes),
  )

/** On a busy machine the hub's relay is late, and members carry the offers before it: then UDP counts as `punch`. */
const isBy = ({ tier }: Pair, way: PathInfo | undefined): boolean =>
  way?.tier === tier || (tier === 'ice' && way?.tier === 'punch')

/** Waits until all go by their tiers. @returns those that do not */
export async function settled(pairs: readonly Pair[]): Promise<Map<Pair, Ways>> {
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
