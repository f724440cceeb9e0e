/** Answers STUN questions on the port of direct paths: the asking host learns how it is seen from here. */
import type { Millis } from '../../../../core/clock.ts'
import { WindowLimit } from '../../../base/window-limit.ts'
import { decodeStun, encodeStun, isAnswerable } from '../../nat/stun.ts'

/**
 * An answer has 40 bytes (52 with IPv6) to a question of 20 or 28: with the headers of IP and UDP at most 1.7 times as
 * many, so forged questions gain nothing. In all and for each source, as a flood must not cost the packets their turn.
 */
const QUESTIONS = { windowMs: 1_000, perClient: 20, total: 200 }

export class StunAnswers {
  readonly #now: () => Millis
  /** By address without port. */
  readonly #limit = new WindowLimit(QUESTIONS)

  constructor(now: () => Millis) {
    this.#now = now
  }

  /** @returns the answer; undefined: no question, or too many of them */
  answer(bytes: Uint8Array, from: string): Uint8Array | undefined {
    const question = decodeStun(bytes)
    if (question === undefined || !isAnswerable(question)) return undefined
    const source = from.slice(0, from.lastIndexOf(':'))
    if (!this.#limit.takes(source, this.#now())) return undefined
    return encodeStun({ kind: 'response', transaction: question.transaction, mapped: from })
  }
}
