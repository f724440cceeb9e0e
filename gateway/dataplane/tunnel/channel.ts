/**
 * One connection to a peer that carries frames, direct or through a relay.
 *
 * Frames are accepted from every channel; packets are sent only on the active one.
 */

import { encodeFrame, FrameDecoder, type FrameSink, type FrameType } from './frame.ts'
import { type DataPort, Sender, type SenderCounts } from './sender.ts'
import type { SlabPool } from './slab.ts'

export interface ChannelDeps {
  readonly hostId: number
  readonly ownHostId: number
  readonly port: DataPort
  readonly pool: SlabPool
  /** The peer's, which outlive the channel. */
  readonly counts: SenderCounts
  readonly queueBytes: number | undefined
  readonly frame: FrameSink
  /** `false`: the channel is closed. */
  use(channel: Channel, isUsed: boolean): void
  usoChanged(): void
}

export class Channel {
  readonly hostId: number
  readonly sender: Sender
  readonly #deps: ChannelDeps
  readonly #decoder: FrameDecoder
  #isOpen = true
  #takesUso = false

  constructor(deps: ChannelDeps) {
    this.hostId = deps.hostId
    this.#deps = deps
    this.sender = new Sender(deps.port, deps.pool, deps.counts, deps.queueBytes)
    this.#decoder = new FrameDecoder(deps.frame)
  }

  /** Whether the kernel at the other end takes packets of UDP segmentation offload; not until it has said so. */
  get takesUso(): boolean {
    return this.#takesUso
  }

  setPeerAcceptsUso(takes: boolean): void {
    this.#takesUso = takes
    this.#deps.usoChanged()
  }

  /** Packets for the peer take this channel from now on; what waits on another one goes there. */
  use(): void {
    if (this.#isOpen) this.#deps.use(this, true)
  }

  /**
   * Bytes of the connection, in any pieces; they are not kept.
   * @throws {FrameError} not a stream of frames: close the connection
   */
  receive(chunk: Uint8Array): void {
    if (this.#isOpen) this.#decoder.push(chunk)
  }

  /** A frame that is no packet, behind what is on its way; it may be dropped like one. */
  send(type: FrameType, payload: Uint8Array): void {
    const { hostId, ownHostId } = this.#deps
    const header = { type, flags: 0, srcHost: ownHostId, dstHost: hostId, hops: 0 }
    if (this.#isOpen) this.sender.sendFrame(encodeFrame(header, payload))
  }

  /** The connection is gone. Idempotent. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.sender.close()
    this.#deps.use(this, false)
  }
}
