/** Receives the whole form: opens messages in place if their parts came together, and reassembles others. */
import type { Region } from '../../../../kernel/arena.ts'
import type { ReceiveSlots } from '../../../../kernel/receive-slots.ts'
import type { Deliverer } from './deliver.ts'
import type { OpenKey } from './keys.ts'
import { HEADER, idOf, NEXT_PART, numberOf, partOf, partsOf, SEAL } from './wire/datagram.ts'
import type { Reassembly } from './wire/reassembly.ts'

const U32 = 2 ** 32

export class WholeReceiver {
  readonly #slots: ReceiveSlots
  readonly #reassembly: Reassembly
  readonly #deliver: Deliverer

  constructor(slots: ReceiveSlots, reassembly: Reassembly, deliver: Deliverer) {
    this.#slots = slots
    this.#reassembly = reassembly
    this.#deliver = deliver
  }

  /**
   * @param slot of the first datagram, whose header names this form
   * @param end where the slots with datagrams end
   * @returns the next slot to look at; or, below zero, `-1 - slot`: a message begins there whose rest may arrive next,
   *   so it should stay in its slots
   */
  handle(key: OpenKey, slot: number, end: number): number {
    const slots = this.#slots
    const word = slots.heads.view.getUint32(slot * HEADER + 4)
    const parts = partsOf(word)
    const number = numberOf(idOf(word), key.arrivals.newest)
    if (number < 1 || !key.wholeSeen.isNew(number)) {
      key.peer.counters.rxReplayed++
      return slot + 1
    }
    const next = partOf(word) === 0 ? this.#runEnd(slot, end, word, parts) : slot + 1
    if (partOf(word) === 0 && next - slot === parts) {
      key.arrivals.parts(parts)
      const length = (parts - 1) * slots.stride + slots.textLength(next - 1)
      this.#open(key, slot, slots.texts, slots.textAt(slot), length, parts)
      return next
    }
    if (partOf(word) === 0 && next === end && this.#mayStay(key, slot, next, number)) return -1 - slot
    this.keep(key, slot, next, number)
    return next
  }

  /** Finds the end of the run of consecutive parts that begins with part 0. */
  #runEnd(slot: number, end: number, first: number, parts: number): number {
    const { heads, lengths, segmentBytes } = this.#slots
    const index = heads.view.getUint32(slot * HEADER)
    const most = Math.min(end, slot + parts)
    let at = slot + 1
    let word = first + NEXT_PART
    // The part before has to be full, or this part's text would not follow it directly.
    while (at < most && lengths[at - 1] === segmentBytes && this.#hasHead(at, index, word)) {
      at++
      word += NEXT_PART
    }
    return at
  }

  #hasHead(slot: number, index: number, word: number): boolean {
    const { view } = this.#slots.heads
    return (
      this.#slots.lengths[slot]! > HEADER &&
      view.getUint32(slot * HEADER) === index &&
      view.getUint32(slot * HEADER + 4) === word
    )
  }

  /** Whether the rest of the message has yet to arrive, and would then follow directly. */
  #mayStay(key: OpenKey, slot: number, end: number, number: number): boolean {
    // If reassembly has the rest, the message is complete and must not wait for another datagram.
    if (this.#reassembly.has(key, number)) return false
    for (let i = slot; i < end; i++) if (this.#slots.lengths[i] !== this.#slots.segmentBytes) return false
    return true
  }

  /** Moves the parts in these slots, all of one message, to reassembly. */
  keep(key: OpenKey, slot: number, end: number, number: number): void {
    const slots = this.#slots
    for (let i = slot; i < end; i++) {
      const word = slots.heads.view.getUint32(i * HEADER + 4)
      const length = slots.textLength(i)
      const at = slots.textAt(i)
      if (partsOf(word) === 1) {
        key.arrivals.parts(1)
        this.#open(key, i, slots.texts, at, length, 1)
        continue
      }
      const kept = this.#reassembly.add(key, number, partOf(word), partsOf(word), slots.texts, at, length)
      if (kept === 'refused') {
        key.peer.counters.rxReplayed++
        continue
      }
      key.arrivals.parts(1)
      if (kept !== 'kept') this.#open(key, i, kept.bytes, 0, kept.length, kept.parts)
    }
  }

  /**
   * Opens a message with all its parts. Genuine or not, nothing of it is kept.
   * @param slot of the datagram that completed it
   */
  #open(key: OpenKey, slot: number, message: Region, at: number, length: number, parts: number): void {
    const { peer, wholeSeen, arrivals } = key
    const n = length - SEAL
    if (n <= 0) {
      arrivals.parts(-parts)
      peer.counters.rxMalformed++
      return
    }
    const counter = message.view.getUint32(at) * U32 + message.view.getUint32(at + 4)
    if (!wholeSeen.isNew(counter)) {
      arrivals.parts(-parts)
      peer.counters.rxReplayed++
      return
    }
    if (!key.whole.open(message, at, n)) {
      // Its parts count as lost, so an attack changes the form to `record`, where each forgery costs one datagram.
      arrivals.parts(-parts)
      peer.counters.rxForged += parts
      return
    }
    wholeSeen.accept(counter)
    key.openedSlot = slot
    arrivals.whole(counter, this.#reassembly.partsAfter(key, counter))
    peer.counters.rxDatagrams += parts
    peer.heard(key)
    this.#deliver.packets(peer, message, at + SEAL, n)
  }
}
