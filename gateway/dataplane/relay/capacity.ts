/** What this gateway gives to pairs of other hosts: how many it carries, how fast, and how much of it is free. */

import type { RelayConf } from '../../../conf/relay.ts'
import type { Millis } from '../../../core/clock.ts'
import type { RelayCapacity } from '../../paths/transport.ts'
import { type Rate, TokenBucket } from './bucket.ts'
import { RelayLimit } from './limits.ts'

/** As the API shows it. */
export interface RelayLoad {
  readonly volunteer: boolean
  /** Carried now. */
  readonly pairs: number
  readonly maxPairs: number
  /** Bits per second, both directions of all pairs, over the last 5 s or so. */
  readonly bps: number
  /** null: only each pair's own bound holds. */
  readonly bandwidthMbit: number | null
  /** null: none is configured. */
  readonly region: string | null
}

/** Long enough for a page and its pictures; the peers are told every 5 s. */
const SAMPLE_MS: Millis = 5_000
const BITS = 8
/**
 * What a pair sends before it waits for its turn: with a piece of each pair in a second, none is silent for the 3 s
 * after which its ends take the connection for dead.
 */
const PIECE_BYTES = 64 * 1024
const MEGA = 1_000_000

export class Capacity {
  readonly #conf: RelayConf
  /** Of all pairs together; undefined: there is no such bound. */
  readonly #bucket: TokenBucket | undefined
  #sampledAt: Millis
  #bytes = 0
  #bps = 0

  /** @param now monotonic, as everywhere here */
  constructor(conf: RelayConf, now: Millis) {
    this.#conf = conf
    this.#sampledAt = now
    const { bandwidthMbit } = conf
    if (bandwidthMbit === undefined) return
    const bytesPerS = (bandwidthMbit * MEGA) / BITS
    // A second's worth at most: the burst of a pair would be 8 s of 1 Mbit/s.
    this.#bucket = new TokenBucket(bytesPerS, Math.min(RelayLimit.burstBytes, bytesPerS), now)
  }

  get maxPairs(): number {
    const { bandwidthMbit, maxPairs } = this.#conf
    if (bandwidthMbit === undefined) return maxPairs
    return Math.max(1, Math.min(maxPairs, Math.floor((bandwidthMbit * MEGA) / BITS / PIECE_BYTES)))
  }

  /** Why it takes on no pair at all, in words for a person; undefined: it does. */
  get refusal(): string | undefined {
    return this.#conf.volunteer ? undefined : 'it does not relay for others (relay.volunteer)'
  }

  /** A pair's bytes count against its own bucket and against that of all pairs. */
  rateOf(pair: Rate): Rate {
    const all = this.#bucket
    if (all === undefined) return pair
    return { reserve: (bytes, now) => Math.max(pair.reserve(bytes, now), all.reserve(bytes, now)) }
  }

  passed(bytes: number): void {
    this.#bytes += bytes
  }

  /** @param pairs that it carries now */
  load(pairs: number, now: Millis): RelayLoad {
    this.#sample(now)
    const { volunteer, bandwidthMbit = null, region = null } = this.#conf
    return { volunteer, pairs, maxPairs: this.maxPairs, bps: Math.round(this.#bps), bandwidthMbit, region }
  }

  /** What the peers choose by. */
  offered(pairs: number, now: Millis): RelayCapacity {
    const { bps, bandwidthMbit, maxPairs, region } = this.load(pairs, now)
    const { refusal } = this
    if (refusal !== undefined) return { freePairs: 0, freeShare: 0, refusal }
    const usedShare = Math.max(pairs / maxPairs, bandwidthMbit === null ? 0 : bps / (bandwidthMbit * MEGA))
    return {
      freePairs: maxPairs - pairs,
      freeShare: Math.max(0, 1 - usedShare),
      ...(region !== null && { region }),
    }
  }

  #sample(now: Millis): void {
    const ms = now - this.#sampledAt
    if (ms < SAMPLE_MS) return
    this.#bps = (this.#bytes * BITS * 1_000) / ms
    this.#bytes = 0
    this.#sampledAt = now
  }
}
