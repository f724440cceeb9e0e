/** How much of what a LAN says is read, and for how long nothing is once it said more. */

import type { Millis } from '../../core/clock.ts'
import { Bucket } from '../base/bucket.ts'

/**
 * Bytes read from a link. A LAN with hundreds of devices says some 20 KB a second. Reading costs 1.2 µs a byte at worst
 * (records that point twice to a name of 126 labels), so that a flood takes 8 % of a core.
 */
const READ = { burst: 256 * 1024, perSecond: 64 * 1024 }
/** Node takes 10 µs for a datagram that it drops unread. Short, so that the messages of others get in between. */
const REST_MS: Millis = 200

export class ReadBudget {
  readonly #bytes = new Bucket(READ)
  #floodedUntil: Millis = -Infinity

  /** The last time at which a message may have been dropped unread. */
  get floodedUntil(): Millis {
    return this.#floodedUntil
  }

  /** @returns for how long nothing is to be read, this message included; undefined: it is read */
  spend(bytes: number, now: Millis): Millis | undefined {
    if (this.#bytes.spend(bytes, now)) return undefined
    this.#floodedUntil = now + REST_MS
    return REST_MS
  }
}
