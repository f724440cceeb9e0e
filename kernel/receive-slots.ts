/**
 * Where datagrams land: the header of each in one row, what follows it in another, so that the parts of a message that
 * arrive together are contiguous and nothing is copied. Knows sizes and places, not what the bytes mean.
 */

import { type Arena, Iovecs, type Region } from './arena.ts'

/** Bytes of each datagram that go to the row of headers. */
const HEADER_BYTES = 8
export const SLOTS = 192
/** UDP_GRO_CNT_MAX, net/ipv4/udp_offload.c: the kernel joins at most so many. */
const MAX_BATCH = 64
/** The most that one recvmsg brings: what UDP's length field can say. */
const MAX_BYTES = 65_535
/** UDP payloads of full datagrams: MAX_BATCH of the least cover MAX_BYTES; the most is a jumbo frame's. */
export const MIN_SEGMENT = 1_100
export const MAX_SEGMENT = 9_000
const DEFAULT_SEGMENT = 1_472
const TEXT_BYTES = SLOTS * DEFAULT_SEGMENT
/** Behind the last text: a packet of 64 KB that begins in the last slot may be judged as if it lay there. */
const SLACK = 65_600
/** Batches of another size in a row that change the layout: one large probe must not cost the bulk its place. */
const STEADY = 8
const SOCKADDR = 28

export class ReceiveSlots {
  readonly headers: Region
  readonly texts: Region
  /** struct sockaddr of each source, 28 bytes apart; which of them is a datagram's, `sourceOf` says. */
  readonly sources: Region
  /** By slot: bytes of the datagram, its header included. */
  readonly lengths = new Int32Array(SLOTS)
  readonly sourceOf = new Int32Array(SLOTS)
  /** Pairs of header and text by slot. */
  readonly iovecs: Iovecs
  readonly #linear: Region
  #stride = 0
  #slots = 0
  #unusual = 0
  /** Batches that came in another size than the layout's and were copied. */
  copied = 0

  constructor(arena: Arena) {
    this.headers = arena.take(SLOTS * HEADER_BYTES)
    this.texts = arena.take(TEXT_BYTES + SLACK, 4096)
    this.sources = arena.take(SLOTS * SOCKADDR)
    this.iovecs = new Iovecs(arena, SLOTS * 2)
    this.#linear = arena.take(MAX_BYTES + 1)
    this.layOut(DEFAULT_SEGMENT)
  }

  /** Bytes from one text to the next: those of a full datagram without its header. */
  get stride(): number {
    return this.#stride
  }

  /** UDP payload of the full datagrams that land without a copy. */
  get segmentBytes(): number {
    return this.#stride + HEADER_BYTES
  }

  /** Slots in this layout. */
  get slots(): number {
    return this.#slots
  }

  /** Whether a whole batch may still land from this slot on. */
  hasRoom(slot: number): boolean {
    const left = this.#slots - slot
    return left >= MAX_BATCH || left * this.segmentBytes >= MAX_BYTES
  }

