/** Measures round trip, jitter and loss of one peer from its last forty probes. Pure. */
import type { Millis } from '../../../../core/clock.ts'

/** docs/architecture/paths.md#suspect: the window of the loss rules. */
const WINDOW = 40
/** The gateway wants so many of a path that failed before (paths/escalation/promotion.ts). */
const TELLING = 12
/** RFC 6298: the weights of a new round trip in the mean and in the deviation. */
const MEAN_WEIGHT = 1 / 8
const DEVIATION_WEIGHT = 1 / 4
/**
 * A probe without an answer for max(100 ms, 4 × srtt) makes its path suspect
 * (docs/architecture/paths.md#suspect).
 */
const LEAST_PATIENCE_MS: Millis = 100
const PATIENCE_ROUND_TRIPS = 4

/** The verdict on one probe; a late answer changes it. */
export interface Judged {
  isAnswered: boolean
}

export class RoundTrips {
  #srttMs: Millis | undefined
  #jitterMs: Millis = 0
  readonly #window: Judged[] = []
  /** Of those in the window: each probe and each answer names their share. */
  #lost = 0
  #sent = 0
  #answered = 0

  get srttMs(): Millis | undefined {
    return this.#srttMs
  }

  get jitterMs(): Millis | undefined {
    return this.#srttMs === undefined ? undefined : this.#jitterMs
  }

  /** How long to wait for an answer. */
  get patienceMs(): Millis {
    return Math.max(LEAST_PATIENCE_MS, PATIENCE_ROUND_TRIPS * (this.#srttMs ?? 0))
  }

  get lossRate(): number {
    return this.#window.length === 0 ? 0 : this.#lost / this.#window.length
  }

  get counts(): { readonly sent: number; readonly answered: number; readonly window: number } {
    return { sent: this.#sent, answered: this.#answered, window: this.#window.length }
  }

  get isTelling(): boolean {
    return this.#window.length >= TELLING
  }

  sent(): void {
    this.#sent++
  }

  answered(roundTripMs: Millis): Judged {
    this.#answered++
    this.#measure(roundTripMs)
    return this.#judge(true)
  }

  /** @returns the verdict, for `late` */
  missed(): Judged {
    return this.#judge(false)
  }

  /** An answer came after `patienceMs`: the path is slow, not lossy. */
  late(probe: Judged, roundTripMs: Millis): void {
    this.#forgive(probe)
    this.#answered++
    this.#measure(roundTripMs)
  }

  /** Begins again for another path, of which only this round trip is known. */
  reset(srttMs?: Millis): void {
    this.#srttMs = srttMs
    this.#jitterMs = 0
    for (const probe of this.#window.splice(0)) this.#forgive(probe)
  }

  #judge(isAnswered: boolean): Judged {
    const probe = { isAnswered }
    this.#window.push(probe)
    if (!isAnswered) this.#lost++
    const oldest = this.#window.length > WINDOW ? this.#window.shift() : undefined
    if (oldest !== undefined) this.#forgive(oldest)
    return probe
  }

  /** A probe counts as lost no more. */
  #forgive(probe: Judged): void {
    if (!probe.isAnswered) this.#lost--
    probe.isAnswered = true
  }

  #measure(roundTripMs: Millis): void {
    if (this.#srttMs === undefined) {
      this.#srttMs = roundTripMs
      this.#jitterMs = roundTripMs / 2
      return
    }
    const off = Math.abs(roundTripMs - this.#srttMs)
    this.#jitterMs += DEVIATION_WEIGHT * (off - this.#jitterMs)
    this.#srttMs += MEAN_WEIGHT * (roundTripMs - this.#srttMs)
  }
}
