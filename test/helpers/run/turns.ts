/** Waits in unit tests by turns of the event loop instead of sleeps, so that no time is wasted. */
import { setImmediate as turn } from 'node:timers/promises'

const LIMIT_MS = 5_000

/**
 * Asks `probe` after each turn of the event loop until it is true.
 * Right for streams in memory and files; a test that waits for sockets or processes belongs in test/loopback.
 */
export async function turnsUntil(what: string, probe: () => boolean): Promise<void> {
  const deadline = performance.now() + LIMIT_MS
  while (!probe()) {
    if (performance.now() > deadline) throw new Error(`${LIMIT_MS} ms of turns passed before ${what}`)
    await turn()
  }
}
