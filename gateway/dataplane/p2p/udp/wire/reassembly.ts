/**
 * Reassembles messages of the whole form whose parts did not arrive together.
 *
 * It holds a fixed number of them: a stranger's datagrams may cost a message, never memory.
 */
import type { Arena, Region } from '../../../../../kernel/arena.ts'
import { MAX_SEGMENT } from '../../../../../kernel/receive-slots.ts'
import type { Arrived } from '../flow/holes.ts'
import { MAX_PARTS } from './datagram.ts'

const SLOTS = 64
/** A sender with this many slots, half of all, displaces its own messages: 2 MB wait for what is sent again. */
const SLOTS_EACH = 32
/** The largest message: a packet of 65,545 bytes with header, counter and tag. One of many small packets is shorter. */
const MESSAGE_BYTES = 65_664
/** The last part waits here until the size of another part says where it belongs. */
const LAST_AT = MESSAGE_BYTES
const SLOT_BYTES = MESSAGE_BYTES + MAX_SEGMENT

/** The owner of messages: one key of one peer. */
export interface Assembling {
  /** A message was given up with parts missing. */
  incomplete(): void
}

/** A complete message: `length` bytes from the start of `bytes`. */
export interface Assembled {
  readonly bytes: Region
  readonly length: number
  readonly number: number
  readonly parts: number
  /** Of its parts, the ones that count as arrived. */
  readonly counted: number
}

class Slot implements Assembled {
  readonly bytes: Region
  owner: Assembling | undefined
  number = 0
  parts = 0
  have = 0
  counted = 0
  /** Size of each part but the last; 0 until one of them has arrived. */
  partBytes = 0
  lastBytes = 0
  length = 0
  begun = 0
  readonly seen = new Uint8Array(MAX_PARTS)

  constructor(arena: Arena) {
    this.bytes = arena.take(SLOT_BYTES)
  }

  begin(owner: Assembling, number: number, parts: number, begun: number): void {
    this.owner = owner
    this.number = number
    this.parts = parts
    this.have = 0
    this.counted = 0
    this.partBytes = 0
    this.lastBytes = 0
    this.begun = begun
    this.seen.fill(0)
  }

  /** @returns whether the part is new and fits the others */
  put(part: number, from: Region, at: number, length: number): boolean {
    if (this.seen[part] !== 0) return false
    const isLast = part === this.parts - 1
    if (isLast ? !this.#fitsLast(length) : !this.#fits(length)) return false
    if (isLast) this.lastBytes = length
    else this.partBytes = length
    this.bytes.copyFrom(isLast ? LAST_AT : part * length, from, at, length)
    this.seen[part] = 1
    this.have++
    return true
  }

  #fits(length: number): boolean {
    const isAgreed = this.partBytes === 0 || length === this.partBytes
    return isAgreed && this.lastBytes <= length && (this.parts - 1) * length + this.lastBytes <= MESSAGE_BYTES
  }

  #fitsLast(length: number): boolean {
    const before = (this.parts - 1) * this.partBytes
    return (
      length <= MAX_SEGMENT && (before === 0 || length <= this.partBytes) && before + length <= MESSAGE_BYTES
    )
  }

  /** Puts the last part into its place, once all parts have arrived. */
  finish(): void {
    const before = (this.parts - 1) * this.partBytes
    this.bytes.copyFrom(before, this.bytes, LAST_AT, this.lastBytes)
    this.length = before + this.lastBytes
  }
}

export class Reassembly {
  readonly #slots: readonly Slot[]
  #begun = 0

  constructor(arena: Arena) {
    this.#slots = Array.from({ length: SLOTS }, () => new Slot(arena))
  }

  /**
   * Keeps one part. The caller checks that its message is neither delivered nor too old.
   * @param counts 1, or 0 for a part that does not count as arrived
   * @returns `'kept'`, `'refused'` (a repetition, or its size does not fit), or the complete message, which stays until
   *   `take`
   */
  add(
    owner: Assembling,
    number: number,
    part: number,
    parts: number,
    from: Region,
    at: number,
    length: number,
    counts = 1,
  ): Assembled | 'kept' | 'refused' {
    const found = this.#find(owner, number)
    if (found !== undefined && found.parts !== parts) return 'refused'
    const slot = found ?? this.#free(owner, number, parts)
    if (!slot.put(part, from, at, length)) {
      if (slot.have === 0) slot.owner = undefined
      return 'refused'
    }
    slot.counted += counts
    if (slot.have < parts) return 'kept'
    slot.finish()
    return slot
  }

  /** Takes a message out if it is complete; it is valid until the next `add`. */
  take(owner: Assembling, number: number): Assembled | undefined {
    const slot = this.#find(owner, number)
    if (slot === undefined || slot.have < slot.parts) return undefined
    slot.owner = undefined
    return slot
  }

  /** Gives a message up. */
  drop(owner: Assembling, number: number): void {
    const slot = this.#find(owner, number)
    if (slot === undefined) return
    slot.owner = undefined
    if (slot.have < slot.parts) owner.incomplete()
  }

  /** Gives up a sender's messages with lower numbers. */
  dropBelow(owner: Assembling, number: number): void {
    for (const slot of this.#slots)
      if (slot.owner === owner && slot.number < number) this.drop(owner, slot.number)
  }

  /** What has arrived of a message; undefined: nothing. */
  arrived(owner: Assembling, number: number): Arrived | undefined {
    return this.#find(owner, number)
  }

  /** Numbers of this sender's complete messages, in their order. */
  complete(owner: Assembling): number[] {
    const complete = this.#slots.filter((slot) => slot.owner === owner && slot.have === slot.parts)
    return complete.map((slot) => slot.number).sort((a, b) => a - b)
  }

  /** Whether another message of this sender displaces one. */
  isFull(owner: Assembling): boolean {
    let own = 0
    let free = 0
    for (const slot of this.#slots) {
      if (slot.owner === owner) own++
      else if (slot.owner === undefined) free++
    }
    return own >= SLOTS_EACH || free === 0
  }

  /** Whether any part of this message has arrived. */
  has(owner: Assembling, number: number): boolean {
    return this.#find(owner, number) !== undefined
  }

  #find(owner: Assembling, number: number): Slot | undefined {
    for (const slot of this.#slots) if (slot.owner === owner && slot.number === number) return slot
    return undefined
  }

  /** How many parts of this sender's messages with a higher number count as arrived. */
  partsAfter(owner: Assembling, number: number): number {
    let parts = 0
    for (const slot of this.#slots) if (slot.owner === owner && slot.number > number) parts += slot.counted
    return parts
  }

  /** Drops a sender's messages without counting them as incomplete. */
  forget(owner: Assembling): void {
    for (const slot of this.#slots) if (slot.owner === owner) slot.owner = undefined
  }

  #free(owner: Assembling, number: number, parts: number): Slot {
    const own = this.#slots.filter((slot) => slot.owner === owner)
    const free = own.length < SLOTS_EACH ? this.#slots.find((slot) => slot.owner === undefined) : undefined
    const slot = free ?? oldest(own.length < SLOTS_EACH ? this.#slots : own)
    slot.owner?.incomplete()
    slot.begin(owner, number, parts, this.#begun++)
    return slot
  }
}

const oldest = (slots: readonly Slot[]): Slot => slots.reduce((a, b) => (b.begun < a.begun ? b : a))
