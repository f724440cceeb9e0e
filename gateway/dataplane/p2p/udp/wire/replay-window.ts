/** Which counters of a key have been seen: the last 8,192, as one bit each. Pure. @see RFC 6479 */

/** Datagrams may overtake each other by so many; 7 ms at 1.2 million a second. As Nebula's and WireGuard's. */
export const REPLAY_WINDOW = 8_192
const WORD = 32
/** One word more than the window: the one that is being filled is never the one that is being left. */
const WORDS = REPLAY_WINDOW / WORD + 1

export class ReplayWindow {
  readonly #bits = new Uint32Array(WORDS)
  #highest = -1

  /** The newest that was accepted; -1 before the first. */
  get highest(): number {
    return this.#highest
  }

  /** Whether it is inside the window and has not been accepted. Says nothing about whether it is genuine. */
  isNew(counter: number): boolean {
    // 2^53 and more is not exact, and no sender lives that long.
    if (!Number.isSafeInteger(counter) || counter < 0) return false
    if (counter > this.#highest) return true
    if (counter <= this.#highest - REPLAY_WINDOW) return false
    const word = Math.floor(counter / WORD) % WORDS
    return (this.#bits[word]! & (1 << (counter % WORD))) === 0
  }

  /** Of a counter that is new and whose tag was right. */
  accept(counter: number): void {
    const block = Math.floor(counter / WORD)
    if (counter > this.#highest) {
      const last = Math.floor(this.#highest / WORD)
      for (let i = Math.max(last + 1, block - WORDS + 1); i <= block; i++) this.#bits[i % WORDS] = 0
      this.#highest = counter
    }
    this.#bits[block % WORDS]! |= 1 << (counter % WORD)
  }
}
