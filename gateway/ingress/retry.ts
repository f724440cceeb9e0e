/** When a request may go to a container again, for both ways through ingress. Pure. */

import type { Millis } from '../../core/clock.ts'

/** What decides about a request before it is sent. */
export interface RequestFacts {
  /** `GET` … */
  readonly method: string
  readonly hasBody: boolean
  readonly isUpgrade: boolean
}

/**
 * A request that may be executed twice: RFC 9110 9.2.1, without TRACE, which browsers and servers refuse anyway.
 * A body was read from the client and is gone; an upgrade may have begun another protocol.
 */
export const isRepeatable = ({ method, hasBody, isUpgrade }: RequestFacts): boolean =>
  (method === 'GET' || method === 'HEAD' || method === 'OPTIONS') && !hasBody && !isUpgrade

/** How often a request is sent at most. Connecting has its own tries, see `dial`. */
const MAX_TRIES = 2

export interface NextTry {
  /** Tries so far. */
  readonly tries: number
  readonly isRepeatable: boolean
  /** The kernel is asked whether the connection still stands, right before it is used: see `isQuiet`. */
  readonly isProbed: boolean
}

/**
 * Whether a try may use a connection that served before. The server may close it just as the request is sent, so
 * requests that are not repeatable use it only when it was probed. A second try never risks the same loss again.
 */
export const mayReuse = ({ tries, isRepeatable, isProbed }: NextTry): boolean =>
  tries === 0 && (isRepeatable || isProbed)

/** A try that came to no whole answer. */
export interface FailedTry {
  readonly isRepeatable: boolean
  /** Tries so far, this one included. */
  readonly tries: number
  /** The container has sent something on the connection since the request. */
  readonly hadBytes: boolean
  /** The client may have a part of the answer. */
  readonly isAnswered: boolean
  /** Since the container has the request, and how long it may take until its answer begins. */
  readonly elapsedMs: Millis
  readonly limitMs: Millis
}

/**
 * `again`: send the request once more. `fail`: answer with a page of the gateway.
 * `broken`: break the client's connection off, as a page would be read as a part of the answer.
 */
export type Outcome = 'again' | 'fail' | 'broken'

export function afterFailure(failed: FailedTry): Outcome {
  if (failed.isAnswered) return 'broken'
  // The container may be at work on it: the same wait would follow, and the same work.
  if (failed.elapsedMs >= failed.limitMs) return 'fail'
  // A container that has begun an answer has executed the request.
  if (failed.hadBytes || !failed.isRepeatable) return 'fail'
  return failed.tries < MAX_TRIES ? 'again' : 'fail'
}

/** The server closed a connection that served before, without a word, as the request arrived: the pool remembers it. */
export const isEarlyClose = (lost: { readonly isReused: boolean; readonly hadBytes: boolean }): boolean =>
  lost.isReused && !lost.hadBytes

export const RETRIES_HELP = 'Second and third tries, by whether anything had been sent'
