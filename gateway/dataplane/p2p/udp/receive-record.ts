/** Receives the record form: opens each datagram alone, and joins neighbours of one super-packet without a copy. */
import { type Arena, Iovecs } from '../../../../kernel/arena.ts'
import { type ReceiveSlots, SLOTS } from '../../../../kernel/receive-slots.ts'
import type { Deliverer } from './deliver.ts'
import type { OpenKey } from './keys.ts'
import { COUNTER, HEADER, idOf, NEXT_PART, numberOf, partOf, partsOf, SEAL } from './wire/datagram.ts'
import { headerLength, MAX_HEADER, payloadOf, rebuildHeader } from './wire/record-header.ts'

const U32 = 2 ** 32

/** Slots `from` to `to` (inclusive) hold consecutive slices of one super-packet, opened. */
interface Run {
  readonly key: OpenKey
  readonly from: number
  to: number
  /** From the header of the last slot. */
  word: number
  readonly header: number
}

export class RecordReceiver {
  readonly #slots: ReceiveSlots
  readonly #deliver: Deliverer
  readonly #iovecs: Iovecs
  /** Header of the run being joined, as it arrived. */
  readonly #header = new Uint8Array(MAX_HEADER)
  #run: Run | undefined

  constructor(arena: Arena, slots: ReceiveSlots, deliver: Deliverer) {
    this.#slots = slots
    this.#deliver = deliver
    this.#iovecs = new Iovecs(arena, SLOTS)
  }

  /**
   * Opens a datagram of this form, or a control datagram, in place.
   * @returns bytes of text, 8 after `textAt(slot)`; 0: it did not open, or is empty
   */
  open(key: OpenKey, slot: number): number {
    const slots = this.#slots
    const { counters } = key.peer
    const at = slots.textAt(slot)
    const n = slots.textLength(slot) - SEAL
    if (n <= 0) {
      counters.rxMalformed++
      return 0
    }
    const { view } = slots.texts
    const counter = view.getUint32(at) * U32 + view.getUint32(at + 4)
    if (!key.recordSeen.isNew(counter)) {
      counters.rxReplayed++
      return 0
    }
    if (!key.record.open(slots.headers, slot * HEADER, slots.texts, at, n)) {
      counters.rxForged++
      return 0
    }
    key.recordSeen.accept(counter)
    counters.rxDatagrams++
    key.peer.heard(key)
    return n
  }

  /** Handles a datagram whose header names this form. */
  handle(key: OpenKey, slot: number): void {
    const n = this.open(key, slot)
    if (n === 0) return
    key.openedSlot = slot
    const slots = this.#slots
    const word = slots.headers.view.getUint32(slot * HEADER + 4)
    const number = numberOf(idOf(word), key.arrivals.newest)
    if (number >= 1) key.arrivals.record(number, partOf(word), partsOf(word))
    const at = slots.textAt(slot) + COUNTER
    if (partsOf(word) === 1) {
      this.flush()
      this.#deliver.packets(key.peer, slots.texts, at, n)
      return
    }
    const header = headerLength(slots.texts.bytes, at, n)
    if (header === 0 || n <= header) {
      key.peer.counters.rxMalformed++
      return
    }
    if (this.#continues(key, slot, word, header)) return
    this.flush()
    this.#run = { key, from: slot, to: slot, word, header }
  }

  #continues(key: OpenKey, slot: number, word: number, header: number): boolean {
    const run = this.#run
    if (run === undefined || run.key !== key || run.to !== slot - 1 || run.header !== header) return false
    if (word !== run.word + NEXT_PART || this.#deliver.isCutting) return false
    run.to = slot
    run.word = word
    return true
  }

  /** Delivers what has been joined. */
  flush(): void {
    const run = this.#run
    if (run === undefined) return
    this.#run = undefined
    const { bytes } = this.#slots.texts
    const at = this.#slots.textAt(run.from) + COUNTER
    this.#header.set(bytes.subarray(at, at + run.header))
    if (this.#join(run)) return
    if (run.to === run.from) {
      this.#deliver.refused()
      return
    }
    // The device refused the joined packet: delivers each datagram alone from now on, with its header as it arrived.
    this.#deliver.cutFromNow()
    bytes.set(this.#header.subarray(0, run.header), at)
    const first = run.word - (run.to - run.from) * NEXT_PART
    for (let slot = run.from; slot <= run.to; slot++) {
      const word = first + (slot - run.from) * NEXT_PART
      if (!this.#join({ key: run.key, from: slot, to: slot, word, header: run.header }))
        this.#deliver.refused()
    }
  }

  /** @returns false when the device refuses it */
  #join(run: Run): boolean {
    const slots = this.#slots
    const { bytes } = slots.texts
    const { header } = run
    const at = slots.textAt(run.from) + COUNTER
    const part = partOf(run.word) - (run.to - run.from)
    const parts = partsOf(run.word)
    const isLast = partOf(run.word) === parts - 1
    const payload = payloadOf(bytes, at, header)
    const first = this.#sliceLength(run.from, header)
    // The offset of a slice follows from the size of a full one. A last slice has to compute that size.
    const slice = part < parts - 1 ? first : (payload - first) / (parts - 1)
    let size = 0
    for (let slot = run.from; slot <= run.to; slot++) {
      const length = this.#sliceLength(slot, header)
      const place = slots.textAt(slot) + COUNTER
      const i = slot - run.from
      if (i === 0) this.#iovecs.set(0, slots.texts, place, header + length)
      else this.#iovecs.set(i, slots.texts, place + header, length)
      size += length
    }
    const offset = part * slice
    if (!Number.isInteger(slice) || slice < 1 || offset + size > payload) {
      run.key.peer.counters.rxMalformed++
      return true
    }
    if (size < payload) rebuildHeader(bytes, at, header, { offset, size, isLast, before: part })
    const all = run.to - run.from + 1
    return this.#deliver.scattered(run.key.peer, slots.texts, at, header + size, this.#iovecs, all)
  }

  #sliceLength(slot: number, header: number): number {
    return this.#slots.textLength(slot) - SEAL - header
  }
}
