/** What had been sent by each of the last messages of a key, so that an acknowledgement of one tells about all before. Pure. */
import { numberOf } from '../wire/datagram.ts'

/** Messages; beyond them nothing may be unacknowledged. */
const SIZE = 4_096

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
  /** Totals by the end of each message, modulo 2^32. */
  readonly #bytes = new Uint32Array(SIZE)
  readonly #datagrams = new Uint32Array(SIZE)
  readonly #times = new Float64Array(SIZE)
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
    const before = this.#number % SIZE
    const at = ++this.#number % SIZE
    this.#bytes[at] = this.#bytes[before]! + bytes
    this.#datagrams[at] = this.#datagrams[before]! + datagrams
    this.#times[at] = now
    return this.#number
  }

  /** Forgets that something is out. */
  skip(): void {
    if (this.#number - this.#acked < SIZE / 2) return
    const at = this.#number % SIZE
    const before = this.#acked % SIZE
    // As if all of it had arrived: the true figure of the next acknowledgement corrects it.
    this.#received = (this.#received + (this.#datagrams[at]! - this.#datagrams[before]!)) >>> 0
    this.#acked = this.#number
  }

  /** @returns undefined for one that is old, or names what was never sent */
  acknowledge(id: number, received: number, now: number): Acknowledged | undefined {
    const number = numberOf(id, this.#number)
    if (number <= this.#acked || number > this.#number || this.#number - number >= SIZE) return undefined
    const at = number % SIZE
    const before = this.#acked % SIZE
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
}
