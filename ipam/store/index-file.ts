/** The index of a store while its lock is held: read once, written with each change, dropped in doubt. */

import type { Ipv4 } from '../../core/addr.ts'
import type { Leases } from './block.ts'
import {
  type BlockIndex,
  covers,
  note,
  readIndex,
  removeIndex,
  setCursor,
  summarise,
  writeIndex,
} from './block-index.ts'

export class IndexFile {
  readonly #path: string
  /** As on disk; `undefined` when there is none, `null` before it was read. */
  #index: BlockIndex | undefined | null = null
  constructor(path: string) {
    this.#path = path
  }

  /** Read once: the lock is held, so no other process writes it. */
  known(): BlockIndex | undefined {
    if (this.#index === null) this.#index = readIndex(this.#path)
    return this.#index
  }

  save(index: BlockIndex): void {
    this.#index = index
    writeIndex(this.#path, index)
  }

  drop(): void {
    this.#index = undefined
    removeIndex(this.#path)
  }

  /** Only when there is one: slices of one block have none. */
  update(base: Ipv4, block: Leases, cursor?: Ipv4): void {
    const index = this.known()
    if (index === undefined || !covers(index, base)) return
    note(index, base, summarise(block, base, index))
    if (cursor !== undefined) setCursor(index, cursor)
    this.save(index)
  }
}
