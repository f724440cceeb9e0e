/** Time as an argument: the clock that deciders and the gateway take, and its units. */

/** Milliseconds. A duration, or an instant since the Unix epoch, as the name says. */
export type Millis = number

export interface Clock {
  /** Wall clock, ms since the epoch. May jump; for what is written to disk or shown. */
  now(): Millis
  /** Monotonic ms from an arbitrary origin. For timeouts and durations. */
  monotonic(): Millis
}

/** Not `performance.now()`: the first one loads eleven modules of `node:perf_hooks`, 0.85 ms of each ADD and DEL. */
export const monotonic = (): Millis => process.uptime() * 1000

export const systemClock: Clock = { now: () => Date.now(), monotonic }

/** Blocks the thread: for the plugin, which does one thing and ends. */
export function sleepSync(ms: Millis): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}
