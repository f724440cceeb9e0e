/** The decision for each host, and since when it stands. */

import type { PathInfo } from '../../core/api.ts'
import type { Clock } from '../../core/clock.ts'
import type { Events } from '../events.ts'
import { decidePath, type PathFacts } from './decide.ts'

export class PathTable {
  readonly #ownHostId: number
  readonly #clock: Clock
  readonly #events: Events
  readonly #paths = new Map<number, PathInfo>()

  constructor(ownHostId: number, clock: Clock, events: Events) {
    this.#ownHostId = ownHostId
    this.#clock = clock
    this.#events = events
    this.update({ ownHostId, hostId: ownHostId })
  }

  /** Decides again from fresh facts; an unchanged decision keeps its `since`. */
  update(facts: PathFacts): PathInfo {
    const decision = decidePath(facts)
    const before = this.#paths.get(facts.hostId)
    if (
      before?.state === decision.state &&
      before.via === decision.via &&
      before.reason === decision.reason
    ) {
      return before
    }
    const since = new Date(this.#clock.now()).toISOString()
    const path: PathInfo = { hostId: facts.hostId, ...decision, since }
    this.#paths.set(facts.hostId, path)
    this.#events.emit({ type: 'pathChanged', path })
    return path
  }

  get(hostId: number): PathInfo | undefined {
    return this.#paths.get(hostId)
  }

  /** The own host included, in order of hostId. */
  all(): PathInfo[] {
    return [...this.#paths.values()].sort((a, b) => a.hostId - b.hostId)
  }

  /** What a plugin is told with its assignment: the decision for every peer. */
  peers(): PathInfo[] {
    return this.all().filter((p) => p.hostId !== this.#ownHostId)
  }
}
