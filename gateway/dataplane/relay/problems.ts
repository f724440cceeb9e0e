/** Which relays failed for which host of late, and how. Pure: time is an argument. */

import type { Millis } from '../../../core/clock.ts'
import { EndLimit } from './limits.ts'

interface Problem {
  readonly reason: string
  readonly until: Millis
}

export class Problems {
  /** By host, then by relay. */
  readonly #byHost = new Map<number, Map<number, Problem>>()

  /** @returns undefined: the relay is usable for the host */
  of(hostId: number, relay: number, now: Millis): string | undefined {
    const problem = this.#byHost.get(hostId)?.get(relay)
    return problem !== undefined && now < problem.until ? problem.reason : undefined
  }

  /** @param forMs how long the relay is left out */
  add(hostId: number, relay: number, reason: string, now: Millis, forMs: Millis = EndLimit.unusableMs): void {
    const ofHost = this.#byHost.get(hostId) ?? new Map<number, Problem>()
    this.#byHost.set(hostId, ofHost)
    ofHost.set(relay, { reason, until: now + forMs })
  }

  /** It works. @returns whether that is news */
  end(hostId: number, relay: number): boolean {
    return this.#byHost.get(hostId)?.delete(relay) ?? false
  }

  /** The relay's gateway has started anew or is reached again: what was before says nothing. */
  endAll(relay: number): void {
    for (const ofHost of this.#byHost.values()) ofHost.delete(relay)
  }
}
