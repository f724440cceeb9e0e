/** Which pairs of hosts this gateway carries, and whether it takes one more. Pure: no streams. */

import type { Millis } from '../../../core/clock.ts'
import { TokenBucket } from './bucket.ts'
import type { Circuit } from './circuit.ts'
import { RelayLimit } from './limits.ts'

/** Half of all: one host that has lost its way to the others must not take the relay from them. */
const SHARE_OF_PEER = 1 / 2

interface Pair {
  /** Of both directions, and of both connections while the ends agree on one. */
  readonly bucket: TokenBucket
  readonly circuits: Map<number, Circuit>
}

/** Far more than are carried at once: a pair that comes back finds what it has spent. */
const MAX_BUCKETS = 1_024

const keyOf = (a: number, b: number): string => `${Math.min(a, b)}-${Math.max(a, b)}`

export class Pairs {
  readonly #max: number
  readonly #maxOfPeer: number
  readonly #pairs = new Map<string, Pair>()
  /** Also of pairs that ended a moment ago; in order of their last begin. */
  readonly #buckets = new Map<string, TokenBucket>()

  /** @param max at once */
  constructor(max: number) {
    this.#max = max
    this.#maxOfPeer = Math.ceil(max * SHARE_OF_PEER)
  }

  get size(): number {
    return this.#pairs.size
  }

  get free(): number {
    return this.#max - this.#pairs.size
  }

  all(): Circuit[] {
    return [...this.#pairs.values()].flatMap((p) => [...p.circuits.values()])
  }

  /** @returns why there is no room for the pair; undefined: there is */
  refusal(from: number, to: number): string | undefined {
    if (this.#pairs.has(keyOf(from, to))) return undefined
    if (this.free <= 0) return `it relays ${this.#pairs.size} pairs, and no more`
    const full = [from, to].find((hostId) => this.#pairsOf(hostId) >= this.#maxOfPeer)
    return full === undefined ? undefined : `it relays ${this.#maxOfPeer} pairs of host ${full}, and no more`
  }

  /** After `refusal`. A circuit that the same end opened before is ended: that end has lost it. */
  enter(circuit: Circuit, now: Millis): TokenBucket {
    const key = keyOf(circuit.from, circuit.to)
    const pair = this.#pairs.get(key) ?? {
      bucket: this.#bucketOf(key, now),
      circuits: new Map<number, Circuit>(),
    }
    this.#pairs.set(key, pair)
    const before = pair.circuits.get(circuit.from)
    pair.circuits.set(circuit.from, circuit)
    before?.end('opened anew')
    return pair.bucket
  }

  /** Idempotent. */
  leave(circuit: Circuit): void {
    const key = keyOf(circuit.from, circuit.to)
    const pair = this.#pairs.get(key)
    if (pair?.circuits.get(circuit.from) !== circuit) return
    pair.circuits.delete(circuit.from)
    if (pair.circuits.size === 0) this.#pairs.delete(key)
  }

  #bucketOf(key: string, now: Millis): TokenBucket {
    const bucket = this.#buckets.get(key) ?? new TokenBucket(RelayLimit.bytesPerS, RelayLimit.burstBytes, now)
    this.#buckets.delete(key)
    this.#buckets.set(key, bucket)
    const [oldest] = this.#buckets.keys()
    if (this.#buckets.size > MAX_BUCKETS && oldest !== undefined) this.#buckets.delete(oldest)
    return bucket
  }

  #pairsOf(hostId: number): number {
    let count = 0
    for (const { circuits } of this.#pairs.values()) {
      const [circuit] = circuits.values()
      if (circuit?.from === hostId || circuit?.to === hostId) count++
    }
    return count
  }
}
