/** From the device to the peers: reads packets into a slab, judges them, and sends them in runs. */

import type { Ipv4, Prefix4 } from '../../../core/addr.ts'
import { checkOutgoing, destinationOf, Verdict } from './check.ts'
import { type Drops, dropReason } from './drops.ts'
import {
  FRAME_HEADER,
  type FrameHeader,
  FrameType,
  MAX_FRAME,
  MAX_PAYLOAD,
  writeFrameHeader,
} from './frame.ts'
import type { Sender } from './sender.ts'
import type { Slab, SlabPool } from './slab.ts'

/** How the device hands over packets: it asks for room, fills it and says how much. @see kernel/tun.ts */
export interface PacketSink {
  /** Where to put the next packet. */
  buffer(): Uint8Array
  /** A packet of `length` bytes is there. */
  packet(length: number): void
}

/** A destination outside the own host. */
export interface Destination {
  readonly hostId: number
  /** undefined while its connection is down. */
  readonly sender: Sender | undefined
  readonly drops: Drops
}

export interface OutboundOptions {
  readonly hostId: number
  readonly own: Prefix4
  readonly pool: SlabPool
  /** Of packets that are for no peer. */
  readonly drops: Drops
  /** The negative errno, or the bytes of one packet. */
  readonly read: (buf: Uint8Array) => number
  readonly peerOf: (ip: Ipv4) => Destination | undefined
}

/**
 * How much one turn may read before the rest of the event loop gets its turn. Writes finish only between turns, so a
 * turn must not read more than a sender has room for: 512 KiB dropped packets of a connection that was not full.
 */
const TURN_BYTES = 128 * 1024
const TURN_PACKETS = 128
/** Frames for one peer go together up to here: four records of TLS. */
const RUN_BYTES = 64 * 1024

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

export class Outbound implements PacketSink {
  readonly #options: OutboundOptions
  readonly #header: Mutable<FrameHeader>
  #slab: Slab
  /** Where the next frame goes in the slab. */
  #at = 0
  /** Frames before `#at` that are not sent yet, all for one peer. */
  #runStart = 0
  #runPackets = 0
  #runTo: Destination | undefined

  constructor(options: OutboundOptions) {
    this.#options = options
    this.#slab = options.pool.reserve()
    this.#header = { type: FrameType.DATA, flags: 0, srcHost: options.hostId, dstHost: 0, hops: 0 }
  }

  buffer(): Uint8Array {
    if (this.#slab.bytes.byteLength - this.#at < MAX_FRAME) this.#nextSlab()
    const start = this.#at + FRAME_HEADER
    return this.#slab.bytes.subarray(start, start + MAX_PAYLOAD)
  }

  packet(length: number): void {
    let bytes = length
    this.#accept(length)
    for (let packets = 1; packets < TURN_PACKETS && bytes < TURN_BYTES; packets++) {
      const next = this.#options.read(this.buffer())
      // EAGAIN, or an error that the loop's own read will meet as well.
      if (next <= 0) break
      bytes += next
      this.#accept(next)
    }
    this.#flush()
  }

  /** Judges the packet at `#at`, and takes it into the run or forgets it. */
  #accept(length: number): void {
    const start = this.#at + FRAME_HEADER
    const { bytes } = this.#slab
    const peer = this.#judge(bytes, start, length)
    if (peer === undefined) return
    if (peer !== this.#runTo) {
      this.#flush()
      this.#runTo = peer
    }
    this.#header.dstHost = peer.hostId
    writeFrameHeader(bytes, this.#at, this.#header, length)
    this.#at = start + length
    this.#runPackets++
    if (this.#at - this.#runStart >= RUN_BYTES) this.#flush()
  }

  /** @returns whose packet it is; undefined when it is dropped, which has been counted */
  #judge(bytes: Uint8Array, start: number, length: number): Destination | undefined {
    const { own, drops, peerOf } = this.#options
    const verdict = checkOutgoing(bytes, start, start + length, own)
    const peer = verdict === Verdict.ok ? peerOf(destinationOf(bytes, start)) : undefined
    if (peer?.sender !== undefined) return peer
    if (verdict !== Verdict.ok) drops.add(dropReason(verdict))
    else if (peer === undefined) drops.add('unknownHost')
    else peer.drops.add('detached')
    return undefined
  }

  #flush(): void {
    if (this.#runPackets > 0)
      this.#runTo?.sender?.send(this.#slab, this.#runStart, this.#at, this.#runPackets)
    this.#runStart = this.#at
    this.#runPackets = 0
  }

  #nextSlab(): void {
    this.#flush()
    this.#options.pool.release(this.#slab)
    this.#slab = this.#options.pool.reserve()
    this.#at = 0
    this.#runStart = 0
  }
}
