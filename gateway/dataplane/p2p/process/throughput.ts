/** Measures how many bits a second a session carries. Pure. */
import type { Millis } from '../../../../core/clock.ts'

export class Throughput {
  #seen = 0
  #at: Millis
  #tx = 0
  #rx = 0
  #rates = { txBps: 0, rxBps: 0 }

  constructor(now: Millis) {
    this.#at = now
  }

  /** @returns whether bytes passed since the last call */
  moved(txBytes: number, rxBytes: number): boolean {
    const sum = txBytes + rxBytes
    if (sum === this.#seen) return false
    this.#seen = sum
    return true
  }

  /** Averages over the time since the last measurement, at least a second ago. */
  rates(txBytes: number, rxBytes: number, now: Millis): { readonly txBps: number; readonly rxBps: number } {
    const seconds = (now - this.#at) / 1_000
    if (seconds >= 0.9) {
      const bps = (bytes: number): number => Math.round((bytes * 8) / seconds)
      this.#rates = { txBps: bps(txBytes - this.#tx), rxBps: bps(rxBytes - this.#rx) }
      this.#at = now
      this.#tx = txBytes
      this.#rx = rxBytes
    }
    return this.#rates
  }
}
