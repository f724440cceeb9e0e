/** Keeps the least value of the last second or two: a round trip without its wait in queues. Pure. */

const SPAN_MS = 1_000

export class WindowedMinimum {
  #before = Number.POSITIVE_INFINITY
  #now = Number.POSITIVE_INFINITY
  #start = 0

  add(value: number, now: number): void {
    if (now - this.#start >= SPAN_MS) {
      this.#before = now - this.#start >= 2 * SPAN_MS ? Number.POSITIVE_INFINITY : this.#now
      this.#now = Number.POSITIVE_INFINITY
      this.#start = now
    }
    if (value < this.#now) this.#now = value
  }

  /** Undefined before the first value. */
  get value(): number | undefined {
    const least = Math.min(this.#before, this.#now)
    return least === Number.POSITIVE_INFINITY ? undefined : least
  }
}
