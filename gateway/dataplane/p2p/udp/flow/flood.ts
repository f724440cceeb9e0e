/** Whether single datagrams of full size come so fast that a pause lets them go together. Pure. */

/** Such a packet is neither an acknowledgement, which a stream waits for, nor a super-packet, which is bulk already. */
const LEAST_BYTES = 500
const MOST_BYTES = 2_000
/** 30,000 a second: no single connection that waits for answers sends so many. */
const PER_MS = 30
const SPAN_MS = 1

export class Flood {
  #since = 0
  #packets = 0
  #isOn = false

  add(bytes: number): void {
    if (bytes >= LEAST_BYTES && bytes < MOST_BYTES) this.#packets++
  }

  isOn(now: number): boolean {
    const span = now - this.#since
    if (span < SPAN_MS) return this.#isOn
    this.#isOn = this.#packets / span >= PER_MS
    this.#packets = 0
    this.#since = now
    return this.#isOn
  }
}
