/** One peer of the tunnel: its connection of the moment, and counters that outlive connections. */
import type { Prefix4 } from '../../core/addr.ts'
import { type DropReason, Drops } from './drops.ts'
import { FrameDecoder, type FrameSink } from './frame.ts'
import type { Destination } from './outbound.ts'
import { type DataPort, Sender, type SenderCounts } from './sender.ts'
import type { SlabPool } from './slab.ts'

export interface PeerStats {
  readonly hostId: number
  readonly isAttached: boolean
  readonly sentPackets: number
  /** With frame headers, before TLS. */
  readonly sentBytes: number
  /** Packets given to the device. */
  readonly receivedPackets: number
  readonly receivedBytes: number
  /** What waits for the connection, and what the connection has and the kernel has not. */
  readonly queuedBytes: number
  readonly inFlightBytes: number
  /** Packets; only reasons that occurred. */
  readonly drops: Readonly<Partial<Record<DropReason, number>>>
}

export class TunnelPeer implements Destination {
  readonly hostId: number
  readonly slice: Prefix4
  readonly drops = new Drops()
  /** Whether its kernel takes packets of UDP segmentation offload. */
  takesUso = true
  receivedPackets = 0
  receivedBytes = 0
  readonly #sent: SenderCounts
  #sender: Sender | undefined
  #decoder: FrameDecoder | undefined

  constructor(hostId: number, slice: Prefix4) {
    this.hostId = hostId
    this.slice = slice
    this.#sent = { packets: 0, bytes: 0, dropped: (packets) => this.drops.add('queueFull', packets) }
  }

  get sender(): Sender | undefined {
    return this.#sender
  }

  get isAttached(): boolean {
    return this.#sender !== undefined
  }

  /** Takes a new connection; one that is still there is let go. */
  attach(port: DataPort, sink: FrameSink, pool: SlabPool, queueBytes: number | undefined): void {
    this.detach()
    this.#sender = new Sender(port, pool, this.#sent, queueBytes)
    this.#decoder = new FrameDecoder(sink)
  }

  detach(): void {
    this.#sender?.close()
    this.#sender = undefined
    // The next connection begins with a whole frame.
    this.#decoder = undefined
  }

  /** @throws {FrameError} */
  push(chunk: Uint8Array): void {
    this.#decoder?.push(chunk)
  }

  stats(): PeerStats {
    return {
      hostId: this.hostId,
      isAttached: this.isAttached,
      sentPackets: this.#sent.packets,
      sentBytes: this.#sent.bytes,
      receivedPackets: this.receivedPackets,
      receivedBytes: this.receivedBytes,
      queuedBytes: this.#sender?.queuedBytes ?? 0,
      inFlightBytes: this.#sender?.inFlightBytes ?? 0,
      drops: this.drops.counts(),
    }
  }
}
