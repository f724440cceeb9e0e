/** What a person has to act on: announced when it begins and again, shown until it is quiet. */

import type { Millis } from '../../core/clock.ts'
import type { ReplicationDeps } from './deps.ts'

export interface Alarm {
  readonly hostId: number
  readonly reason: string
  /** What to do. */
  readonly next: string
  /** When it was first seen; ISO 8601, UTC. */
  readonly since: string
}

/** A cause that stays is seen every few seconds; a person is reminded this often. */
const REPEAT_MS: Millis = 3_600_000
/** So long after its cause was last seen it is still shown. */
const QUIET_MS: Millis = 600_000
/** Causes are few: each needs a certificate of the cluster. */
const MAX_HELD = 256

interface Held {
  readonly alarm: Alarm
  /** Monotonic, as are the others. */
  readonly firstAt: Millis
  readonly seenAt: Millis
  /** undefined: not announced yet. */
  readonly toldAt: Millis | undefined
}

export class Alarms {
  readonly #deps: Pick<ReplicationDeps, 'events' | 'log' | 'scheduler'>
  readonly #held = new Map<string, Held>()

  constructor(deps: Pick<ReplicationDeps, 'events' | 'log' | 'scheduler'>) {
    this.#deps = deps
  }

  /**
   * Its cause was seen.
   * @param cause keeps causes of one host apart
   * @param patienceMs a cause that is not seen any more after this was none
   */
  raise(cause: string, what: Omit<Alarm, 'since'>, patienceMs: Millis = 0): void {
    this.#forgetOld()
    const now = this.#now
    const key = `${what.hostId} ${cause}`
    const { firstAt, toldAt, alarm: known } = this.#held.get(key) ?? { firstAt: now, toldAt: undefined }
    const alarm = { ...what, since: known?.since ?? new Date(this.#deps.scheduler.now()).toISOString() }
    const isDue = now - firstAt >= patienceMs && (toldAt === undefined || now - toldAt >= REPEAT_MS)
    this.#held.delete(key)
    this.#held.set(key, { alarm, firstAt, seenAt: now, toldAt: isDue ? now : toldAt })
    const [oldest] = this.#held.keys()
    if (this.#held.size > MAX_HELD && oldest !== undefined) this.#held.delete(oldest)
    if (isDue) this.announce(what)
  }

  /** For what is kept and shown elsewhere. */
  announce({ hostId, reason, next }: Omit<Alarm, 'since'>): void {
    this.#deps.events.emit({ type: 'alarm', hostId, reason, next })
    this.#deps.log.error({ peer: hostId, reason: `${reason}; ${next}` }, 'host alarm raised')
  }

  /** Those that were announced and go on, in order of hostId. */
  list(): Alarm[] {
    this.#forgetOld()
    return [...this.#held.values()]
      .filter((h) => h.toldAt !== undefined)
      .map((h) => h.alarm)
      .sort((a, b) => a.hostId - b.hostId)
  }

  get #now(): Millis {
    return this.#deps.scheduler.monotonic()
  }

  #forgetOld(): void {
    for (const [key, { seenAt }] of this.#held) if (this.#now - seenAt > QUIET_MS) this.#held.delete(key)
  }
}
