/**
 * Races attempts to connect: each starts when the one before fails or is slow, and the first that succeeds wins.
 *
 * RFC 8305 calls it Happy Eyeballs.
 */

import type { Millis } from '../../../core/clock.ts'
import { StreamError } from '../streams/stream-frame.ts'

/** Resolves with a connection, or gives up when `signal` says so. */
export type Attempt<T> = (signal: AbortSignal) => Promise<T>

/**
 * The others are aborted; a connection that one of them still brings is destroyed.
 * @throws {StreamError} all failed, each with its reason; the abort's reason
 */
export function firstOf<T extends { destroy(): unknown }>(
  attempts: readonly Attempt<T>[],
  staggerMs: Millis,
  signal: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const others = new AbortController()
    const reasons: string[] = []
    let started = 0
    let timer: NodeJS.Timeout | undefined
    const end = (settle: () => void): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', aborted)
      others.abort(new StreamError('another attempt was faster'))
      settle()
    }
    const aborted = (): void => end(() => reject(signal.reason))
    const failed = (err: unknown): void => {
      if (others.signal.aborted) return
      reasons.push(err instanceof Error ? err.message : String(err))
      next()
    }
    const next = (): void => {
      clearTimeout(timer)
      const attempt = attempts[started]
      if (attempt === undefined && reasons.length === attempts.length)
        end(() => reject(new StreamError(reasons.join('; '))))
      if (attempt === undefined) return
      started++
      timer = setTimeout(next, staggerMs)
      attempt(others.signal).then((won) => {
        if (others.signal.aborted) won.destroy()
        else end(() => resolve(won))
      }, failed)
    }
    if (signal.aborted) return reject(signal.reason)
    signal.addEventListener('abort', aborted)
    next()
  })
}
