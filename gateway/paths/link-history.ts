/** How long links have been as they are, and how far a direct way that came back is trusted. */

import type { Millis } from '../../core/clock.ts'
import type { LinkState, LinkView } from '../links/types.ts'
import type { LinkFacts } from './decide.ts'
import { Steadiness } from './steadiness.ts'

/** Monotonic, unlike `since` of a link: a wall clock that is put right must not make a link new. */
interface Known {
  readonly state: LinkState
  readonly at: Millis
  readonly hasStopped: boolean
}

export class LinkHistory {
  readonly #known = new Map<number, Known>()
  readonly #steadiness = new Map<number, Steadiness>()

  /** @param now monotonic */
  see({ hostId, state, reason, hasData }: LinkView, now: Millis): LinkFacts {
    let known = this.#known.get(hostId)
    if (known?.state !== state) {
      known = { state, at: now, hasStopped: state === 'down' && known?.state === 'draining' }
      this.#known.set(hostId, known)
    }
    const steadiness = this.#steadiness.get(hostId) ?? new Steadiness(now)
    this.#steadiness.set(hostId, steadiness)
    steadiness.see(hasData, state === 'draining' || known.hasStopped, now)
    return {
      state,
      reason,
      forMs: now - known.at,
      dataForMs: steadiness.forMs(now),
      settlesMs: steadiness.settlesMs,
      hasStopped: known.hasStopped,
    }
  }

  /** The host left the cluster. */
  forget(hostId: number): void {
    this.#known.delete(hostId)
    this.#steadiness.delete(hostId)
  }
}
