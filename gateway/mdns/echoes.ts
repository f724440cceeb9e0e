/** Recognizes this gateway's own messages: the kernel hands what a socket sends to a group back to it. */

/** 512 names are 40 messages of 1,400 bytes; what the kernel lost must not stay for ever. */
const MAX_EXPECTED = 64

export class Echoes {
  readonly #expected: Buffer[] = []

  sent(bytes: Buffer): void {
    this.#expected.push(bytes)
    if (this.#expected.length > MAX_EXPECTED) this.#expected.shift()
  }

  /** @returns whether it is a message of ours, which is not expected again */
  heard(bytes: Buffer): boolean {
    const at = this.#expected.findIndex((expected) => expected.equals(bytes))
    if (at === -1) return false
    // They come in the order in which they were sent: those before it are lost.
    this.#expected.splice(0, at + 1)
    return true
  }
}
