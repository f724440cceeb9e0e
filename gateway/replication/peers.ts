/** Which peers can be talked to, what each is sending, and which requests are still open. */

import type { Millis } from '../../core/clock.ts'
import type { Scheduler } from '../base/scheduler.ts'
import { Arrivals } from './pages.ts'
import type { RecordDecoder } from './record.ts'

/** An answer takes a round trip and the time of a table; after this it is asked for again. */
const ANSWER_MS: Millis = 2_000

export class ReplicationPeers {
  readonly #scheduler: Scheduler
  readonly #decoder: RecordDecoder
  readonly #linked = new Map<number, Arrivals>()
  /** They have said hello, so it is known what they have. */
  readonly #greeted = new Set<number>()
  readonly #wanted = new Map<number, Millis>()

  constructor(scheduler: Scheduler, decoder: RecordDecoder) {
    this.#scheduler = scheduler
    this.#decoder = decoder
  }

  /** A new link, or another one in its place: what was on its way may be lost. */
  up(hostId: number): void {
    this.#linked.set(hostId, new Arrivals(this.#decoder))
    this.#greeted.delete(hostId)
    this.#wanted.delete(hostId)
  }

  down(hostId: number): void {
    this.#linked.delete(hostId)
    this.#greeted.delete(hostId)
  }

  isUp(hostId: number): boolean {
    return this.#linked.has(hostId)
  }

  arrivals(hostId: number): Arrivals | undefined {
    return this.#linked.get(hostId)
  }

  isGreeted(hostId: number): boolean {
    return this.#greeted.has(hostId)
  }

  greet(hostId: number): void {
    if (this.#linked.has(hostId)) this.#greeted.add(hostId)
  }

  ready(): Iterable<number> {
    return this.#greeted
  }

  /** @param random 0 to 1 */
  someReady(random: number): number | undefined {
    return [...this.#greeted][Math.floor(random * this.#greeted.size)]
  }

  /** Whether a host's table may be asked for now; it is then taken as asked for. */
  mayWant(hostId: number): boolean {
    const now = this.#scheduler.monotonic()
    const at = this.#wanted.get(hostId)
    if (at !== undefined && now - at < ANSWER_MS) return false
    this.#wanted.set(hostId, now)
    return true
  }

  arrived(hostId: number): void {
    this.#wanted.delete(hostId)
  }
}
