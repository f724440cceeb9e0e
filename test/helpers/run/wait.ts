/** Waits for a condition, with a limit and the reason in the error: tests never sleep to be in step. */
import { setTimeout as pause } from 'node:timers/promises'

/**
 * Asks `probe` until it answers something true, and returns that.
 * An error of `probe` counts as "not yet"; the last one is the cause of the error when the time is over.
 */
export async function waitFor<T>(
  what: string,
  timeoutMs: number,
  probe: () => T | Promise<T>,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      const seen = await probe()
      if (seen) return seen
      last = undefined
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline)
      throw new Error(`waited ${timeoutMs} ms in vain until ${what}`, { cause: last })
    await pause(15)
  }
}

/**
 * How long it takes until `probe` answers something true, ms from now. A look starts a program, which takes 20 ms and
 * more beside other tests: what it finds was so when it began.
 */
export async function timeUntil(what: string, timeoutMs: number, probe: () => boolean): Promise<number> {
  const since = performance.now()
  let lookedAt = since
  await waitFor(what, timeoutMs, () => {
    lookedAt = performance.now()
    return probe()
  })
  return lookedAt - since
}
