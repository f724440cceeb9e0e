/** What had been sent by each of the last messages of a key, so that an acknowledgement of one tells about all before. Pure. */
import { numberOf } from '../wire/datagram.ts'

/** Messages; beyond them nothing may be unacknowledged. */
const SIZE = 4_096
/** At first: 16 bytes for each message were 64 KB for a peer, and 253 idle peers have nothing on its way. */
const LEAST = 64

/** What an acknowledgement says beyond the one before. */
export interface Acknowledged {
  readonly bytes: number
  readonly datagrams: number
  /** Of these, how many did not arrive; below 0 when late ones came that an earlier one had missed. */
  readonly lost: number
  /** From sending the newest message of it to the acknowledgement. */
  readonly rttMs: number
}

export class SentLog {
  #size = LEAST
  /** Totals by the end of each message, modulo 2^32. */
  #bytes = new Uint32Array(LEAST)
  #datagrams = new Uint32Array(LEAST)
  #times = new Float64Array(LEAST)
  /** The last message sent; numbers begin at 1. */
  #number = 0
  #acked = 0
  #received = 0

  get number(): number {
    return this.#number
  }

  /** Whether one more would overwrite a message that an acknowledgement may yet name. */
  get isFull(): boolean {
    return this.#number - this.#acked >= SIZE - 1
  }

  /** Begins the next message. @returns its number */
  next(bytes: number, datagrams: number, now: number): number {
    if (this.#number - this.#acked >= this.#size - 1 && this.#size < SIZE) this.#grow()
    const before = this.#number % this.#size
    const at = ++this.#number % this.#size
    this.#bytes[at] = this.#bytes[before]! + bytes
    this.#datagrams[at] = this.#datagrams[before]! + datagrams
    this.#times[at] = now
    return this.#number
  }

  /** Forgets that something is out. */
  skip(): void {
    if (this.#number - this.#acked < SIZE / 2) return
    const at = this.#number % this.#size
    const before = this.#acked % this.#size
    // As if all of it had arrived: the true figure of the next acknowledgement corrects it.
    this.#received = (this.#received + (this.#datagrams[at]! - this.#datagrams[before]!)) >>> 0
    this.#acked = this.#number
  }

  /** @returns undefined for one that is old, or names what was never sent */
  acknowledge(id: number, received: number, now: number): Acknowledged | undefined {
    const number = numberOf(id, this.#number)
    if (number <= this.#acked || number > this.#number || this.#number - number >= this.#size)
      return undefined
    const at = number % this.#size
    const before = this.#acked % this.#size
    const datagrams = (this.#datagrams[at]! - this.#datagrams[before]!) >>> 0
    const arrived = (received - this.#received) | 0
    this.#acked = number
    this.#received = received
    return {
      bytes: (this.#bytes[at]! - this.#bytes[before]!) >>> 0,
      datagrams,
      lost: datagrams - arrived,
      rttMs: now - this.#times[at]!,
    }
  }

  #grow(): void {
    const [size, bytes, datagrams, times] = [this.#size, this.#bytes, this.#datagrams, this.#times]
    this.#size = 2 * size
    this.#bytes = new Uint32Array(this.#size)
    this.#datagrams = new Uint32Array(this.#size)
    this.#times = new Float64Array(this.#size)
    for (let number = this.#acked; number <= this.#number; number++) {
      const at = number % this.#size
      this.#bytes[at] = bytes[number % size]!
      this.#datagrams[at] = datagrams[number % size]!
      this.#times[at] = times[number % size]!
    }
  }
}
