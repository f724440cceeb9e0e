/** Logs a key's totals at each message, so that acknowledging one message accounts for all before it. Pure. */
import { numberOf } from '../wire/datagram.ts'

/** How many messages may lack an acknowledgement. */
const SIZE = 4_096
/** A packet that finds the log full still goes, and the ones before it may wait to become a message. */
const SPARE = 4
/** Size at first: at 16 bytes a message the full log takes 64 KB a peer, and 253 idle peers need none of it. */
const LEAST = 64

/** What an acknowledgement adds to the one before. */
export interface Acknowledged {
  readonly bytes: number
  readonly datagrams: number
  /** How many of these did not arrive. Negative when datagrams came late that counted as lost before. */
  readonly lost: number
  /** From sending the newest acknowledged message to this acknowledgement. */
  readonly rttMs: number
}

export class SentLog {
  #size = LEAST
  /** Totals at the end of each message, modulo 2^32. */
  #bytes = new Uint32Array(LEAST)
  #datagrams = new Uint32Array(LEAST)
  #times = new Float64Array(LEAST)
  /** Number of the last message sent; numbers begin at 1. */
  #number = 0
  #acked = 0
  #received = 0

  get number(): number {
    return this.#number
  }

  /** Whether more messages would overwrite one that an acknowledgement may still name. */
  get isFull(): boolean {
    return this.#number - this.#acked >= SIZE - SPARE
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

  /** Forgets what is on its way. */
  skip(): void {
    if (this.#number - this.#acked < SIZE / 2) return
    const at = this.#number % this.#size
    const before = this.#acked % this.#size
    // Counts all of it as arrived: the next acknowledgement corrects the figure.
    this.#received = (this.#received + (this.#datagrams[at]! - this.#datagrams[before]!)) >>> 0
    this.#acked = this.#number
  }

  /** @returns undefined: the acknowledgement is old, or names a message that was never sent */
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
