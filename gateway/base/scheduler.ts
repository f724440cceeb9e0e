/** Time for parts that wait: a clock and its timers as one argument, so that simulations run them without waiting. */

import { type Clock, type Millis, systemClock } from '../../core/clock.ts'

export interface Scheduler extends Clock {
  /** Runs `task` once, not before `delayMs`. @returns how to call it off; harmless afterwards */
  after(delayMs: Millis, task: () => void): () => void
}

export const systemScheduler = (clock: Clock = systemClock): Scheduler => ({
  now: () => clock.now(),
  monotonic: () => clock.monotonic(),
  after(delayMs, task) {
    // Doors keep a gateway alive, waits do not: one that has closed all ends at once.
    const timer = setTimeout(task, delayMs).unref()
    return () => clearTimeout(timer)
  },
})

/** `baseMs` ±20 %, so that hosts that started together do not stay in step. @param random 0 to 1 */
export const jittered = (baseMs: Millis, random: number): Millis => baseMs * (0.8 + 0.4 * random)
