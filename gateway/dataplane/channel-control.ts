/** What the two ends of a line tell each other besides packets: what their kernels take, and signs of life. */

import type { Line } from './tunnel/channel.ts'
import { type FrameHead, FrameType } from './tunnel/frame.ts'

/** A word about the line, JSON in a CTRL frame. Unknown members are for later versions. */
interface Greeting {
  /** Whether packets of UDP segmentation offload may be sent this way. */
  readonly uso: boolean
}

const MAX_GREETING_BYTES = 1_024
/** One instant of the sender's clock, sent back as it was. */
const PING_BYTES = 8

/** First on every line, and again when the device is another. */
export function greet(line: Line, uso: boolean): void {
  const greeting: Greeting = { uso }
  line.send(FrameType.CTRL, Buffer.from(JSON.stringify(greeting)))
}

export function ping(line: Line, now: number): void {
  const payload = Buffer.allocUnsafe(PING_BYTES)
  payload.writeDoubleBE(now)
  line.send(FrameType.PING, payload)
}

/**
 * @param answered with the instant that a PONG brings back
 * @returns whether the frame was one of these; one that is broken says nothing
 */
export function hear(
  line: Line,
  { type }: FrameHead,
  payload: Uint8Array,
  answered: (sentAt: number) => void,
): boolean {
  if (type === FrameType.CTRL) line.takesUso = readGreeting(payload)?.uso ?? line.takesUso
  else if (type === FrameType.PING) {
    // Copied: the frame's buffer is used again before this is sent. No longer than what was asked.
    if (payload.byteLength === PING_BYTES) line.send(FrameType.PONG, Buffer.from(payload))
  } else if (type === FrameType.PONG) {
    if (payload.byteLength === PING_BYTES) answered(Buffer.from(payload).readDoubleBE())
  } else return false
  return true
}

function readGreeting(payload: Uint8Array): Greeting | undefined {
  if (payload.byteLength > MAX_GREETING_BYTES) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString('utf8'))
    if (typeof value !== 'object' || value === null || !('uso' in value)) return undefined
    return typeof value.uso === 'boolean' ? { uso: value.uso } : undefined
  } catch {
    return undefined
  }
}
