/** When a host calls another one that no link and no relay leads to, over members. Pure. */

import type { Millis } from '../../../../core/clock.ts'
import { type Allowance, Bucket } from '../../../base/bucket.ts'

/** Most hosts that are out of reach are switched off, and a call over three links may be 40 letters. */
const WAITS_MS: readonly Millis[] = [1_000, 5_000, 15_000, 30_000, 60_000, 120_000, 300_000]
/** While it answers: to know that it is there still, and the round trip. */
const KEEP_EVERY_MS: Millis = 30_000
/** Three of them without an answer. */
const GONE_MS: Millis = 100_000
/** A link takes 0.3 s, and a relay stands 0.8 s after both ends know it: UDP over those is sooner there, and better. */
const ALONE_MS: Millis = 700
/** Links come up together; one that comes and goes must not have all silent hosts called at each of its returns. */
const AFRESH: Allowance = { burst: 4, perSecond: 1 / 30 }
/** A try that is under way ends where it began. */
const TRY_MS: Millis = 15_000

export class Hello {
  #aloneSince: Millis | undefined
  #nextAt: Millis = 0
  #calls = 0
  #heardAt: Millis | undefined
  #metAt: Millis | undefined
  readonly #afresh = new Bucket(AFRESH)

  /** @param isAlone whether neither a link nor a relay leads to the host */
  look(isAlone: boolean, now: Millis): void {
    if (isAlone) this.#aloneSince ??= now
    else if (this.#aloneSince !== undefined) {
      this.#aloneSince = undefined
      this.#metAt = now
    }
  }

  /** Another member can be reached now: it may lead there. @param isOrdered a person wants it, however often */
  afresh(now: Millis, isOrdered = false): void {
    // One that answers is alone already, and stays so.
    if (this.#answers(now) || !(isOrdered || this.#afresh.spend(1, now))) return
    if (this.#aloneSince !== undefined) this.#aloneSince = now
    this.#calls = 0
    this.#nextAt = 0
  }

  /** A cut beyond this host's links has healed: calls once more, as the host behind it does. */
  once(now: Millis): void {
    if (!this.#answers(now) && this.#afresh.spend(1, now)) this.#nextAt = 0
  }

  heard(now: Millis): void {
    this.#heardAt = now
    this.#calls = 0
    this.#nextAt = now + KEEP_EVERY_MS
  }

  /** Whether to call it now. */
  isDue(now: Millis): boolean {
    return this.isAlone(now) && now >= this.#nextAt
  }

  called(now: Millis): void {
    const waitMs = this.#answers(now) ? KEEP_EVERY_MS : WAITS_MS[Math.min(this.#calls, WAITS_MS.length - 1)]
    this.#nextAt = now + (waitMs ?? 0)
    this.#calls++
  }

  /** For long enough that no link and no relay is about to come. */
  isAlone(now: Millis): boolean {
    return this.#aloneSince !== undefined && now - this.#aloneSince >= ALONE_MS
  }

  /** Whether members carry letters to it and back, and nothing better does. */
  isOpen(now: Millis): boolean {
    const isEnding = this.#metAt !== undefined && this.#aloneSince === undefined && now - this.#metAt < TRY_MS
    return this.#answers(now) && (this.isAlone(now) || isEnding)
  }

  #answers(now: Millis): boolean {
    return this.#heardAt !== undefined && now - this.#heardAt < GONE_MS
  }
}
