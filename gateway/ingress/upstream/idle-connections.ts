/** Idle connections to one server, and which of them may carry a request that goes once. */

import type { Millis } from '../../../core/clock.ts'
import type { UpstreamConnection } from './connection.ts'

/** Below the 5 s after which a Node server, the most impatient of the usual ones, closes idle connections. */
export const IDLE_MS: Millis = 4000
/** With 32 clients, 8 gave 2.8k requests/s, as most requests dialled; 64 give 6.3k (2 busy cores). */
export const MAX_IDLE_PER_CONTAINER = 64

/**
 * A POST goes out on a connection only this soon after its last answer: no server in wide use closes an idle one within
 * 2 s without announcing it (`Keep-Alive`, `Connection`).
 */
const RECENT_MS: Millis = 1000
/**
 * A server that closed this early may close again under a POST, so POSTs to it use fresh connections for
 * DISTRUST_MS.
 */
const EARLY_MS: Millis = 1500
const DISTRUST_MS: Millis = 60_000

/** Shares of the promised time: the server's clock started earlier, and a request takes time to arrive. */
const OF_PROMISE = 0.8
const RECENT_OF_PROMISE = 0.5

export class IdleConnections {
  /** Least recently used first. */
  readonly #connections: UpstreamConnection[] = []
  #distrustedUntil: Millis = 0

  keep(connection: UpstreamConnection, now: Millis, promisedS: number | undefined): void {
    connection.promisedMs = promisedS === undefined ? Number.POSITIVE_INFINITY : promisedS * 1000
    if (connection.promisedMs === 0) {
      connection.destroy()
      return
    }
    // The oldest goes, not the new one: if all kept ones were too old for a POST, each POST would dial.
    if (this.#connections.length >= MAX_IDLE_PER_CONTAINER) this.#connections.shift()?.destroy()
    connection.idleSince = now
    this.#connections.push(connection)
    connection.rest(this.#disturbed)
  }

  reserve(now: Millis, isRepeatable: boolean): UpstreamConnection | undefined {
    return isRepeatable ? this.#reserveLast(now) : this.#reserveRecent(now)
  }

  /** @returns true: nothing is kept or remembered */
  sweep(now: Millis): boolean {
    // The oldest stand in front.
    const keep = this.#connections.findIndex((c) => isFresh(c, now))
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

  /** The one idle for longest: an end that the server sent right after an answer has had the most time to arrive. */
  #reserveRecent(now: Millis): UpstreamConnection | undefined {
    for (;;) {
      if (this.#distrustedUntil > now) return undefined
      const at = this.#connections.findIndex((c) => isRecent(c, now))
      if (at < 0) return undefined
      const [connection] = this.#connections.splice(at, 1)
      if (connection!.isQuiet) return connection
      connection!.destroy()
      this.lost(connection!, now)
    }
  }

  /** The server has ended a kept connection without announcing it. */
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
