/** One peer of the tunnel: its channels, the active one, and counters that outlive them. */

import type { Prefix4 } from '../../../core/addr.ts'
import type { Channel } from './channel.ts'
import { type DropReason, Drops } from './drops.ts'
import type { Destination } from './outbound.ts'
import type { Sender, SenderCounts } from './sender.ts'

export interface PeerStats {
  readonly hostId: number
  /** Whether there is a channel to send on. */
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
  readonly counts: SenderCounts
  receivedPackets = 0
  receivedBytes = 0
  readonly #channels = new Set<Channel>()
  #used: Channel | undefined

  constructor(hostId: number, slice: Prefix4) {
    this.hostId = hostId
    this.slice = slice
    this.counts = { packets: 0, bytes: 0, dropped: (packets) => this.drops.add('queueFull', packets) }
  }

  get sender(): Sender | undefined {
    return this.#used?.sender
  }

  /** What a packet sent now may look like: that of every channel, as the next one may be another's. */
  get takesUso(): boolean {
    for (const channel of this.#channels) if (!channel.takesUso) return false
    return true
  }

  add(channel: Channel): void {
    this.#channels.add(channel)
  }

  use(channel: Channel, isUsed: boolean): void {
    if (isUsed) this.#used = channel
    else {
      this.#channels.delete(channel)
      if (this.#used === channel) this.#used = undefined
    }
  }

  close(): void {
    for (const channel of [...this.#channels]) channel.close()
  }

  stats(): PeerStats {
    return {
      hostId: this.hostId,
      isAttached: this.#used !== undefined,
      sentPackets: this.counts.packets,
      sentBytes: this.counts.bytes,
      receivedPackets: this.receivedPackets,
      receivedBytes: this.receivedBytes,
      queuedBytes: this.#used?.sender.queuedBytes ?? 0,
      inFlightBytes: this.#used?.sender.inFlightBytes ?? 0,
      drops: this.drops.counts(),
    }
  }
}
