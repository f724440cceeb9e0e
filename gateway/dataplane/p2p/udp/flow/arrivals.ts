/**
 * What has arrived of one key's datagrams, for acknowledgements. Pure. A figure is only told where messages end: parts of
 * later ones that are there already, or parts that are still on their way, would look like loss and be none.
 */

/** Bytes after which an acknowledgement goes: at least, and at most. A sender has 256 KB to 4 MB on its way. */
const LEAST = 64 << 10
const MOST = 512 << 10
/** What came in this time, divided by `SHARE`, is the bound between the two. */
const SPAN_MS = 10
const SHARE = 8
/** And after this time whatever came, for the round trip and the loss of a path with little traffic. */
const SELDOM_MS = 200

export class Arrivals {
  /** Distinct datagrams, modulo 2^32 where it is told. */
  #received = 0
  #newest = 0
  #number = 0
  #told = 0
  #toldNumber = 0
  #open = 0
  #openSince = 0
  #span = 0
  #spanBytes = 0
  #bound = LEAST

  /** The highest message number that was genuine. */
  get newest(): number {
    return this.#newest
  }

  /** Parts of a whole message, before it is known whether they are genuine. */
  parts(count: number): void {
    this.#received += count
  }

  /** The message opened. @param later parts that have been counted and belong to later messages */
  whole(number: number, later: number): void {
    if (number > this.#newest) this.#newest = number
    if (number >= this.#number) this.#end(number, this.#received - later)
  }

  record(number: number, part: number, parts: number): void {
    if (number > this.#newest) {
      // Whatever was missing of the messages before is late or lost.
      if (this.#number < number - 1) this.#end(number - 1, this.#received)
      this.#newest = number
    }
    this.#received++
    if (part === parts - 1 && number >= this.#number) this.#end(number, this.#received)
  }

  #end(number: number, received: number): void {
    this.#number = number
    this.#told = received
  }

  /** @param bytes of the wire */
  count(bytes: number, now: number): void {
    if (this.#open === 0) this.#openSince = now
    this.#open += bytes
    this.#spanBytes += bytes
    if (now - this.#span < SPAN_MS) return
    this.#bound = Math.min(MOST, Math.max(LEAST, this.#spanBytes / SHARE))
    this.#span = now
    this.#spanBytes = 0
  }

  /** Whether it is time for an acknowledgement. @param isIdle nothing more is waiting to be received */
  isDue(now: number, isIdle: boolean): boolean {
    if (this.#number === this.#toldNumber) return false
    if (this.#open >= this.#bound) return true
    return isIdle && (this.#open >= LEAST || (this.#open > 0 && now - this.#openSince >= SELDOM_MS))
  }

  /** What to tell: the newest message that has ended, and how many datagrams had come by then, modulo 2^32. */
  tell(): { readonly id: number; readonly received: number } {
    this.#open = 0
    this.#toldNumber = this.#number
    return { id: this.#number & 0xffff, received: this.#told >>> 0 }
  }
}
