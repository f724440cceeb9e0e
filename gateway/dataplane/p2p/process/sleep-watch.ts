/** Notices that the machine slept: its wall clock gained on the monotonic one, which stops during sleep. */
import type { Clock, Millis } from '../../../../core/clock.ts'

const SLEPT_MS: Millis = 10_000

export class SleepWatch {
  readonly #clock: Clock
  #wall: Millis
  #monotonic: Millis

  constructor(clock: Clock) {
    this.#clock = clock
    this.#wall = clock.now()
    this.#monotonic = clock.monotonic()
  }

  /** @returns for how long it slept since the last look; undefined: it did not */
  look(now: Millis): Millis | undefined {
    const wall = this.#clock.now()
    const sleptMs = wall - this.#wall - (now - this.#monotonic)
    this.#wall = wall
    this.#monotonic = now
    return sleptMs > SLEPT_MS ? sleptMs : undefined
  }
}
