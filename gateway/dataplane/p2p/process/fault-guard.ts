/**
 * Guesses whether silence is this host's own fault: its loop came late, or most of its paths fell silent at once. Pure.
 */
import type { Millis } from '../../../../core/clock.ts'

/** docs/architecture/paths.md#local-fault, after Lifeguard of serf. */
export const LATE_LOOP_MS: Millis = 100
const FAULT_SPAN_MS: Millis = 500
const FAULT_SHARE = 0.5
/** With two peers one is half of them: the guard would delay every failure. */
const FAULT_LEAST = 3
/** How long after a late loop this host mistrusts its own judgement. */
const LATE_COUNTS_MS: Millis = 1_000

export class FaultGuard {
  readonly #suspectedAt = new Map<number, Millis>()
  #lateAt: Millis = Number.NEGATIVE_INFINITY

  /** The loop came back more than LATE_LOOP_MS too late. */
  late(now: Millis): void {
    this.#lateAt = now
  }

  suspected(hostId: number, now: Millis): void {
    this.#suspectedAt.set(hostId, now)
  }

  forget(hostId: number): void {
    this.#suspectedAt.delete(hostId)
  }

  /** @param sessions how many there are */
  isLikely(sessions: number, now: Millis): boolean {
    if (now - this.#lateAt < LATE_COUNTS_MS) return true
    let suspects = 0
    for (const at of this.#suspectedAt.values()) if (now - at <= FAULT_SPAN_MS) suspects++
    return suspects >= FAULT_LEAST && suspects >= FAULT_SHARE * sessions
  }
}
