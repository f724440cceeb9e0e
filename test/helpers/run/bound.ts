/** Holds what a test measures to a bound in milliseconds, on a machine that others use too. */
import type { Test } from 'tap'

/** A time that is beyond its bound by itself is so each time. */
const TRIES = 3

/**
 * Asserts that something takes no longer than its bound, and prints every time measured. Other work and hypervisors only
 * ever add to a time, so what is beyond the bound is measured again, from the start: it holds when one of three tries
 * keeps it.
 * @param measure makes what is measured happen anew. @returns ms
 */
export async function keepsBound(
  t: Test,
  what: string,
  boundMs: number,
  measure: () => number | Promise<number>,
): Promise<boolean> {
  const times: number[] = []
  while (times.length < TRIES) {
    const ms = Math.round(await measure())
    // A time below nothing would keep any bound.
    if (!(ms >= 0)) return t.fail(`${what}: measured ${ms} ms`)
    times.push(ms)
    if (ms <= boundMs) break
  }
  return t.ok(
    times.some((ms) => ms <= boundMs),
    `${what} after ${times.join(', then ')} ms (bound ${boundMs})`,
  )
}
