/** Writes a container's answer to a client of the fast path. */

import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { IngressDeps } from '../deps.ts'
import { headerLines, responseHeaders } from '../headers.ts'
import { valuesOf } from '../raw-headers.ts'
import type { Rewrite } from '../rewrite.ts'
import { trailers } from '../trailers.ts'
import { writeNow } from '../write-now.ts'
import type { AnswerSink } from './answer-reader.ts'
import { rawHeadersOf } from './fields.ts'
import type { ResponseHead } from './response-head.ts'

export interface AnswerClient {
  readonly deps: IngressDeps
  readonly socket: Socket
  /** The connection ends after this answer. */
  readonly isLast: boolean
  destroy(): void
}

/** Bytes: up to about here one string is cheaper than two writes; above it, the copy costs more. */
const MAX_JOINED = 4096

export class AnswerWriter implements AnswerSink {
  readonly #client: AnswerClient
  readonly #rewrite: Rewrite | undefined
  readonly #isHead: boolean
  /** Written together once the bytes at hand are read: these pieces, then `#text`. */
  #pieces: (Buffer | string)[] = []
  #text = ''
  /** Set once its head has arrived. */
  answer: ResponseHead | undefined
  /** The client may have a part of the answer; 1xx are none. */
  hasWritten = false

  /** @param rewrite undefined: the client has the container's own path space */
  constructor(client: AnswerClient, rewrite: Rewrite | undefined, isHead: boolean) {
    this.#client = client
    this.#rewrite = rewrite
    this.#isHead = isHead
  }

  early(head: ResponseHead): void {
    if (head.status === 102) this.#text += 'HTTP/1.1 102 Processing\r\n\r\n'
    if (head.status !== 103) return
    const link = valuesOf(rawHeadersOf(head), 'link').join(', ')
    if (link === '') return
    this.#text += `HTTP/1.1 103 Early Hints\r\nLink: ${this.#rewrite?.('link', link) ?? link}\r\n\r\n`
  }

  head(answer: ResponseHead): void {
    const { deps, isLast } = this.#client
    this.answer = answer
    const { status, framing, passed } = answer
    const hasBody = !this.#isHead && status !== 204 && status !== 304
    // Other bytes in a reason phrase are not passed on; clients ignore the phrase (RFC 9112 4).
    const isPlain = answer.message === 'OK' || /^[\t\x20-\x7e]*$/.test(answer.message)
    const message = isPlain ? answer.message : (STATUS_CODES[status] ?? '')
    const lines =
      passed === undefined || this.#rewrite !== undefined
        ? this.#answerLines(answer, hasBody && framing === 'chunked')
        : `${passed}Via: 1.1 flatnet-${deps.conf.hostId}\r\n`
    this.#text += `HTTP/1.1 ${status} ${message}\r\n${lines}`
    if (hasBody && framing !== 'length') this.#text += 'Transfer-Encoding: chunked\r\n'
    if (!answer.hasDate) this.#text += `Date: ${new Date().toUTCString()}\r\n`
    this.#text += isLast ? 'Connection: close\r\n\r\n' : '\r\n'
    if (answer.isEvents) deps.endless.add(this.#client)
  }

  /** For answers with names to drop or values to rewrite. */
  #answerLines(answer: ResponseHead, trailersFit: boolean): string {
    const { hostId } = this.#client.deps.conf
    const rawHeaders = rawHeadersOf(answer)
    return headerLines(responseHeaders({ rawHeaders, hostId, trailersFit, rewrite: this.#rewrite }))
  }

  body(bytes: Buffer, from: number, to: number): void {
    if (this.#pieces.length === 0 && this.#text.length + to - from <= MAX_JOINED)
      this.#text += bytes.toString('latin1', from, to)
    else {
      this.#endText()
      this.#pieces.push(bytes.subarray(from, to))
    }
  }

  text(framing: string): void {
    this.#text += framing
  }

  trailers(raw: string[]): string {
    return headerLines(trailers(raw).flat())
  }

  #endText(): void {
    if (this.#text !== '') this.#pieces.push(this.#text)
    this.#text = ''
  }

  /** @returns false: the client takes no more for now */
  flush(): boolean {
    const { socket } = this.#client
    this.hasWritten = this.answer !== undefined
    if (this.#pieces.length === 0) {
      const text = this.#text
      this.#text = ''
      return text === '' || socket.write(text, 'latin1')
    }
    this.#endText()
    const pieces = this.#pieces
    this.#pieces = []
    writeNow(socket, pieces)
    return !socket.writableNeedDrain
  }
}
