/** Bounds on what one peer can cost: drops are counted and seldom logged, answers are rationed. */

import type { Millis } from '../../core/clock.ts'
import { type Allowance, Bucket } from '../base/bucket.ts'
import type { DropReason, ReplicationDeps } from './deps.ts'

const WARN_EVERY_MS: Millis = 10_000
/** A cold start asks for every table once; after that a few per round. */
const ANSWERS: Allowance = { burst: 300, perSecond: 50 }
/** Of one host's whole table to one peer, which asks for it again only after 2 s (ReplicationPeers). */
const TABLES: Allowance = { burst: 5, perSecond: 1 }
/** Pairs of a peer and a table: more than any cluster has that asks in one minute. The oldest goes. */
const MAX_PAIRS = 65_536
/** Part of normal life: a message that crosses another on its way. */
const QUIET: ReadonlySet<DropReason> = new Set(['old', 'gap'])

export class Guard {
  readonly #deps: Pick<ReplicationDeps, 'log' | 'scheduler' | 'dropped'>
  readonly #warnedAt = new Map<string, Millis>()
  readonly #answers = new Map<number, Bucket>()
  readonly #tables = new Map<string, Bucket>()

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
    const bucket = this.#answers.get(peer) ?? new Bucket(ANSWERS)
    this.#answers.set(peer, bucket)
    return bucket.spend(1, this.#deps.scheduler.monotonic())
  }

  /** Whether this peer may have a host's whole table once more. */
  affordsTable(peer: number, hostId: number): boolean {
    const key = `${peer} ${hostId}`
    const bucket = this.#tables.get(key) ?? new Bucket(TABLES)
    this.#tables.set(key, bucket)
    const [oldest] = this.#tables.keys()
    if (this.#tables.size > MAX_PAIRS && oldest !== undefined) this.#tables.delete(oldest)
    return bucket.spend(1, this.#deps.scheduler.monotonic())
  }
}
