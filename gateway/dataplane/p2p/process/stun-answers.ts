/** Answers STUN questions on the port of direct paths: the asking host learns how it is seen from here. */
import type { Millis } from '../../../../core/clock.ts'
import { decodeStun, encodeStun, isAnswerable } from '../../nat/stun.ts'

/**
 * An answer has 40 bytes (52 with IPv6) to a question of 20 or 28: with the headers of IP and UDP at most 1.7 times as
 * many, so forged questions gain nothing. In all and for each source, as a flood must not cost the packets their turn.
 */
const PER_SECOND = 200
const PER_SOURCE = 20
const SECOND: Millis = 1_000

export class StunAnswers {
  readonly #now: () => Millis
  #until: Millis = 0
  #answered = 0
  /** In this second, by address without port: its size is bounded by PER_SECOND. */
  readonly #bySource = new Map<string, number>()

  constructor(now: () => Millis) {
    this.#now = now
  }

  /** @returns the answer; undefined: no question, or too many of them */
  answer(bytes: Uint8Array, from: string): Uint8Array | undefined {
    const question = decodeStun(bytes)
    if (question === undefined || !isAnswerable(question) || !this.#spend(from)) return undefined
    return encodeStun({ kind: 'response', transaction: question.transaction, mapped: from })
  }

  #spend(from: string): boolean {
    const now = this.#now()
    if (now >= this.#until) {
      this.#until = now + SECOND
      this.#answered = 0
      this.#bySource.clear()
    }
    const source = from.slice(0, from.lastIndexOf(':'))
    const asked = this.#bySource.get(source) ?? 0
    if (this.#answered >= PER_SECOND || asked >= PER_SOURCE) return false
    this.#answered++
    this.#bySource.set(source, asked + 1)
    return true
  }
}
