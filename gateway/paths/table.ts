/** The paths to all known hosts, as the API shows them: decisions, and since when they hold. */

import type { PathInfo, PathState } from '../../core/api.ts'
import type { Clock } from '../../core/clock.ts'
import type { Events } from '../base/events.ts'
import { decidePath, type PathDecision, type PathFacts } from './decide.ts'
import { viaText } from './transport.ts'

const REACHED: ReadonlySet<PathState> = new Set<PathState>([
  'GATEWAY_ONLY',
  'P2P_ATTEMPTING',
  'P2P_ACTIVE',
  'GATEWAY_FALLBACK',
])

export class PathTable {
  readonly #ownHostId: number
  readonly #clock: Clock
  readonly #events: Events
  readonly #paths = new Map<number, { readonly decision: PathDecision; readonly info: PathInfo }>()

  constructor(ownHostId: number, clock: Clock, events: Events) {
    this.#ownHostId = ownHostId
    this.#clock = clock
    this.#events = events
    this.update({ ownHostId, hostId: ownHostId })
  }

  /**
   * Decides again from fresh facts. The round trip is kept up without an event; `since` is that of state and way, so
   * that a reason that is put in other words does not hide how long a host has been out of reach.
   */
  update(facts: PathFacts): PathDecision {
    const before = this.#paths.get(facts.hostId)
    const decision = decidePath({ ...facts, current: before?.decision })
    const { state, reason, rttMs, tier } = decision
    const via = viaText(decision.via)
    const isSame = before?.info.state === state && before.info.via === via
    const info: PathInfo = {
      hostId: facts.hostId,
      state,
      via,
      reason,
      ...(rttMs !== undefined && { rttMs: Math.round(rttMs * 100) / 100 }),
      ...(tier !== undefined && { tier }),
      since: isSame ? before.info.since : new Date(this.#clock.now()).toISOString(),
    }
    this.#paths.set(facts.hostId, { decision, info })
    if (!isSame || before.info.reason !== reason) this.#events.emit({ type: 'pathChanged', path: info })
    return decision
  }

  /** The host left the cluster. */
  forget(hostId: number): void {
    if (hostId !== this.#ownHostId) this.#paths.delete(hostId)
  }

  get(hostId: number): PathInfo | undefined {
    return this.#paths.get(hostId)?.info
  }

  /** Decision and what is shown of it. */
  path(hostId: number): { readonly decision: PathDecision; readonly info: PathInfo } | undefined {
    return this.#paths.get(hostId)
  }

  decision(hostId: number): PathDecision | undefined {
    return this.#paths.get(hostId)?.decision
  }

  /** Whether packets get to the host, directly, over a relay or over UDP. */
  isReached(hostId: number): boolean {
    return REACHED.has(this.decision(hostId)?.state ?? 'ISOLATED')
  }

  /** Whether the host is kept out: two machines use its identity, and neither may speak for it. */
  isQuarantined(hostId: number): boolean {
    return this.decision(hostId)?.state === 'QUARANTINED'
  }

  /** The own host included, in order of hostId. */
  all(): PathInfo[] {
    return [...this.#paths.values()].map((p) => p.info).sort((a, b) => a.hostId - b.hostId)
  }

  /** What a plugin learns with its assignment: the decision for every peer. */
  peers(): PathInfo[] {
    return this.all().filter((p) => p.hostId !== this.#ownHostId)
  }
}
