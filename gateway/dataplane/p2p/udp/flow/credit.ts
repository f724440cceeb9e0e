/** Limits how much may be on its way to a peer without an acknowledgement. Pure: times in ms are arguments. */

/** Four messages: on a LAN as much is on its way before the first acknowledgement comes back. */
const LEAST = 256 << 10
/** The peer's socket buffers this much. */
const MOST = 4 << 20
/** Added to the round trip: a busy peer may take this long to get to its socket. */
const SLACK_MS = 10
/** After this long and two round trips without an acknowledgement, all that is on its way counts as lost. */
const PATIENCE_MS = 20

export class Credit {
  #sent = 0
  #acked = 0
  #window = LEAST
  #spanStart = 0
  #spanAcked = 0
  /** Since when an acknowledgement has been missing. */
  #waitingSince = 0
  #rttMs = 0
  /** How often all that was on its way was counted as lost. */
  expired = 0
  /** And how often since the last acknowledgement. */
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

  /** @param bytes that this acknowledgement covers and earlier ones did not */
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

  /** How long to wait for an acknowledgement before all that is on its way counts as lost. */
  waitMs(now: number): number {
    return Math.max(0, this.#waitingSince + PATIENCE_MS + 2 * this.#rttMs - now)
  }

  /** Forgets what is on its way: it is lost, or sealed with keys that are gone. */
  reset(): void {
    this.#acked = this.#sent
  }
}
