/** Gathers a request's head from the packets that it comes in, so that it is judged as a whole. Pure. */

import { endOfHead } from './fields.ts'

const CR = 0x0d
const LF = 0x0a

const METHOD = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}(?: |$)/
const LINE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64} .* HTTP\/\d\.\d\r?$/

/** Bytes that cannot become a head are not waited for. */
function mayBecomeHead(bytes: Buffer): boolean {
  const end = bytes.indexOf(LF)
  if (end >= 0) return LINE.test(bytes.toString('latin1', 0, end))
  return METHOD.test(bytes.toString('latin1', 0, 65)) || (bytes[0] === CR && bytes.length === 1)
}

/** A server ignores empty lines in front of a request (RFC 9112 2.2). */
function withoutEmptyLines(bytes: Buffer): Buffer {
  let at = 0
  while (bytes[at] === LF || (bytes[at] === CR && bytes[at + 1] === LF)) at += bytes[at] === CR ? 2 : 1
  return at === 0 ? bytes : bytes.subarray(at)
}

export class HeadGatherer {
  readonly #maxBytes: number
  #held: Buffer | undefined

  /** @param maxBytes of a head; more are not waited for */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** A part of a head has come. */
  get hasBegun(): boolean {
    return this.#held !== undefined
  }

  drop(): void {
    this.#held = undefined
  }

  /**
   * @returns a whole head and what follows it, or bytes that no more bytes would make one; undefined: more has to come
   */
  take(read: Buffer): Buffer | undefined {
    const held = this.#held
    const all = held === undefined ? read : Buffer.concat([held, read])
    const bytes = withoutEmptyLines(all)
    this.#held = undefined
    if (bytes.length === 0) return undefined
    const from = held === undefined || bytes !== all ? 0 : Math.max(0, held.length - 3)
    if (endOfHead(bytes, from) >= 0 || bytes.length > this.#maxBytes) return bytes
    // A line was judged when it ended: with a byte a packet, judging it again each time would cost the square of it.
    if (held?.includes(LF) !== true && !mayBecomeHead(bytes)) return bytes
    this.#held = bytes
    return undefined
  }
}
