/**
 * Messages of the whole form whose parts did not arrive together. A fixed number of them: what a stranger sends may cost
 * a message, never memory.
 */
import type { Arena, Region } from '../../../../../kernel/arena.ts'
import { MAX_SEGMENT } from '../../../../../kernel/receive-slots.ts'
import { MAX_PARTS } from './datagram.ts'

const SLOTS = 24
/** One sender may fill a third before it displaces its own. */
const SLOTS_EACH = 8
/** The largest message: a packet of 65,545 bytes with its header, counter and tag; one of many small ones is shorter. */
const MESSAGE_BYTES = 65_664
/** The last part waits here: where it belongs is only known with the size of another one. */
const LAST_AT = MESSAGE_BYTES
const SLOT_BYTES = MESSAGE_BYTES + MAX_SEGMENT

/** Whose messages they are: one key of one peer. */
export interface Assembling {
  /** A message was given up with parts missing. */
  incomplete(): void
}

/** A message, whole once `add` has returned it: `length` bytes from the start of `bytes`. */
export interface Assembled {
  readonly bytes: Region
  readonly length: number
  readonly number: number
  readonly parts: number
}

class Slot implements Assembled {
  readonly bytes: Region
  owner: Assembling | undefined
  number = 0
  parts = 0
  have = 0
  /** Of each part but the last; 0 until one of them is there. */
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
    this.partBytes = 0
    this.lastBytes = 0
    this.begun = begun
    this.seen.fill(0)
  }

  /** @returns whether the part is new and fits those that are there */
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

  /** All parts are there. */
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
   * Keeps one part. It has to be of a message that is worth it: not delivered, not too old.
   * @returns `'kept'`, `'refused'` (a repetition, or of another size than the message's), or the message once it is whole,
   *   until the next call
   */
  add(
    owner: Assembling,
    number: number,
    part: number,
    parts: number,
    from: Region,
    at: number,
    length: number,
  ): Assembled | 'kept' | 'refused' {
    const found = this.#find(owner, number)
    if (found !== undefined && found.parts !== parts) return 'refused'
    const slot = found ?? this.#free(owner, number, parts)
    if (!slot.put(part, from, at, length)) {
      if (slot.have === 0) slot.owner = undefined
      return 'refused'
    }
    if (slot.have < parts) return 'kept'
    slot.finish()
    slot.owner = undefined
    return slot
  }

  /** Whether parts of this message are there. */
  has(owner: Assembling, number: number): boolean {
    return this.#find(owner, number) !== undefined
  }

  #find(owner: Assembling, number: number): Slot | undefined {
    for (const slot of this.#slots) if (slot.owner === owner && slot.number === number) return slot
    return undefined
  }

  /** Parts of messages of this sender with a higher number. */
  partsAfter(owner: Assembling, number: number): number {
    let parts = 0
    for (const slot of this.#slots) if (slot.owner === owner && slot.number > number) parts += slot.have
    return parts
  }

  /** Lets go of what a sender has there, without counting it. */
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
