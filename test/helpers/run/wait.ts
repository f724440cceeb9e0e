/** Waits for a condition, with a limit and the reason in the error: tests never sleep to be in step. */
import { setTimeout as pause } from 'node:timers/promises'
import { stalledMs } from './stalled.ts'

/** Until the next look, at first. */
const PAUSE_MS = 15
/** A look often starts a program, which disturbs what is waited for, and states last longer than this. */
const MOST_PAUSE_MS = 60

/** How often a limit may pass while others keep the processors from what is waited for. */
const MOST_LIMITS = 5

export interface WaitOptions {
  /** For how long so far, in ms, a processor was waited for. */
  readonly stalled?: () => number
  readonly mostPauseMs?: number
}

/**
 * Asks `probe` until it answers something true, and returns that.
 * An error of `probe` counts as "not yet"; the last one is the cause of the error when the time is over.
 * @param timeoutMs on a calm machine. Time in which a processor is waited for does not count, until the limit has
 *   passed five times: hosts of a test share two processors, and a limit is no bound. What is held to a bound measures
 *   it, by `timeUntil` or by what the hosts write down
 */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  probe: () => T | Promise<T>,
  { stalled = stalledMs, mostPauseMs = MOST_PAUSE_MS }: WaitOptions = {},
): Promise<NonNullable<T>> {
  const [began, stalledBefore] = [performance.now(), stalled()]
  let last: unknown
  for (;;) {
    try {
      const seen = await probe()
      if (seen) return seen
      last = undefined
    } catch (error) {
      last = error
    }
    const ms = performance.now() - began
    if (ms > MOST_LIMITS * timeoutMs || (ms > timeoutMs && ms - (stalled() - stalledBefore) > timeoutMs))
      throw new Error(`waited ${Math.round(ms)} ms (limit ${timeoutMs}) in vain until ${what}`, {
        cause: last,
      })
    // Rarer with time: what a caller measures is right to a twentieth.
    await pause(Math.min(mostPauseMs, PAUSE_MS + ms / 20))
  }
}

/**
 * How long it takes until `probe` answers something true, ms from now.
 * @param probe starts no program, which takes 20 ms and more beside other tests
 */
export async function timeUntil(what: string, timeoutMs: number, probe: () => boolean): Promise<number> {
  const since = performance.now()
  await waitFor(what, timeoutMs, probe, { mostPauseMs: PAUSE_MS })
  return Math.round(performance.now() - since)
}
