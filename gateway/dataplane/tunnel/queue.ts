/**
 * What waits for one peer's connection: bounded in bytes and number, the oldest dropped first.
 *
 * The freshest packets are worth most.
 */

import type { Slab } from './slab.ts'

/** docs/architecture/dataplane.md#queue. At 1 Gbit/s this is 2 ms of traffic. */
const QUEUE_BYTES = 256 * 1024

/** Frames that go to one peer in one piece. */
export interface Batch {
  readonly bytes: Uint8Array
  readonly packets: number
  /** Whose part `bytes` is; undefined for a copy. */
  readonly slab: Slab | undefined
}

export class SendQueue {
  readonly #limit: number
  readonly #dropped: (batch: Batch) => void
  /** A ring would save the moves of shift(), which at 32 entries cost nothing. */
  readonly #batches: Batch[] = []
  #bytes = 0
  #packets = 0

  /** @param dropped called for each batch that had to make room, or was too large itself */
  constructor(dropped: (batch: Batch) => void, limit: number = QUEUE_BYTES) {
    this.#dropped = dropped
    this.#limit = limit
  }

  get bytes(): number {
    return this.#bytes
  }

  get packets(): number {
    return this.#packets
  }

  push(batch: Batch): void {
    this.#batches.push(batch)
    this.#bytes += batch.bytes.byteLength
    this.#packets += batch.packets
    while (this.#bytes > this.#limit) {
      const oldest = this.shift()
      if (oldest !== undefined) this.#dropped(oldest)
    }
  }

  /** The oldest, which is no longer in the queue. */
  shift(): Batch | undefined {
    const batch = this.#batches.shift()
    if (batch === undefined) return undefined
    this.#bytes -= batch.bytes.byteLength
    this.#packets -= batch.packets
    return batch
  }

  /** Drops all. */
  clear(): void {
    for (let batch = this.shift(); batch !== undefined; batch = this.shift()) this.#dropped(batch)
  }
}
