/** Idle connections to one server, and which of them may carry a request that must not be sent twice. */

import type { Millis } from '../../../core/clock.ts'
import type { UpstreamConnection } from './connection.ts'

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

export class IdleConnections {
  /** The last used last. */
  readonly #connections: UpstreamConnection[] = []
  #distrustedUntil: Millis = 0

  keep(connection: UpstreamConnection, now: Millis, promisedS: number | undefined): void {
    connection.promisedMs = promisedS === undefined ? Number.POSITIVE_INFINITY : promisedS * 1000
    if (connection.promisedMs === 0) {
      connection.destroy()
      return
    }
    // Not the new one: where all others are too old for a POST, each would go on being dialled.
    if (this.#connections.length >= MAX_IDLE_PER_CONTAINER) this.#connections.shift()?.destroy()
    connection.idleSince = now
    this.#connections.push(connection)
    connection.rest(this.#disturbed)
  }

  reserve(now: Millis, isRepeatable: boolean): UpstreamConnection | undefined {
    return isRepeatable ? this.#reserveLast(now) : this.#reserveRecent(now)
  }

  /** @returns nothing is left to be known */
  sweep(now: Millis): boolean {
    // What is to go stands in front.
    const keep = this.#connections.findIndex((w) => isFresh(w, now))
    for (const connection of this.#connections.splice(0, keep < 0 ? this.#connections.length : keep))
      connection.destroy()
    return this.#connections.length === 0 && this.#distrustedUntil <= now
  }

  close(): void {
    for (const connection of this.#connections.splice(0)) connection.destroy()
  }

  #reserveLast(now: Millis): UpstreamConnection | undefined {
    for (
      let connection = this.#connections.pop();
      connection !== undefined;
      connection = this.#connections.pop()
    ) {
      if (isFresh(connection, now)) return connection
      connection.destroy()
    }
    return undefined
  }

  /** The one that has been quiet longest: the end that a server sends right behind an answer has had the most time to arrive. */
  #reserveRecent(now: Millis): UpstreamConnection | undefined {
    for (;;) {
      if (this.#distrustedUntil > now) return undefined
      const at = this.#connections.findIndex((w) => isRecent(w, now))
      if (at < 0) return undefined
      const [connection] = this.#connections.splice(at, 1)
      if (connection!.isQuiet) return connection
      connection!.destroy()
      this.lost(connection!, now)
    }
  }

  /** The server has ended a connection that served before, and had not said so. */
  lost({ idleSince }: UpstreamConnection, now: Millis): void {
    if (now - idleSince < EARLY_MS) this.#distrustedUntil = now + DISTRUST_MS
  }

  readonly #disturbed = (connection: UpstreamConnection): void => {
    const at = this.#connections.indexOf(connection)
    if (at >= 0) this.#connections.splice(at, 1)
    this.lost(connection, performance.now())
  }
}

const isFresh = (connection: UpstreamConnection, now: Millis): boolean =>
  connection.isUsable && now - connection.idleSince < Math.min(IDLE_MS, connection.promisedMs * OF_PROMISE)

const isRecent = (connection: UpstreamConnection, now: Millis): boolean =>
  connection.isUsable &&
  now - connection.idleSince < Math.min(RECENT_MS, connection.promisedMs * RECENT_OF_PROMISE)
