/** Counts for each tier how often a way was sought and found, and how long that took. */

import { DEFAULT_TIERS, type TiersConf } from '../../conf/tiers.ts'
import { TIERS, type TierInfo, type TierName } from '../../core/api.ts'
import type { Millis } from '../../core/clock.ts'
import type { PathDecision } from './decide.ts'
import type { Candidate } from './transport.ts'

type Phase = 'idle' | 'trying' | 'up'

/** What one kind of path to one host does. */
interface Search {
  phase: Phase
  since: Millis
  /** Of this search, those that were counted as tried. */
  readonly tried: Set<TierName>
}

interface Tally {
  tries: number
  successes: number
  /** The newest last. */
  readonly tookMs: Millis[]
}

/** Of a tier that has no timeout. */
interface Switch {
  readonly enabled: boolean
  readonly timeoutMs?: Millis
}

/** For a median that follows what the network is like now. */
const MAX_TIMES = 101

const KINDS = ['p2p', 'nebula', 'gateway', 'relay'] as const

export class Tiers {
  readonly #tallies = new Map<TierName, Tally>()
  /** By host and kind of path. */
  readonly #searches = new Map<string, Search>()
  readonly #conf: Readonly<Record<TierName, Switch>>

  constructor(conf: TiersConf = DEFAULT_TIERS, usesNebula = false) {
    this.#conf = { ...conf, gateway: { enabled: true }, nebula: { enabled: usesNebula } }
  }

  /** Call it each time that the path to a host is decided. */
  see(hostId: number, candidates: readonly Candidate[], decision: PathDecision, now: Millis): void {
    for (const kind of KINDS) {
      const candidate = candidates.find(({ id }) => id.kind === kind)
      const tiers = candidate?.raced ?? (candidate === undefined ? [] : [candidate.tier])
      const phase = phaseOf(candidate, decision)
      this.#move(`${hostId} ${kind}`, phase, candidate?.tier, tiers, now)
    }
  }

  forget(hostId: number): void {
    for (const kind of KINDS) this.#searches.delete(`${hostId} ${kind}`)
  }

  /** A search that no path shows: of `gossip`, a message was written. */
  tried(name: TierName): void {
    this.#tally(name).tries++
  }

  /** @param tookMs from its beginning; undefined: it was there when this gateway started */
  found(name: TierName, tookMs: Millis | undefined): void {
    const tally = this.#tally(name)
    tally.successes++
    if (tookMs === undefined) return
    tally.tookMs.push(tookMs)
    if (tally.tookMs.length > MAX_TIMES) tally.tookMs.shift()
  }

  /** @param inUse the tier of each host's packets */
  view(inUse: readonly (string | undefined)[]): TierInfo[] {
    return TIERS.map((name) => {
      const { tries = 0, successes = 0, tookMs = [] } = this.#tallies.get(name) ?? {}
      const median = tookMs.toSorted((a, b) => a - b)[Math.floor(tookMs.length / 2)]
      const hosts = inUse.filter((tier) => tier === name).length
      const { enabled, timeoutMs } = this.#conf[name]
      const is = { enabled, ...(timeoutMs !== undefined && { timeoutMs }) }
      return {
        name,
        ...is,
        hosts,
        tries,
        successes,
        ...(median !== undefined && { medianMs: Math.round(median) }),
      }
    })
  }

  #move(
    key: string,
    phase: Phase,
    tier: TierName | undefined,
    raced: readonly TierName[],
    now: Millis,
  ): void {
    const before = this.#searches.get(key)
    const isOther = before?.phase !== phase
    // A search that ends and one that begins are not the same, and one that is found is the one that began.
    const search =
      before !== undefined && (!isOther || phase === 'up')
        ? before
        : { phase, since: now, tried: new Set<TierName>() }
    this.#searches.set(key, search)
    const tried = phase === 'up' && tier !== undefined ? [...raced, tier] : raced
    if (phase !== 'idle') for (const name of tried) this.#try(search, name)
    if (phase === 'up' && isOther && tier !== undefined)
      this.found(tier, before?.phase === 'trying' ? now - search.since : undefined)
    search.phase = phase
  }

  #try({ tried }: Search, name: TierName): void {
    if (tried.has(name)) return
    tried.add(name)
    this.tried(name)
  }

  #tally(name: TierName): Tally {
    const tally = this.#tallies.get(name) ?? { tries: 0, successes: 0, tookMs: [] }
    this.#tallies.set(name, tally)
    return tally
  }
}

/** A relay is sought only when it was chosen; a gateway always. */
function phaseOf(candidate: Candidate | undefined, { via, below, state }: PathDecision): Phase {
  if (candidate === undefined) return 'idle'
  const { escalation, hasChannel, id } = candidate
  if (id.kind === 'p2p' || id.kind === 'nebula') {
    if (escalation?.state === 'P2P_ACTIVE') return 'up'
    return escalation?.state === 'P2P_ATTEMPTING' ? 'trying' : 'idle'
  }
  if (id.kind === 'gateway') return hasChannel ? 'up' : 'trying'
  if ((below?.via ?? via).kind !== 'relay') return 'idle'
  return hasChannel && state !== 'CONNECTING' ? 'up' : 'trying'
}
