/** What arrived of a peer's control datagrams, and when: whether UDP passes, in either direction. Pure. */
import type { Millis } from '../../../../core/clock.ts'
import type { SessionView } from '../protocol.ts'

export class Heard {
  #probes = 0
  #probeAt: Millis | undefined
  #answerAt: Millis | undefined

  probe(now: Millis): void {
    this.#probes++
    this.#probeAt = now
  }

  /** To a probe of this host. */
  answer(now: Millis): void {
    this.#answerAt = now
  }

  /** @param wallNow ms since the epoch, at the instant `now` */
  view(now: Millis, wallNow: Millis): NonNullable<SessionView['heard']> {
    const wall = (at: Millis): Millis => Math.max(0, wallNow - (now - at))
    return {
      probes: this.#probes,
      ...(this.#probeAt !== undefined && { probeAt: wall(this.#probeAt) }),
      ...(this.#answerAt !== undefined && { answerAt: wall(this.#answerAt) }),
    }
  }
}
