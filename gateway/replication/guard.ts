/** Bounds on what one peer can cost: drops are counted and seldom logged, answers are rationed. */

import type { Millis } from '../../core/clock.ts'
import type { DropReason, ReplicationDeps } from './deps.ts'

const WARN_EVERY_MS: Millis = 10_000
/** A cold start asks for every table once; after that a few per round. */
const BURST = 300
const PER_SECOND = 50
/** Part of normal life: a message that crosses another on its way. */
const QUIET: ReadonlySet<DropReason> = new Set(['old', 'gap'])

export class Guard {
  readonly #deps: Pick<ReplicationDeps, 'log' | 'scheduler' | 'dropped'>
  readonly #warnedAt = new Map<string, Millis>()
  readonly #tokens = new Map<number, { left: number; at: Millis }>()

  constructor(deps: Pick<ReplicationDeps, 'log' | 'scheduler' | 'dropped'>) {
    this.#deps = deps
  }

  /** @param peer who sent it */
  drop(peer: number, reason: DropReason): void {
    this.#deps.dropped(reason)
    if (QUIET.has(reason) || !this.isDue(`${peer} ${reason}`)) return
    this.#deps.log.warn({ peer, reason }, 'registry message dropped')
  }

  /** Once per 10 s for each key; keys are few: peers times reasons. */
  isDue(key: string): boolean {
    const now = this.#deps.scheduler.monotonic()
    const at = this.#warnedAt.get(key)
    if (at !== undefined && now - at < WARN_EVERY_MS) return false
    this.#warnedAt.set(key, now)
    return true
  }

  /** Whether this peer may have one more answer that costs more than its question. */
  affords(peer: number): boolean {
    const now = this.#deps.scheduler.monotonic()
    const { left, at } = this.#tokens.get(peer) ?? { left: BURST, at: now }
    const filled = Math.min(BURST, left + ((now - at) * PER_SECOND) / 1000)
    const isEnough = filled >= 1
    this.#tokens.set(peer, { left: isEnough ? filled - 1 : filled, at: now })
    return isEnough
  }
}
