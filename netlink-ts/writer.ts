/** A growing byte buffer that codecs write into. */

export class Writer {
  #bytes = new Uint8Array(512)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** The buffer itself, valid until the next `reserve`, which may replace it. */
  get bytes(): Uint8Array {
    return this.#bytes
  }

  /** Adds `count` zero bytes and returns their offset. */
  reserve(count: number): number {
    const at = this.#length
    this.#length += count
    if (this.#length > this.#bytes.byteLength) {
      const grown = new Uint8Array(Math.max(this.#length, this.#bytes.byteLength * 2))
      grown.set(this.#bytes)
      this.#bytes = grown
    }
    return at
  }

  append(bytes: Uint8Array): void {
    // reserve first: it may replace the buffer
    const at = this.reserve(bytes.byteLength)
    this.#bytes.set(bytes, at)
  }

  /** Pads with zeros to the next multiple of 4, the alignment of netlink messages and attributes. */
  align(): void {
    this.reserve(-this.#length & 3)
  }

  /** @returns a copy of what was written */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }
}
