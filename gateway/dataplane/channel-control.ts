/** What the ends of a channel send besides packets: what their kernels take, and pings. */

import type { Channel } from './tunnel/channel.ts'
import { type FrameHeader, FrameType } from './tunnel/frame.ts'

/** A word about the channel, JSON in a CTRL frame. Unknown members are for later versions. */
interface ChannelHello {
  /** Whether packets of UDP segmentation offload may be sent this way. */
  readonly uso: boolean
}

const MAX_GREETING_BYTES = 1_024
/** One instant of the sender's clock, sent back as it was. */
const PING_BYTES = 8

/** First on every channel, and again when the device is another. */
export function sendHello(channel: Channel, uso: boolean): void {
  const hello: ChannelHello = { uso }
  channel.send(FrameType.CTRL, Buffer.from(JSON.stringify(hello)))
}

export function ping(channel: Channel, now: number): void {
  const payload = Buffer.allocUnsafe(PING_BYTES)
  payload.writeDoubleBE(now)
  channel.send(FrameType.PING, payload)
}

/**
 * @param answered with the instant that a PONG brings back
 * @returns whether the frame was one of these; one that is broken says nothing
 */
export function onFrame(
  channel: Channel,
  { type }: FrameHeader,
  payload: Uint8Array,
  answered: (sentAt: number) => void,
): boolean {
  if (type === FrameType.CTRL) {
    const hello = readHello(payload)
    if (hello !== undefined) channel.setPeerAcceptsUso(hello.uso)
  } else if (type === FrameType.PING) {
    // Copied: the frame's buffer is used again before this is sent. No longer than what was asked.
    if (payload.byteLength === PING_BYTES) channel.send(FrameType.PONG, Buffer.from(payload))
  } else if (type === FrameType.PONG) {
    if (payload.byteLength === PING_BYTES) answered(Buffer.from(payload).readDoubleBE())
  } else return false
  return true
}

function readHello(payload: Uint8Array): ChannelHello | undefined {
  if (payload.byteLength > MAX_GREETING_BYTES) return undefined
  try {
    const value: unknown = JSON.parse(Buffer.from(payload).toString('utf8'))
    if (typeof value !== 'object' || value === null || !('uso' in value)) return undefined
    return typeof value.uso === 'boolean' ? { uso: value.uso } : undefined
  } catch {
    return undefined
  }
}
