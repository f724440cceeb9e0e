/** Remembers which of a key's last 8,192 counters were seen, as one bit each. Pure. @see RFC 6479 */

/** How far datagrams may overtake each other: 7 ms at 1.2 million a second. As in Nebula and WireGuard. */
export const REPLAY_WINDOW = 8_192
const WORD = 32
/** One word more than the window, so that the newest and the oldest counters never share a word. */
const WORDS = REPLAY_WINDOW / WORD + 1

export class ReplayWindow {
  readonly #bits = new Uint32Array(WORDS)
  #highest = -1

  /** The newest accepted counter; -1 before the first. */
  get highest(): number {
    return this.#highest
  }

  /** Whether the counter is inside the window and not accepted yet. Its datagram may still be forged. */
  isNew(counter: number): boolean {
    // Numbers from 2^53 are not exact, and no sender lives that long.
    if (!Number.isSafeInteger(counter) || counter < 0) return false
    if (counter > this.#highest) return true
    if (counter <= this.#highest - REPLAY_WINDOW) return false
    const word = Math.floor(counter / WORD) % WORDS
    return (this.#bits[word]! & (1 << (counter % WORD))) === 0
  }

  /** Call it for a new counter once its datagram has opened. */
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
