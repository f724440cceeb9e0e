/** DNS messages on a byte stream: each behind its length in two bytes (RFC 1035 4.2.2). */

const LENGTH_BYTES = 2

export function framed(message: Buffer): Buffer {
  const out = Buffer.allocUnsafe(LENGTH_BYTES + message.length)
  out.writeUInt16BE(message.length, 0)
  message.copy(out, LENGTH_BYTES)
  return out
}

/** Puts chunks together; keeps one unfinished message at most. */
export class Messages {
  readonly #maxBytes: number
  #rest: Buffer = Buffer.alloc(0)

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** @returns the messages that are whole now; undefined: one is too long, and what follows is not read */
  push(chunk: Buffer): Buffer[] | undefined {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    const whole: Buffer[] = []
    while (bytes.length >= LENGTH_BYTES) {
      const end = LENGTH_BYTES + bytes.readUInt16BE(0)
      if (end > LENGTH_BYTES + this.#maxBytes) return undefined
      if (bytes.length < end) break
      whole.push(bytes.subarray(LENGTH_BYTES, end))
      bytes = bytes.subarray(end)
    }
    this.#rest = Buffer.from(bytes)
    return whole
  }
}
