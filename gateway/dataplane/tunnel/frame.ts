/** The data connection on the wire: frames with a fixed header and a payload, and their decoder. */

/**
 * `{ length u32, type u8, flags u8, srcHost u16, dstHost u16, hops u8, reserved u8 }`, big-endian; `length` is the
 * payload's alone. Reserved and flags are sent as zero and not looked at, so that they can get a meaning.
 */
export const FRAME_HEADER = 12

/** struct virtio_net_hdr without num_buffers, include/uapi/linux/virtio_net.h: what TUN puts before each packet. */
export const VIRTIO_HEADER = 10

/** The largest IPv4 packet behind a virtio header is 65,545 bytes; IPv6 may add its own header of 40. */
export const MAX_PAYLOAD = 65_600

export const MAX_FRAME = FRAME_HEADER + MAX_PAYLOAD

export const FrameType = {
  /** A virtio header and an IP packet, as the TUN device of the source host gave it. */
  DATA: 1,
  /** Reserved: the control connection has its own format; this is for words about this one connection. */
  CTRL: 2,
  PING: 3,
  PONG: 4,
  /** Reserved: flow control, when one day a relay needs it. */
  CREDIT: 5,
  /** Bytes of the TLS connection between two other hosts, or of theirs with us, by way of a relay. */
  RELAY: 6,
  /** A message that the control connection would carry, on a relayed channel: its ends have no link. */
  SIGNAL: 7,
} as const
export type FrameType = (typeof FrameType)[keyof typeof FrameType]

export interface FrameHeader {
  /** One of FrameType, or one that a later version sends. */
  readonly type: number
  readonly flags: number
  readonly srcHost: number
  readonly dstHost: number
  readonly hops: number
}

/**
 * Called for each frame. `bytes` holds the payload from `start` to `end`, and only until the call returns.
 * `header` is the decoder's own object, overwritten by the next frame.
 */
export type FrameSink = (header: FrameHeader, bytes: Uint8Array, start: number, end: number) => void

/** What came is not a stream of frames; the connection is of no more use. */
export class FrameError extends Error {
  override readonly name = 'FrameError'
  readonly code = 'ERR_FLATNET_FRAME'
}

/** Writes a header into `bytes` at `at`; the payload of `length` bytes follows it. */
export function writeFrameHeader(bytes: Uint8Array, at: number, header: FrameHeader, length: number): void {
  bytes[at] = length >>> 24
  bytes[at + 1] = length >>> 16
  bytes[at + 2] = length >>> 8
  bytes[at + 3] = length
  bytes[at + 4] = header.type
  bytes[at + 5] = header.flags
  bytes[at + 6] = header.srcHost >>> 8
  bytes[at + 7] = header.srcHost
  bytes[at + 8] = header.dstHost >>> 8
  bytes[at + 9] = header.dstHost
  bytes[at + 10] = header.hops
  bytes[at + 11] = 0
}

/** A whole frame, for those that are rare. @throws {RangeError} payload above MAX_PAYLOAD */
export function encodeFrame(header: FrameHeader, payload: Uint8Array): Uint8Array {
  if (payload.byteLength > MAX_PAYLOAD) throw new RangeError(`payload of ${payload.byteLength} bytes`)
  const frame = new Uint8Array(FRAME_HEADER + payload.byteLength)
  writeFrameHeader(frame, 0, header, payload.byteLength)
  frame.set(payload, FRAME_HEADER)
  return frame
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * Cuts a byte stream into frames, whatever its chunks. A frame that lies whole in a chunk is handed out from there;
 * one that came in pieces (TLS gives at most 16 KiB at a time) is put together first, in the one buffer of the decoder.
 */
export class FrameDecoder {
  readonly #sink: FrameSink
  readonly #header: Mutable<FrameHeader> = { type: 0, flags: 0, srcHost: 0, dstHost: 0, hops: 0 }
  /** Made with the first frame that comes in pieces. */
  #partial: Uint8Array | undefined
  #have = 0
  #failed: FrameError | undefined

  constructor(sink: FrameSink) {
    this.#sink = sink
  }

  /** Bytes kept of a frame that is not complete. */
  get pending(): number {
    return this.#have
  }

  /**
   * Takes the next bytes of the stream; they are not kept.
   * @throws {FrameError} a length above the bound; and again with every later call
   */
  push(chunk: Uint8Array): void {
    if (this.#failed !== undefined) throw this.#failed
    let at = this.#have > 0 ? this.#complete(chunk) : 0
    const end = chunk.byteLength
    while (at + FRAME_HEADER <= end) {
      const next = at + FRAME_HEADER + this.#length(chunk, at)
      if (next > end) break
      this.#emit(chunk, at, next)
      at = next
    }
    if (at < end) this.#keep(chunk, at, end)
  }

  /**
   * Fills the frame begun by earlier chunks.
   * @returns how many bytes of `chunk` that took; all, when the frame is still incomplete
   */
  #complete(chunk: Uint8Array): number {
    const partial = this.#partial as Uint8Array
    let at = 0
    if (this.#have < FRAME_HEADER) {
      at = Math.min(FRAME_HEADER - this.#have, chunk.byteLength)
      this.#keep(chunk, 0, at)
      if (this.#have < FRAME_HEADER) return at
    }
    const size = FRAME_HEADER + this.#length(partial, 0)
    const taken = Math.min(size - this.#have, chunk.byteLength - at)
    this.#keep(chunk, at, at + taken)
    if (this.#have < size) return at + taken
    // First, since the sink may end in an exception: the next push must not see this frame again.
    this.#have = 0
    this.#emit(partial, 0, size)
    return at + taken
  }

  #keep(chunk: Uint8Array, start: number, end: number): void {
    this.#partial ??= new Uint8Array(MAX_FRAME)
    this.#partial.set(
      start === 0 && end === chunk.byteLength ? chunk : chunk.subarray(start, end),
      this.#have,
    )
    this.#have += end - start
  }

  #length(bytes: Uint8Array, at: number): number {
    // Unsigned: a length of 0x80000000 and more must not come out negative.
    const length =
      ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
    if (length <= MAX_PAYLOAD) return length
    this.#failed = new FrameError(`frame of ${length} bytes: at most ${MAX_PAYLOAD}`)
    throw this.#failed
  }

  #emit(bytes: Uint8Array, at: number, end: number): void {
    const header = this.#header
    header.type = bytes[at + 4]!
    header.flags = bytes[at + 5]!
    header.srcHost = (bytes[at + 6]! << 8) | bytes[at + 7]!
    header.dstHost = (bytes[at + 8]! << 8) | bytes[at + 9]!
    header.hops = bytes[at + 10]!
    this.#sink(header, bytes, at + FRAME_HEADER, end)
  }
}
