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

/** Sizes below 2^48 bytes, which a number holds exactly. Extensions are dropped (RFC 9112 7.1.1). */
const SIZE_LINE = /^([0-9a-fA-F]{1,12})(;[\t\x20-\x7e\x80-\xff]*)?\r\n$/
const MAX_SIZE_LINE = 4096
const MAX_TRAILERS = 16_384
const CR = 0x0d
const LF = 0x0a

export class Chunks {
  readonly #sink: ChunkSink
  #state: 'size' | 'data' | 'trailers' = 'size'
  /** The beginning of a size line or of the trailers, from earlier reads and not handed on yet. */
  #held = ''
  /** Bytes left of the chunk, its CRLF included. */
  #left = 0
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
    const [, digits, extension] = SIZE_LINE.exec(line) ?? []
    if (digits === undefined) throw new ChunkError('malformed size')
    const size = Number.parseInt(digits, 16)
    const isAsIs = size > 0 && this.#held === '' && extension === undefined
    this.#held = ''
    this.#state = size === 0 ? 'trailers' : 'data'
    this.#left = size + 2
    return { size, end, isAsIs }
  }

  #readData(bytes: Buffer, start: number): number {
    let at = Math.min(bytes.length, start + Math.max(0, this.#left - 2))
    this.#left -= at - start
    for (; at < bytes.length && this.#left > 0 && this.#left <= 2; at++, this.#left--)
      if (bytes[at] !== (this.#left === 2 ? CR : LF)) throw new ChunkError('no CRLF after a chunk')
    if (this.#left === 0) this.#state = 'size'
    return at
  }

  /** Hands on the last chunk, with those trailers that may be passed on. */
  #readTrailers(bytes: Buffer, at: number): number {
    const text = this.#held + bytes.toString('latin1', at, Math.min(bytes.length, at + MAX_TRAILERS))
    const end = text.startsWith('\r\n') ? 2 : text.indexOf('\r\n\r\n') + 4
    if (end < 4 && end !== 2) {
      if (text.length >= MAX_TRAILERS) throw new ChunkError('trailers too long')
      this.#held = text
      return bytes.length
    }
    const raw = readTrailers(text.slice(0, end - 2))
    if (raw === undefined) throw new ChunkError('malformed trailers')
    this.#sink.text(`0\r\n${this.#sink.trailers(raw)}\r\n`)
    this.isDone = true
    return at + end - this.#held.length
  }
}
