/** A clock and its timers as one argument, so that simulations run what waits without waiting. */

import { type Clock, type Millis, systemClock } from '../../core/clock.ts'

export interface Scheduler extends Clock {
  /** Runs `task` once, not before `delayMs`. @returns how to call it off; harmless afterwards */
  after(delayMs: Millis, task: () => void): () => void
  /**
   * Runs `task` again and again, each time `everyMs` after the last.
   * @param random 0 to 1: each wait is `jittered` by it; undefined: none is
   * @returns how to end it, also from within the task
   */
  every(everyMs: Millis, task: () => void, random?: () => number): () => void
}

/** A scheduler of these timers. */
export const schedulerOf = (clock: Clock, after: Scheduler['after']): Scheduler => ({
  now: () => clock.now(),
  monotonic: () => clock.monotonic(),
  after,
  every(everyMs, task, random) {
    let isEnded = false
    let cancel: () => void
    const wait = (): void => {
      cancel = after(random === undefined ? everyMs : jittered(everyMs, random()), () => {
        task()
        if (!isEnded) wait()
      })
    }
    wait()
    return () => {
      isEnded = true
      cancel()
    }
  },
})

export const systemScheduler = (clock: Clock = systemClock): Scheduler =>
  schedulerOf(clock, (delayMs, task) => {
    // Listeners keep a gateway alive, waits do not: one that has closed all ends at once.
    const timer = setTimeout(task, delayMs).unref()
    return () => clearTimeout(timer)
  })

/** `baseMs` ±20 %, so that hosts that started together do not stay in step. @param random 0 to 1 */
export const jittered = (baseMs: Millis, random: number): Millis => baseMs * (0.8 + 0.4 * random)
