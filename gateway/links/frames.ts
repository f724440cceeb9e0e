/**
 * The control connection on the wire: `{ length u32be, type u8 }` and a body.
 *
 * Heartbeats are eight bytes, messages JSON.
 */

import { whyCostly } from './message-cost.ts'
import type { ControlMessage } from './types.ts'

export const FrameType = { message: 1, ping: 2, pong: 3 } as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

export interface ControlFrame {
  readonly type: number
  /** Empty when it was skipped. */
  readonly body: Buffer
  /** Bytes of a body above the reader's bound, which are passed over and never held. */
  readonly skipped?: number
}

const HEADER = 5
const NO_BODY = Buffer.alloc(0)
/**
 * A page of a table has 256 KiB; before its weight was measured a page with 10,000 published ports had 650 KB, and a
 * peer of an earlier version may send that. A list of 2,500 members fits.
 */
const MAX_READ = 1024 * 1024
/** What an earlier version sends at most. A longer body is passed over up to here, and is nonsense beyond. */
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

/** @throws {ProtocolError} not a JSON object with a type, or more work than any message of ours */
export function decodeMessage(body: Buffer): ControlMessage {
  const why = whyCostly(body)
  if (why !== undefined) throw new ProtocolError(`message has ${why}`)
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

/** A frame whose body has not come whole. */
interface Open {
  readonly type: number
  readonly body: Buffer
  filled: number
}

/** Cuts a byte stream into frames, whatever its chunks. Holds at most one incomplete frame, in one buffer. */
export class FrameReader {
  readonly #maxRead: number
  /** The begin of a header. */
  #head: Buffer = NO_BODY
  #open: Open | undefined
  /** Of a body that is passed over. */
  #toSkip = 0

  constructor(maxRead = MAX_READ) {
    this.#maxRead = maxRead
  }

  /** @throws {ProtocolError} a length above any version's bound: the stream cannot be read on */
  push(chunk: Buffer): ControlFrame[] {
    const frames: ControlFrame[] = []
    let rest = chunk
    while (rest.length > 0) {
      if (this.#toSkip > 0) rest = this.#skip(rest)
      else if (this.#open === undefined) rest = this.#begin(rest, frames)
      else rest = this.#fill(this.#open, rest, frames)
    }
    return frames
  }

  #skip(bytes: Buffer): Buffer {
    const count = Math.min(this.#toSkip, bytes.length)
    this.#toSkip -= count
    return bytes.subarray(count)
  }

  /** @returns what follows the header, or the frame when it is all there */
  #begin(bytes: Buffer, frames: ControlFrame[]): Buffer {
    const head = this.#head.length === 0 ? bytes : Buffer.concat([this.#head, bytes])
    if (head.length < HEADER) {
      this.#head = Buffer.from(head)
      return NO_BODY
    }
    this.#head = NO_BODY
    const length = head.readUInt32BE(0)
    const type = head[4] ?? 0
    if (length > MAX_BODY) throw new ProtocolError(`message of ${length} bytes: at most ${MAX_BODY}`)
    const rest = head.subarray(HEADER)
    if (length > this.#maxRead) {
      frames.push({ type, body: NO_BODY, skipped: length })
      this.#toSkip = length
      return rest
    }
    if (rest.length >= length) {
      frames.push({ type, body: rest.subarray(0, length) })
      return rest.subarray(length)
    }
    this.#open = { type, body: Buffer.allocUnsafe(length), filled: 0 }
    return rest
  }

  #fill(open: Open, bytes: Buffer, frames: ControlFrame[]): Buffer {
    const count = bytes.copy(open.body, open.filled)
    open.filled += count
    if (open.filled === open.body.length) {
      frames.push({ type: open.type, body: open.body })
      this.#open = undefined
    }
    return bytes.subarray(count)
  }
}
