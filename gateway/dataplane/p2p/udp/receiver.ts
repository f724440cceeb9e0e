/** Reads batches from the socket, finds each datagram's key and form, and lets half a message wait for its rest. */

import type { ReceiveSlots } from '../../../../kernel/receive-slots.ts'
import type { DatagramPort } from '../../../../kernel/udp-socket.ts'
import type { OpenKey } from './keys.ts'
import type { RecordReceiver } from './receive-record.ts'
import type { WholeReceiver } from './receive-whole.ts'
import type { PlaneCounters } from './types.ts'
import { formOf, HEADER, idOf, isHeaderWord, numberOf, WireForm } from './wire/datagram.ts'

export interface ReceiverDeps {
  readonly udp: DatagramPort
  readonly counters: PlaneCounters
  readonly whole: WholeReceiver
  readonly record: RecordReceiver
  keyOf(index: number): OpenKey | undefined
  /** No key has this slot's index; `word`: its bytes 4 to 8. @returns whether it was STUN */
  plain(slot: number, word: number): boolean
  /** An opened control datagram lies in this slot: `n` bytes of text. */
  control(key: OpenKey, slot: number, n: number): void
  /** Data came for this key: `bytes` on the wire. The key knows whether it opened. */
  arrived(key: OpenKey, bytes: number): void
  /** A batch was handled. */
  handled(): void
}

export class Receiver {
  readonly #deps: ReceiverDeps
  readonly #slots: ReceiveSlots
  /** An incomplete message stays in the slots from here to `#end`. */
  #stays = 0
  #end = 0
  readonly #emptied = () => this.#moveAway()

  constructor(deps: ReceiverDeps) {
    this.#deps = deps
    this.#slots = deps.udp.slots
  }

  /** Receives one batch and handles it. @returns how many datagrams it had */
  step(): number {
    if (!this.#slots.hasRoom(this.#end)) this.#moveAway()
    const { first, count } = this.#deps.udp.receive(this.#end, this.#emptied)
    if (count === 0) return 0
    const end = first + count
    // The message that stayed can go on only if the new batch lies right behind it.
    const from = this.#end === first && this.#end > this.#stays ? this.#stays : first
    this.#stays = 0
    this.#end = 0
    this.#handle(from, end, first)
    this.#deps.record.flush()
    this.#deps.handled()
    return count
  }

  #handle(from: number, end: number, fresh: number): void {
    let countedKey: OpenKey | undefined
    let bytes = 0
    for (let slot = from; slot < end; ) {
      const key = this.#keyAt(slot)
      if (key !== countedKey) {
        if (countedKey !== undefined && bytes > 0) this.#deps.arrived(countedKey, bytes)
        countedKey = key
        bytes = 0
      }
      const next = key === undefined ? slot + 1 : this.#dispatch(key, slot, end)
      const upTo = next < 0 ? end : next
      if (!this.#isControl(slot))
        for (let i = Math.max(slot, fresh); i < upTo; i++) bytes += this.#slots.lengths[i]!
      if (next < 0) {
        this.#stays = -1 - next
        this.#end = end
      }
      slot = upTo
    }
    if (countedKey !== undefined && bytes > 0) this.#deps.arrived(countedKey, bytes)
  }

  #isControl(slot: number): boolean {
    return formOf(this.#slots.headers.view.getUint32(slot * HEADER + 4)) === WireForm.control
  }

  #keyAt(slot: number): OpenKey | undefined {
    if (this.#slots.lengths[slot]! <= HEADER) {
      this.#deps.counters.malformed++
      return undefined
    }
    const { view } = this.#slots.headers
    const key = this.#deps.keyOf(view.getUint32(slot * HEADER))
    if (key === undefined && !this.#deps.plain(slot, view.getUint32(slot * HEADER + 4)))
      this.#deps.counters.unknownIndex++
    return key
  }

  /** @returns the next slot; below zero as for `WholeReceiver.handle` */
  #dispatch(key: OpenKey, slot: number, end: number): number {
    const { whole, record, counters } = this.#deps
    const word = this.#slots.headers.view.getUint32(slot * HEADER + 4)
    if (!isHeaderWord(word)) {
      counters.malformed++
      return slot + 1
    }
    switch (formOf(word)) {
      case WireForm.whole:
        record.flush()
        return whole.handle(key, slot, end)
      case WireForm.record:
        record.handle(key, slot)
        return slot + 1
      case WireForm.control: {
        const n = record.open(key, slot)
        if (n > 0) this.#deps.control(key, slot, n)
        return slot + 1
      }
      default:
        counters.malformed++
        return slot + 1
    }
  }

  /** Moves the message that stayed to reassembly: its slots are needed. */
  #moveAway(): void {
    const from = this.#stays
    const end = this.#end
    this.#stays = 0
    this.#end = 0
    if (end === from) return
    const { view } = this.#slots.headers
    const key = this.#deps.keyOf(view.getUint32(from * HEADER))
    const id = idOf(view.getUint32(from * HEADER + 4))
    if (key !== undefined) this.#deps.whole.keep(key, from, end, numberOf(id, key.arrivals.newest))
  }
}
