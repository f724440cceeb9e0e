/**
 * Finds the end of a chunked body (RFC 9112 7.1) without decoding it.
 *
 * The bytes are passed on as they came, without chunk extensions.
 */

import { readTrailers } from './fields.ts'

/** The bytes are not a chunked body. */
export class ChunkError extends Error {
  override readonly name = 'ChunkError'
}

export interface ChunkSink {
  /** A part of the bytes at hand, framing included. They are valid during the call only. */
  body(bytes: Buffer, from: number, to: number): void
  /** Framing that replaces what stood in the bytes. */
  text(framing: string): void
  /** @returns those that may be passed on, as lines */
  trailers(raw: string[]): string
}

/**
 * Sizes below 2^48 bytes, which a number holds exactly; zeros in front and blanks behind change no value. Extensions
 * are dropped (RFC 9112 7.1.1). Every line may end in LF alone (2.2).
 */
const SIZE_LINE = /^0*([0-9a-fA-F]{1,12})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r?\n$/
const MAX_SIZE_LINE = 4096
const MAX_TRAILERS = 16_384
const CR = 0x0d
const LF = 0x0a

export class Chunks {
  readonly #sink: ChunkSink
  #state: 'size' | 'data' | 'data-end' | 'trailers' = 'size'
  /** The beginning of a size line or of the trailers, from earlier reads and not handed on yet. */
  #held = ''
  /** Bytes left of the chunk. */
  #left = 0
  /** The CR behind a chunk has come. */
  #hasCr = false
  isDone = false

  constructor(sink: ChunkSink) {
    this.#sink = sink
  }

  /** @returns where the body ended, or the length of `bytes` @throws {ChunkError} */
  read(bytes: Buffer, start: number): number {
    // What was read and not handed on yet begins here.
    let from = start
    let at = start
    while (at < bytes.length && !this.isDone) {
      if (this.#state === 'data') {
        at = this.#readData(bytes, at)
      } else if (this.#state === 'data-end') {
        if (this.#isBareLf(bytes, at)) {
          this.#hand(bytes, from, at)
          this.#sink.text('\r\n')
          from = at + 1
        }
        at++
      } else if (this.#state === 'trailers') {
        at = this.#readTrailers(bytes, at)
        from = at
      } else {
        const line = this.#readSizeLine(bytes, at)
        if (line === undefined) {
          this.#hand(bytes, from, at)
          return bytes.length
        }
        if (line.isAsIs) at = line.end
        else {
          this.#hand(bytes, from, at)
          if (line.size > 0) this.#sink.text(`${line.size.toString(16)}\r\n`)
          from = at = line.end
        }
      }
    }
    this.#hand(bytes, from, at)
    return at
  }

  #hand(bytes: Buffer, from: number, to: number): void {
    if (to > from) this.#sink.body(bytes, from, to)
  }

  /** @returns undefined: its end has not arrived */
  #readSizeLine(bytes: Buffer, at: number): { size: number; end: number; isAsIs: boolean } | undefined {
    const lf = bytes.indexOf(LF, at)
    const end = lf < 0 ? bytes.length : lf + 1
    if (this.#held.length + end - at > MAX_SIZE_LINE) throw new ChunkError('size line too long')
    const line = this.#held + bytes.toString('latin1', at, end)
    if (lf < 0) {
      this.#held = line
      return undefined
    }
    const [, digits] = SIZE_LINE.exec(line) ?? []
    if (digits === undefined) throw new ChunkError('malformed size')
    const size = Number.parseInt(digits, 16)
    const isAsIs = size > 0 && this.#held === '' && line === `${digits}\r\n`
    this.#held = ''
    this.#state = size === 0 ? 'trailers' : 'data'
    this.#left = size
    return { size, end, isAsIs }
  }

  #readData(bytes: Buffer, start: number): number {
    const at = Math.min(bytes.length, start + this.#left)
    this.#left -= at - start
    if (this.#left === 0) this.#state = 'data-end'
    return at
  }

  /** Takes one byte of the line end behind a chunk. @returns whether it is an LF without its CR */
  #isBareLf(bytes: Buffer, at: number): boolean {
    const hadCr = this.#hasCr
    this.#hasCr = !hadCr && bytes[at] === CR
    if (this.#hasCr) return false
    if (bytes[at] !== LF) throw new ChunkError('no line end after a chunk')
    this.#state = 'size'
    return !hadCr
  }

  /** Hands on the last chunk, with those trailers that may be passed on. */
  #readTrailers(bytes: Buffer, at: number): number {
    const text = this.#held + bytes.toString('latin1', at, Math.min(bytes.length, at + MAX_TRAILERS))
    const [lines] = /^\r?\n|^[\s\S]*?\n\r?\n/.exec(text) ?? []
    if (lines === undefined) {
      if (text.length >= MAX_TRAILERS) throw new ChunkError('trailers too long')
      this.#held = text
      return bytes.length
    }
    const raw = readTrailers(lines.replaceAll(/\r?\n/g, '\r\n').slice(0, -2))
    if (raw === undefined) throw new ChunkError('malformed trailers')
    this.#sink.text(`0\r\n${this.#sink.trailers(raw)}\r\n`)
    this.isDone = true
    return at + lines.length - this.#held.length
  }
}