  /** How many slots one call may fill, from this one on. */
  batchFrom(slot: number): number {
    return Math.min(MAX_BATCH, this.#slots - slot)
  }

  textAt(slot: number): number {
    return slot * this.#stride
  }

  /** Bytes of `slot` behind its header. */
  textLength(slot: number): number {
    return this.lengths[slot]! - HEADER_BYTES
  }

  /** For full datagrams of this size; what lies in the slots is lost. */
  layOut(segmentBytes: number): void {
    if (segmentBytes < MIN_SEGMENT || segmentBytes > MAX_SEGMENT)
      throw new RangeError(`segments of ${segmentBytes}`)
    this.#stride = segmentBytes - HEADER_BYTES
    this.#slots = Math.min(SLOTS, Math.floor(TEXT_BYTES / this.#stride))
    this.#unusual = 0
    for (let i = 0; i < this.#slots; i++) {
      this.iovecs.set(2 * i, this.headers, i * HEADER_BYTES, HEADER_BYTES)
      this.iovecs.set(2 * i + 1, this.texts, i * this.#stride, this.#stride)
    }
  }

  /**
   * A batch of `bytes` was scattered from `slot` on; each datagram has `segment` bytes but the last.
   * Where that is not the layout's size the datagrams are moved to slots of their own.
   * @param emptied called before the layout changes, while what lies before `slot` can still be saved
   * @returns the first slot of the batch and how many datagrams there are; too large ones are one `unusable`
   */
  settle(
    slot: number,
    bytes: number,
    segment: number,
    emptied: () => void,
  ): { first: number; count: number } {
    const count = Math.ceil(bytes / segment)
    if (segment === this.segmentBytes || (count === 1 && bytes <= this.segmentBytes)) {
      if (count > 1) this.#unusual = 0
      this.#describe(slot, count, bytes, segment)
      return { first: slot, count }
    }
    if (segment > MAX_SEGMENT) return this.unusable(slot)
    return this.#move(slot, bytes, segment, emptied)
  }

  /** Something came that is no datagram of ours: it has a slot and no length. */
  unusable(slot: number): { first: number; count: number } {
    this.lengths[slot] = 0
    this.sourceOf[slot] = slot
    return { first: slot, count: 1 }
  }

  #describe(slot: number, count: number, bytes: number, segment: number): void {
    for (let i = 0; i < count; i++) {
      this.lengths[slot + i] = i < count - 1 ? segment : bytes - (count - 1) * segment
      this.sourceOf[slot + i] = slot
    }
  }

  #move(slot: number, bytes: number, segment: number, emptied: () => void): { first: number; count: number } {
    this.copied++
    this.#gather(slot, bytes)
    const count = Math.ceil(bytes / segment)
    const isSteady = count > 1 && segment >= MIN_SEGMENT && ++this.#unusual >= STEADY
    let first = slot
    // Large slots are few: a batch of many small datagrams needs more of them.
    if (segment > this.segmentBytes || isSteady || slot + count > this.#slots) {
      emptied()
      this.#moveSource(slot)
      this.layOut(Math.max(segment, MIN_SEGMENT))
      first = 0
    }
    this.#describe(first, count, bytes, segment)
    for (let i = 0, at = 0; i < count; i++, at += segment) this.#place(first + i, at)
    return { first, count }
  }

  /** The layout changes and the batch begins again at slot 0. */
  #moveSource(from: number): void {
    if (from > 0) this.sources.bytes.copyWithin(0, from * SOCKADDR, (from + 1) * SOCKADDR)
  }

  /** Copies the stream that lies from `slot` on, header, text, header, text, into one piece. */
  #gather(slot: number, bytes: number): void {
    for (let at = 0, i = slot; at < bytes; i++) {
      const header = Math.min(HEADER_BYTES, bytes - at)
      this.#linear.copyFrom(at, this.headers, i * HEADER_BYTES, header)
      at += header
      const text = Math.min(this.#stride, bytes - at)
      if (text > 0) this.#linear.copyFrom(at, this.texts, this.textAt(i), text)
      at += text
    }
  }

  #place(slot: number, at: number): void {
    const length = this.lengths[slot]!
    const header = Math.min(HEADER_BYTES, length)
    this.headers.copyFrom(slot * HEADER_BYTES, this.#linear, at, header)
    if (length > HEADER_BYTES)
      this.texts.copyFrom(this.textAt(slot), this.#linear, at + HEADER_BYTES, length - HEADER_BYTES)
  }

  /** Puts one datagram into a slot, as a socket would. @throws {RangeError} longer than the layout's segment */
  put(slot: number, datagram: Uint8Array, source: Uint8Array): void {
    if (datagram.byteLength > this.segmentBytes)
      throw new RangeError(`datagram of ${datagram.byteLength} bytes`)
    this.headers.bytes.set(datagram.subarray(0, HEADER_BYTES), slot * HEADER_BYTES)
    this.texts.bytes.set(datagram.subarray(HEADER_BYTES), this.textAt(slot))
    this.sources.bytes.set(source, slot * SOCKADDR)
    this.lengths[slot] = datagram.byteLength
    this.sourceOf[slot] = slot
  }

  /** Where in `sources` that of the datagram in a slot begins. */
  sourceAt(slot: number): number {
    return this.sourceOf[slot]! * SOCKADDR
  }

  /** The source of the datagram in a slot, 28 bytes. */
  source(slot: number): Uint8Array {
    const at = this.sourceAt(slot)
    return this.sources.bytes.subarray(at, at + SOCKADDR)
  }
}
