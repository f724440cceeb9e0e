/**
 * Reads answers for Node's client by the rules of the fast path, so that both ways accept and refuse the same.
 *
 * Node's parser gets each answer in the one form that every parser reads alike.
 */

import type { Socket } from 'node:net'
import { headerLines } from '../headers.ts'
import { AnswerReader, type AnswerSink } from './answer-reader.ts'
import type { ResponseHead } from './response-head.ts'

export interface AnswerFacts {
  /** The request was HEAD. */
  readonly isHead: boolean
  readonly isUpgrade: boolean
  readonly maxHeadBytes: number
}

class AnswerText implements AnswerSink {
  readonly #isHead: boolean
  #pieces: (string | Buffer)[] = []
  /** After a 101, where one was asked for. */
  readonly switched?: (head: ResponseHead) => void

  constructor({ isHead, isUpgrade }: AnswerFacts) {
    this.#isHead = isHead
    if (isUpgrade) this.switched = (head) => this.early(head)
  }

  early(head: ResponseHead): void {
    this.#pieces.push(`HTTP/1.1 ${head.status} ${head.message}\r\n${linesOf(head)}\r\n`)
  }

  head(head: ResponseHead): void {
    const { status, message, framing, keepsAlive } = head
    const hasBody = !this.#isHead && status !== 204 && status !== 304
    const coding = hasBody && framing === 'close' ? 'Transfer-Encoding: chunked\r\n' : ''
    const close = keepsAlive && framing !== 'close' ? '' : 'Connection: close\r\n'
    this.#pieces.push(`HTTP/1.1 ${status} ${message}\r\n${linesOf(head)}${coding}${close}\r\n`)
  }

  body(bytes: Buffer, from: number, to: number): void {
    this.#pieces.push(bytes.subarray(from, to))
  }

  text(framing: string): void {
    this.#pieces.push(framing)
  }

  trailers(raw: string[]): string {
    return headerLines(raw)
  }

  take(): (string | Buffer)[] {
    const pieces = this.#pieces
    this.#pieces = []
    return pieces
  }
}

const linesOf = ({ text }: ResponseHead): string => text.slice(text.indexOf('\n') + 1)

type Push = (chunk: Buffer | null) => boolean

class AnswerFilter {
  readonly #socket: Socket
  readonly #push: Push
  #reader: AnswerReader | undefined
  #text: AnswerText | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    this.#push = socket.push.bind(socket)
    // Node's sockets hand on what they read by this method (lib/internal/stream_base_commons.js, onStreamRead).
    socket.push = (chunk: Buffer | null) => this.#read(chunk)
  }

  begin(facts: AnswerFacts): void {
    this.#text = new AnswerText(facts)
    this.#reader = new AnswerReader(this.#text, facts.isHead, facts.maxHeadBytes)
  }

  #read(chunk: Buffer | null): boolean {
    const reader = this.#reader
    if (reader === undefined || reader.isDone) return this.#push(chunk)
    if (chunk === null) {
      reader.finish()
      this.#handOn()
      return this.#push(null)
    }
    let used: number
    try {
      used = reader.read(chunk)
    } catch (err) {
      // What these bytes began is not handed on: the client still gets a page.
      this.#socket.destroy(err as Error)
      return false
    }
    const goesOn = this.#handOn()
    return used === chunk.length ? goesOn : this.#push(chunk.subarray(used))
  }

  #handOn(): boolean {
    let goesOn = true
    for (const piece of this.#text!.take())
      goesOn = this.#push(typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece)
    return goesOn
  }
}

const filters = new WeakMap<Socket, AnswerFilter>()

/** Before each request on the connection. */
export function filterAnswer(socket: Socket, facts: AnswerFacts): void {
  let filter = filters.get(socket)
  if (filter === undefined) {
    filter = new AnswerFilter(socket)
    filters.set(socket, filter)
  }
  filter.begin(facts)
}
