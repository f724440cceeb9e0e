/** The hash of a host's table: SHA-256 over 256 bucket hashes, so that one change costs one bucket. */

import { hash } from 'node:crypto'
import { type Ipv4, type Prefix4, sizeOf } from '../../core/addr.ts'
import type { Assignment } from '../../core/api.ts'
import { ipsOf } from '../registry/table.ts'
import { recordText } from './record.ts'

const BUCKETS = 256
const HASH_BYTES = 32

/** Who holds an address of the slice. */
export type Holder = (ip: Ipv4) => Assignment | undefined

/** A bucket is every 256th address of the slice: one record in a /24, 256 in a /16. */
export class TableHash {
  readonly #slice: Prefix4
  readonly #holder: Holder
  readonly #buckets = Buffer.alloc(BUCKETS * HASH_BYTES)
  readonly #dirty = new Set<number>()

  constructor(slice: Prefix4, holder: Holder) {
    this.#slice = slice
    this.#holder = holder
    this.touchAll()
  }

  touchAll(): void {
    for (let bucket = 0; bucket < BUCKETS; bucket++) this.#dirty.add(bucket)
  }

  /** To be called for each address that has no holder any more. */
  touch(ip: Ipv4): void {
    this.#dirty.add(this.#bucketOf(ip))
  }

  /**
   * Call for each new record. It counts in the bucket of its first address; the others may have had another record's.
   */
  touchRecord(assignment: Assignment): void {
    for (const ip of ipsOf(assignment)) this.#dirty.add(this.#bucketOf(ip))
  }

  /** Lower-case hex. */
  value(): string {
    for (const bucket of this.#dirty) this.#rehash(bucket)
    this.#dirty.clear()
    return hash('sha256', this.#buckets, 'hex')
  }

  #bucketOf(ip: Ipv4): number {
    return (ip - this.#slice.base) % BUCKETS
  }

  #rehash(bucket: number): void {
    const { base, prefixLen } = this.#slice
    const texts: string[] = []
    for (let ip = base + bucket; ip < base + sizeOf(prefixLen); ip += BUCKETS) {
      const holder = this.#holder(ip)
      if (holder !== undefined && ipsOf(holder)[0] === ip) texts.push(recordText(holder))
    }
    const at = bucket * HASH_BYTES
    if (texts.length === 0) this.#buckets.fill(0, at, at + HASH_BYTES)
    else this.#buckets.set(hash('sha256', texts.join('\n'), 'buffer'), at)
  }
}

/** Of a table that is not in the registry. */
export function hashOf(slice: Prefix4, assignments: readonly Assignment[]): string {
  const byFirst = new Map(assignments.map((a) => [ipsOf(a)[0], a]))
  return new TableHash(slice, (ip) => byFirst.get(ip)).value()
}
