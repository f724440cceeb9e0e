/**
 * Counts what has arrived of one key's datagrams, for acknowledgements. Pure.
 *
 * It reports a count only where a message ends. In between, parts that are still on their way would look lost.
 */

/** Bounds of the bytes between two acknowledgements. A sender has 256 KB to 4 MB on their way. */
const LEAST = 64 << 10
const MOST = 512 << 10
/** Between the bounds: what arrives in this time, divided by `SHARE`. */
const SPAN_MS = 10
const SHARE = 8
/** With little traffic, an acknowledgement goes after this time: it measures round trip and loss. */
const SELDOM_MS = 200

export class Arrivals {
  /** Distinct datagrams; reported modulo 2^32. */
  #received = 0
  #newest = 0
  #number = 0
  #reported = 0
  #reportedNumber = 0
  #open = 0
  #openSince = 0
  #span = 0
  #spanBytes = 0
  #bound = LEAST

  /** The highest number of a genuine message. */
  get newest(): number {
    return this.#newest
  }

  /** Parts of a whole-form message, before it has opened. */
  parts(count: number): void {
    this.#received += count
  }

  /** The message opened. @param later how many counted parts belong to later messages */
  whole(number: number, later: number): void {
    if (number > this.#newest) this.#newest = number
    if (number >= this.#number) this.#end(number, this.#received - later)
  }

  record(number: number, part: number, parts: number): void {
    if (number > this.#newest) {
      // Missing parts of earlier messages are late or lost.
      if (this.#number < number - 1) this.#end(number - 1, this.#received)
      this.#newest = number
    }
    this.#received++
    if (part === parts - 1 && number >= this.#number) this.#end(number, this.#received)
  }

  #end(number: number, received: number): void {
    this.#number = number
    this.#reported = received
  }

  /** @param bytes as on the wire */
  count(bytes: number, now: number): void {
    if (this.#open === 0) this.#openSince = now
    this.#open += bytes
    this.#spanBytes += bytes
    if (now - this.#span < SPAN_MS) return
    this.#bound = Math.min(MOST, Math.max(LEAST, this.#spanBytes / SHARE))
    this.#span = now
    this.#spanBytes = 0
  }

  /** Whether an acknowledgement is due. @param isIdle nothing more waits in the socket */
  isDue(now: number, isIdle: boolean): boolean {
    if (this.#number === this.#reportedNumber) return false
    if (this.#open >= this.#bound) return true
    return isIdle && (this.#open >= LEAST || (this.#open > 0 && now - this.#openSince >= SELDOM_MS))
  }

  /** What to acknowledge: the newest complete message, and how many datagrams had come by then, modulo 2^32. */
  snapshot(): { readonly id: number; readonly received: number } {
    this.#open = 0
    this.#reportedNumber = this.#number
    return { id: this.#number & 0xffff, received: this.#reported >>> 0 }
  }
}
