/**
 * The control connection on the wire: `{ length u32be, type u8 }` and a body.
 *
 * Heartbeats are eight bytes, messages JSON.
 */

import type { ControlMessage } from './types.ts'

export const FrameType = { message: 1, ping: 2, pong: 3 } as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

export interface ControlFrame {
  readonly type: number
  readonly body: Buffer
}

const HEADER = 5
/** A full table of a /24 is 50 KiB; this is a bound for wide slices and against nonsense. */
const MAX_BODY = 32 * 1024 * 1024

export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

export function encodeFrame(type: FrameType, body: Buffer): Buffer {
  if (body.length > MAX_BODY) throw new ProtocolError(`message of ${body.length} bytes: at most ${MAX_BODY}`)
  const frame = Buffer.allocUnsafe(HEADER + body.length)
  frame.writeUInt32BE(body.length, 0)
  frame[4] = type
  body.copy(frame, HEADER)
  return frame
}

export const encodeMessage = (message: ControlMessage): Buffer =>
  encodeFrame(FrameType.message, Buffer.from(JSON.stringify(message)))

/** @throws {ProtocolError} not a JSON object with a type */
export function decodeMessage(body: Buffer): ControlMessage {
  let value: unknown
  try {
    value = JSON.parse(body.toString('utf8'))
  } catch (cause) {
    throw new ProtocolError('message is not JSON', { cause })
  }
  if (typeof value !== 'object' || value === null || !('type' in value) || typeof value.type !== 'string') {
    throw new ProtocolError('message is not an object with a type')
  }
  return value as ControlMessage
}

/** Cuts a byte stream into frames, whatever its chunks. Holds at most one incomplete frame. */
export class FrameReader {
  #chunks: Buffer[] = []
  #size = 0

  /** @throws {ProtocolError} a length above the bound: the stream cannot be read on */
  push(chunk: Buffer): ControlFrame[] {
    this.#chunks.push(chunk)
    this.#size += chunk.length
    const frames: ControlFrame[] = []
    for (let length = this.#peekLength(); length !== undefined && this.#size >= HEADER + length; ) {
      const all = this.#joined()
      frames.push({ type: all[4] ?? 0, body: all.subarray(HEADER, HEADER + length) })
      this.#chunks = [all.subarray(HEADER + length)]
      this.#size = all.length - HEADER - length
      length = this.#peekLength()
    }
    return frames
  }

  #peekLength(): number | undefined {
    if (this.#size < HEADER) return undefined
    const first = this.#chunks[0]
    const head = first !== undefined && first.length >= HEADER ? first : this.#joined()
    const length = head.readUInt32BE(0)
    if (length > MAX_BODY) throw new ProtocolError(`message of ${length} bytes: at most ${MAX_BODY}`)
    return length
  }

  /** One copy per frame that came in pieces. */
  #joined(): Buffer {
    const [first] = this.#chunks
    const all = this.#chunks.length === 1 && first !== undefined ? first : Buffer.concat(this.#chunks)
    this.#chunks = [all]
    return all
  }
}
