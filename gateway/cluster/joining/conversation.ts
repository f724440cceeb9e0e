/** The few messages of a join or a renewal over one TLS connection, bounded in bytes and in time. */

import type { TLSSocket } from 'node:tls'
import type { Millis } from '../../../core/clock.ts'
import { decodeMessage, encodeMessage, FrameReader, FrameType, ProtocolError } from '../../links/frames.ts'
import type { ControlMessage } from '../../links/types.ts'

/** Raised when messages of a join change their meaning. */
export const JOIN_PROTOCOL = 1
/** What a stranger may send before it is known; a request with its key has 400 bytes. */
export const MAX_STRANGER_BYTES = 10_240
/** A list of 254 members has 100 KB. */
export const MAX_ANSWER_BYTES = 4 * 1024 * 1024

export class Conversation {
  readonly #socket: TLSSocket
  readonly #reader: FrameReader
  readonly #waiting: ControlMessage[] = []
  readonly #timer: NodeJS.Timeout
  #received = 0
  #wake: (() => void) | undefined
  #end: Error | undefined

  /** @param socket its handshake done; ended and destroyed by this */
  constructor(socket: TLSSocket, { maxBytes, timeoutMs }: { maxBytes: number; timeoutMs: Millis }) {
    this.#socket = socket
    this.#reader = new FrameReader(maxBytes)
    this.#timer = setTimeout(() => this.#over(new Error(`not done within ${timeoutMs / 1000} s`)), timeoutMs)
    socket.on('data', (chunk: Buffer) => {
      this.#received += chunk.length
      if (this.#received > maxBytes) this.#over(new ProtocolError(`more than ${maxBytes} bytes`))
      else this.#read(chunk)
    })
    socket.on('error', (err) => this.#over(err))
    socket.on('close', () => this.#over(new Error('the connection was closed')))
  }

  send(message: ControlMessage): void {
    if (this.#end === undefined) this.#socket.write(encodeMessage(message))
  }

  /** @throws the reason why none will come */
  async receive(): Promise<ControlMessage> {
    for (;;) {
      const message = this.#waiting.shift()
      if (message !== undefined) return message
      if (this.#end !== undefined) throw this.#end
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  /** What was sent arrives before the end does. */
  close(): void {
    clearTimeout(this.#timer)
    if (this.#end !== undefined) return
    this.#end = new Error('closed')
    this.#socket.end()
    // A peer that never closes its side.
    setTimeout(() => this.#socket.destroy(), 1_000).unref()
  }

  #read(chunk: Buffer): void {
    if (this.#end !== undefined) return
    try {
      for (const { type, body } of this.#reader.push(chunk)) {
        if (type === FrameType.message) this.#waiting.push(decodeMessage(body))
      }
      this.#wake?.()
    } catch (err) {
      this.#over(err instanceof Error ? err : new Error(String(err)))
    }
  }

  #over(err: Error): void {
    clearTimeout(this.#timer)
    this.#end ??= err
    this.#socket.destroy()
    this.#wake?.()
  }
}
