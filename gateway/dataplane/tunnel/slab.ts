/** Buffers that packets are read into and sent from without a copy; reused when no part is in use. */

import { MAX_FRAME } from './frame.ts'

/** Two of the largest frames: room for many small packets, while what a waiting write holds back stays small. */
const SLAB_BYTES = 2 * MAX_FRAME

/** Kept for use; more are left to the garbage collector, so that a burst does not stay in memory. */
const KEPT = 16

export class Slab {
  readonly bytes: Uint8Array = Buffer.allocUnsafeSlow(SLAB_BYTES)
  /** Users of parts of it; the one who fills it counts as one. */
  users = 0
}

export class SlabPool {
  readonly #free: Slab[] = []

  /** One with its first user. */
  reserve(): Slab {
    const slab = this.#free.pop() ?? new Slab()
    slab.users = 1
    return slab
  }

  /** One user less. */
  release(slab: Slab): void {
    slab.users--
    if (slab.users === 0 && this.#free.length < KEPT) this.#free.push(slab)
  }
}
