/** Idle connections to one server, and which of them may carry a request that must not be sent twice. */

import type { Millis } from '../../../core/clock.ts'
import type { Wire } from './connection.ts'

/** Below the 5 s after which a Node server, the most impatient of the usual ones, closes idle connections. */
export const IDLE_MS: Millis = 4000
/** With 32 clients, 8 gave 2.8k requests/s, as the rest was dialled anew each time; 64 give 6.3k (2 busy cores). They last IDLE_MS. */
export const MAX_IDLE_PER_CONTAINER = 64

/**
 * A POST goes out on a connection only this soon after its last answer: no server in wide use closes an idle one within 2 s
 * without a word (`Keep-Alive`, `Connection`).
 */
const RECENT_MS: Millis = 1000
/** Whoever closes sooner, for what reason ever, might do so while a POST is on its way: it gets each on a connection of its own for a while. */
const EARLY_MS: Millis = 1500
const DISTRUST_MS: Millis = 60_000

/** Of what a server promises: its clock started earlier, and the request takes its time. */
const OF_PROMISE = 0.8
const RECENT_OF_PROMISE = 0.5

export class IdleWires {
  /** The last used last. */
  readonly #wires: Wire[] = []
  #distrustedUntil: Millis = 0

  keep(wire: Wire, now: Millis, promisedS: number | undefined): void {
    wire.promisedMs = promisedS === undefined ? Number.POSITIVE_INFINITY : promisedS * 1000
    if (wire.promisedMs === 0) {
      wire.destroy()
      return
    }
    // Not the new one: where all others are too old for a POST, each would go on being dialled.
    if (this.#wires.length >= MAX_IDLE_PER_CONTAINER) this.#wires.shift()?.destroy()
    wire.idleSince = now
    this.#wires.push(wire)
    wire.rest(this.#disturbed)
  }

  take(now: Millis, isRepeatable: boolean): Wire | undefined {
    return isRepeatable ? this.#takeLast(now) : this.#takeRecent(now)
  }

  /** @returns nothing is left to be known */
  sweep(now: Millis): boolean {
    // What is to go stands in front.
    const keep = this.#wires.findIndex((w) => isFresh(w, now))
    for (const wire of this.#wires.splice(0, keep < 0 ? this.#wires.length : keep)) wire.destroy()
    return this.#wires.length === 0 && this.#distrustedUntil <= now
  }

  close(): void {
    for (const wire of this.#wires.splice(0)) wire.destroy()
  }

  #takeLast(now: Millis): Wire | undefined {
    for (let wire = this.#wires.pop(); wire !== undefined; wire = this.#wires.pop()) {
      if (isFresh(wire, now)) return wire
      wire.destroy()
    }
    return undefined
  }

  /** The one that has been quiet longest: the end that a server sends right behind an answer has had the most time to arrive. */
  #takeRecent(now: Millis): Wire | undefined {
    for (;;) {
      if (this.#distrustedUntil > now) return undefined
      const at = this.#wires.findIndex((w) => isRecent(w, now))
      if (at < 0) return undefined
      const [wire] = this.#wires.splice(at, 1)
      if (wire!.isQuiet) return wire
      wire!.destroy()
      this.lost(wire!, now)
    }
  }

  /** The server has ended a connection that served before, and had not said so. */
  lost({ idleSince }: Wire, now: Millis): void {
    if (now - idleSince < EARLY_MS) this.#distrustedUntil = now + DISTRUST_MS
  }

  readonly #disturbed = (wire: Wire): void => {
    const at = this.#wires.indexOf(wire)
    if (at >= 0) this.#wires.splice(at, 1)
    this.lost(wire, performance.now())
  }
}

const isFresh = (wire: Wire, now: Millis): boolean =>
  wire.isUsable && now - wire.idleSince < Math.min(IDLE_MS, wire.promisedMs * OF_PROMISE)

const isRecent = (wire: Wire, now: Millis): boolean =>
  wire.isUsable && now - wire.idleSince < Math.min(RECENT_MS, wire.promisedMs * RECENT_OF_PROMISE)
