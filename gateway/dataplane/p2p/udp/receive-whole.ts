/** Receives the whole form: opens messages in place if their parts came together, and reassembles others. */
import type { Region } from '../../../../kernel/arena.ts'
import type { ReceiveSlots } from '../../../../kernel/receive-slots.ts'
import type { Deliverer } from './deliver.ts'
import type { Parts } from './flow/parts.ts'
import type { OpenKey } from './keys.ts'
import { HEADER, idOf, NEXT_PART, numberOf, partOf, partsOf, SEAL } from './wire/datagram.ts'
import type { Reassembly } from './wire/reassembly.ts'

const U32 = 2 ** 32

export class WholeReceiver {
  readonly #slots: ReceiveSlots
  readonly #reassembly: Reassembly
  readonly #deliver: Deliverer
  /** Keys that miss something, or did a moment ago. */
  readonly #watched = new Set<OpenKey>()

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
    const word = slots.headers.view.getUint32(slot * HEADER + 4)
    const parts = partsOf(word)
    const number = numberOf(idOf(word), key.arrivals.newest)
    if (number < 1 || !key.wholeSeen.isNew(number)) {
      key.peer.counters.rxReplayed++
      key.arrivals.parts(key.holes.late(number, partOf(word)))
      return slot + 1
    }
    key.holes.saw(number)
    const next = partOf(word) === 0 ? this.#runEnd(slot, end, word, parts) : slot + 1
    const isComplete = partOf(word) === 0 && next - slot === parts
    if (isComplete && !key.holes.isEarly(number)) {
      const counted = parts - key.holes.askedOf(number, 0, parts)
      key.arrivals.parts(counted)
      const length = (parts - 1) * slots.stride + slots.textLength(next - 1)
      this.#open(key, slot, slots.texts, slots.textAt(slot), length, parts, counted)
      this.#passed(key, number)
      return next
    }
    const mayStay = !isComplete && partOf(word) === 0 && next === end
    if (mayStay && this.#mayStay(key, slot, next, number)) return -1 - slot
    this.keep(key, slot, next, number)
    return next
  }

