/** How much may be on its way to a peer without an acknowledgement. Pure: times in ms come as arguments. */

/** 4 messages: what is out before the first acknowledgement can be back on a LAN. */
const LEAST = 256 << 10
/** What the peer's socket buffers. */
const MOST = 4 << 20
/** Beyond the round trip: the time that a busy peer may be elsewhere. */
const SLACK_MS = 10
/** Without news for this long, and two round trips, what is out counts as lost. */
const PATIENCE_MS = 20

export class Credit {
  #sent = 0
  #acked = 0
  #window = LEAST
  #spanStart = 0
  #spanAcked = 0
  /** Since when there has been no news although something is out. */
  #waitingSince = 0
  #rttMs = 0
  /** How often everything was given up. */
  expired = 0
  /** And how often in a row, without an acknowledgement since. */
  silences = 0

  /** Bytes on their way. */
  get outstanding(): number {
    return this.#sent - this.#acked
  }

  get window(): number {
    return this.#window
  }

  sent(bytes: number, now: number): void {
    if (this.outstanding === 0) this.#waitingSince = now
    this.#sent += bytes
  }

  /** @param bytes that an acknowledgement covers, beyond those of earlier ones */
  acked(bytes: number, now: number, rttMs: number): void {
    this.#acked = Math.min(this.#sent, this.#acked + bytes)
    this.#waitingSince = now
    this.silences = 0
    this.#rttMs = rttMs
    this.#spanAcked += bytes
    if (this.#spanAcked * 2 > this.#window) this.#window = Math.min(MOST, this.#spanAcked * 2)
    if (now - this.#spanStart < rttMs + SLACK_MS) return
    this.#window = Math.min(MOST, Math.max(LEAST, this.#spanAcked * 2))
    this.#spanStart = now
    this.#spanAcked = 0
  }

  /** Whether more may be sent now. */
  isOpen(now: number): boolean {
    if (this.outstanding < this.#window) return true
    if (this.waitMs(now) > 0) return false
    this.reset()
    this.expired++
    this.silences++
    return true
  }

  /** How long to wait for news before what is out counts as lost. */
  waitMs(now: number): number {
    return Math.max(0, this.#waitingSince + PATIENCE_MS + 2 * this.#rttMs - now)
  }

  /** What is out is of no more interest: lost, or sealed with keys that are gone. */
  reset(): void {
    this.#acked = this.#sent
  }
}
