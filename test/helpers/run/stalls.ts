/** How long processors were waited for between two moments, so that a bound is held on a busy machine too. */
import { stalledMs } from './stalled.ts'

const EVERY_MS = 50

export class Stalls {
  readonly #samples: { readonly at: number; readonly ms: number }[] = []
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#look()
    this.#timer = setInterval(() => this.#look(), EVERY_MS)
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
  }

  /** @param from wall clock, ms */
  between(from: number, to: number): number {
    this.#look()
    return this.#at(to) - this.#at(from)
  }

  #look(): void {
    this.#samples.push({ at: Date.now(), ms: stalledMs() })
  }

  #at(time: number): number {
    const after = this.#samples.findIndex(({ at }) => at >= time)
    const later = this.#samples[after] ?? this.#samples.at(-1)
    const earlier = this.#samples[after - 1] ?? later
    if (later === undefined || earlier === undefined || later.at === earlier.at) return later?.ms ?? 0
    return earlier.ms + ((later.ms - earlier.ms) * (time - earlier.at)) / (later.at - earlier.at)
  }
}
