/** Time as an argument: the clock that deciders and the gateway take, and its units. */

/** Milliseconds. A duration, or an instant since the Unix epoch, as the name says. */
export type Millis = number

export interface Clock {
  /** Wall clock, ms since the epoch. May jump; for what is written to disk or shown. */
  now(): Millis
  /** Monotonic ms from an arbitrary origin. For timeouts and durations. */
  monotonic(): Millis
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}
