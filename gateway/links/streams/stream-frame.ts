/** What is said on a stream before its bytes: `{ length u32be }` and a JSON object, once each way. */

import type { Duplex } from 'node:stream'

/** What a stream is for; the rest of it is the purpose's own. */
export interface StreamHead {
  readonly purpose: string
  readonly [key: string]: unknown
}

/** No stream came about. */
export class StreamError extends Error {
  override readonly name = 'StreamError'
  /** In words for a person, or the word that the peer's handler chose. */
  readonly reason: string
  /** Whether the peer itself said no; otherwise it was not reached, or this host did not ask. */
  readonly isRefusal: boolean

  constructor(reason: string, isRefusal = false) {
    super(reason)
    this.reason = reason
    this.isRefusal = isRefusal
  }
}

const MAX_FRAME = 4 * 1024
const HEADER = 4

/** @throws {StreamError} larger than the other side takes */
export function encodeFrame(value: object): Buffer {
  const text = JSON.stringify(value)
  const length = Buffer.byteLength(text)
  if (length > MAX_FRAME) throw new StreamError(`head of ${length} bytes: at most ${MAX_FRAME}`)
  const frame = Buffer.allocUnsafe(HEADER + length)
  frame.writeUInt32BE(length, 0)
  frame.write(text, HEADER)
  return frame
}

/**
 * Reads one frame and not a byte more: what came with it in one packet stays in the stream for the next reader.
 * @param signal the bound in time
 * @throws {StreamError} no frame, one above the bound, or the connection ended; the abort's reason
 */
export function readFrame(stream: Duplex, signal: AbortSignal): Promise<Readonly<Record<string, unknown>>> {
  return new Promise((resolve, reject) => {
    let length: number | undefined
    const stop = (): void => {
      stream.off('readable', read)
      stream.off('end', ended)
      stream.off('close', ended)
      signal.removeEventListener('abort', aborted)
    }
    const fail = (reason: unknown): void => {
      stop()
      reject(reason)
    }
    const ended = (): void => fail(new StreamError('connection closed before it was answered'))
    const aborted = (): void => fail(signal.reason)
    const read = (): void => {
      try {
        if (length === undefined) length = lengthIn(stream.read(HEADER))
        const body: Buffer | null = length === undefined ? null : stream.read(length)
        // At the end of a stream `read` gives what there is, also when it is less.
        if (body === null || body.length !== length) return
        stop()
        resolve(objectIn(body))
      } catch (err) {
        fail(err)
      }
    }
    if (signal.aborted) return reject(signal.reason)
    if (stream.destroyed) return ended()
    stream.on('readable', read)
    stream.once('end', ended)
    stream.once('close', ended)
    signal.addEventListener('abort', aborted)
    read()
  })
}

/** @throws {StreamError} */
export function lengthIn(header: Buffer | null): number | undefined {
  if (header === null || header.length < HEADER) return undefined
  const length = header.readUInt32BE(0)
  if (length > 0 && length <= MAX_FRAME) return length
  throw new StreamError(`head of ${length} bytes: 1 to ${MAX_FRAME}`)
}

/** @throws {StreamError} */
export function objectIn(body: Buffer): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch {
    throw new StreamError('head is not JSON')
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new StreamError('head is not an object')
  }
  return value as Readonly<Record<string, unknown>>
}