  /** Finds the end of the run of consecutive parts that begins with part 0. */
  #runEnd(slot: number, end: number, first: number, parts: number): number {
    const { headers, lengths, segmentBytes } = this.#slots
    const index = headers.view.getUint32(slot * HEADER)
    const most = Math.min(end, slot + parts)
    let at = slot + 1
    let word = first + NEXT_PART
    // The part before has to be full, or this part's text would not follow it directly.
    while (at < most && lengths[at - 1] === segmentBytes && this.#hasHeader(at, index, word)) {
      at++
      word += NEXT_PART
    }
    return at
  }

  #hasHeader(slot: number, index: number, word: number): boolean {
    const { view } = this.#slots.headers
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
    const { holes, arrivals } = key
    if (holes.isOn) this.#makeRoom(key, number)
    for (let i = slot; i < end; i++) {
      const word = slots.headers.view.getUint32(i * HEADER + 4)
      const part = partOf(word)
      const parts = partsOf(word)
      const length = slots.textLength(i)
      const at = slots.textAt(i)
      const counts = 1 - holes.askedOf(number, part, 1)
      if (parts === 1 && !holes.isEarly(number)) {
        arrivals.parts(counts)
        this.#open(key, i, slots.texts, at, length, 1, counts)
        this.#passed(key, number)
        continue
      }
      if (holes.isPast(number)) {
        // It was given up: its slot would stay until the end.
        arrivals.parts(counts)
        continue
      }
      const kept = this.#reassembly.add(key, number, part, parts, slots.texts, at, length, counts)
      if (kept === 'refused') {
        key.peer.counters.rxReplayed++
        arrivals.parts(holes.late(number, part))
        continue
      }
      arrivals.parts(counts)
      if (kept === 'kept' || holes.isEarly(number)) continue
      this.#openKept(key, i, number)
      this.#passed(key, number)
    }
  }

  /** Gives up the oldest missing messages until there is room for one with this number. */
  #makeRoom(key: OpenKey, number: number): void {
    if (key.holes.isTooFar(number)) this.#stop(key)
    while (key.holes.isEarly(number) && !this.#reassembly.has(key, number) && this.#reassembly.isFull(key))
      this.#giveUp(key)
  }

  #giveUp(key: OpenKey): void {
    key.holes.lose(key.holes.next)
    this.#advance(key)
  }

  /** @returns whether the message was complete */
  #openKept(key: OpenKey, slot: number, number: number): boolean {
    const kept = this.#reassembly.take(key, number)
    if (kept === undefined) return false
    this.#open(key, slot, kept.bytes, 0, kept.length, kept.parts, kept.counted)
    return true
  }

  /** This message was delivered, or did not open. */
  #passed(key: OpenKey, number: number): void {
    if (!key.holes.isOn || number !== key.holes.next) return
    key.holes.pass()
    this.#advance(key)
  }

  /** Delivers the messages whose turn it is. */
  #advance(key: OpenKey): void {
    const { holes } = key
    for (;;) {
      const isLost = holes.isLost(holes.next)
      if (!this.#openKept(key, -1, holes.next) && !isLost) return
      if (isLost) this.#reassembly.drop(key, holes.next)
      holes.pass()
    }
  }

  /** Delivers what waits, and from now on each message as it comes. */
  #stop(key: OpenKey): void {
    for (const number of this.#reassembly.complete(key)) this.#openKept(key, -1, number)
    key.holes.stop()
  }

  /** Asks for what is missing. Call it after each batch. @param send gets a request for this key's peer */
  ask(now: number, send: (key: OpenKey, request: number, wanted: readonly Parts[]) => void): void {
    for (const key of this.#watched) {
      const wanted = key.holes.ask((number) => this.#reassembly.arrived(key, number), now)
      if (wanted !== undefined) send(key, key.holes.request, wanted)
      if (!key.holes.isOn && wanted === undefined) this.#watched.delete(key)
    }
  }

  /** The peer answered a request. @param gone what it has no longer, as in the request */
  answered(key: OpenKey, request: number, isOn: boolean, gone: readonly number[], now: number): void {
    if (!isOn) {
      this.#stop(key)
      return
    }
    const wasOn = key.holes.isOn
    key.holes.answered(request, gone, key.arrivals.newest, now)
    if (!wasOn) this.#reassembly.dropBelow(key, key.holes.next)
    this.#watched.add(key)
    this.#advance(key)
  }

  /** Gives up what has been waited for long enough. */
  expire(now: number): void {
    for (const key of this.#watched) while (key.holes.isOverdue(now)) this.#giveUp(key)
  }

  /** Ms until `expire` has something to do; undefined: nothing waits. */
  dueMs(now: number): number | undefined {
    let due: number | undefined
    for (const { holes } of this.#watched) due = Math.min(due ?? 1_000, holes.dueMs(now) ?? 1_000)
    return due === 1_000 ? undefined : due
  }

  forget(key: OpenKey): void {
    this.#watched.delete(key)
    this.#reassembly.forget(key)
  }

  /**
   * Opens a message with all its parts. Genuine or not, nothing of it is kept.
   * @param slot of the datagram that completed it; -1: it completed earlier
   * @param counted how many of its parts count as arrived
   */
  #open(
    key: OpenKey,
    slot: number,
    message: Region,
    at: number,
    length: number,
    parts: number,
    counted: number,
  ): void {
    const { peer, wholeSeen, arrivals } = key
    const n = length - SEAL
    if (n <= 0) {
      arrivals.parts(-counted)
      peer.counters.rxMalformed++
      return
    }
    const counter = message.view.getUint32(at) * U32 + message.view.getUint32(at + 4)
    if (!wholeSeen.isNew(counter)) {
      arrivals.parts(-counted)
      peer.counters.rxReplayed++
      return
    }
    if (!key.whole.open(message, at, n)) {
      // Its parts count as lost, so an attack changes the form to `record`, where each forgery costs one datagram.
      arrivals.parts(-counted)
      peer.counters.rxForged += parts
      return
    }
    wholeSeen.accept(counter)
    if (slot >= 0) key.openedSlot = slot
    if (!key.holes.isOn && peer.canResend && counter > arrivals.newest + 1 && arrivals.newest > 0) {
      key.holes.suspect()
      this.#watched.add(key)
    }
    arrivals.whole(counter, this.#reassembly.partsAfter(key, counter))
    peer.counters.rxDatagrams += parts
    peer.heard(key)
    this.#deliver.packets(peer, message, at + SEAL, n)
  }
}
