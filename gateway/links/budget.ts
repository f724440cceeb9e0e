/**
 * What one member may cost this gateway by its control connections: bytes, and CPU time for its messages.
 *
 * It belongs to the member and not to a connection, so dialling anew wins nothing.
 */

import type { Millis } from '../../core/clock.ts'
import { type Allowance, Bucket } from '../base/bucket.ts'
import type { Scheduler } from '../base/scheduler.ts'

/**
 * After a partition one peer may pass on 253 tables of 50 KiB, and a host with a slice of 65,536 addresses sends 16 MB.
 * Messages of normal life are 1 KB/s.
 */
const BYTES: Allowance = { burst: 256 * 1024 * 1024, perSecond: 4 * 1024 * 1024 }
/** Those 253 tables take 1 s. A member that keeps to what comes in anew takes a quarter of one core. */
const CPU_MS: Allowance = { burst: 5_000, perSecond: 250 }
/** A frame has a head, and something is done for it. */
const FRAME_BYTES = 64
/** No version makes bodies above the bound in normal life, so 32 MB of them are too many at once. */
const SKIPPED_WEIGHT = 8
/** A handshake and what follows it, the versions of all tables; links that flap do so once in 200 ms. */
const CONNECTION_MS: Millis = 25

/** So long a member stays away that has cost more. It comes back with what has filled up meanwhile. */
const REST_MS: Millis = 10_000

export interface Cost {
  readonly bytes?: number
  readonly frames?: number
  /** Bytes of bodies that were passed over. */
  readonly skipped?: number
  readonly cpuMs?: number
  readonly connections?: number
}

interface BudgetEvents {
  /**
   * The member has to stay away.
   * @param spent what it has used up
   * @param reason the same for the state of its link
   */
  overspent(spent: string, reason: string): void
  /** It may come back. */
  rested(): void
}

export class MemberBudget {
  readonly #scheduler: Scheduler
  readonly #events: BudgetEvents
  readonly #bytes = new Bucket(BYTES)
  readonly #cpu = new Bucket(CPU_MS)
  #cancelRest: (() => void) | undefined

  constructor(scheduler: Scheduler, events: BudgetEvents) {
    this.#scheduler = scheduler
    this.#events = events
  }

  get isOver(): boolean {
    return this.#cancelRest !== undefined
  }

  /** @returns why the member has to stay away; undefined: it may go on */
  spend(cost: Cost): string | undefined {
    const spent = this.#spend(cost)
    if (spent === undefined) return undefined
    const reason = `the peer sent ${spent}: it stays away for ${REST_MS / 1000} s`
    if (this.isOver) return reason
    this.#cancelRest = this.#scheduler.after(REST_MS, () => {
      this.#cancelRest = undefined
      this.#events.rested()
    })
    this.#events.overspent(spent, reason)
    return reason
  }

  stop(): void {
    this.#cancelRest?.()
  }

  #spend({ bytes = 0, frames = 0, skipped = 0, cpuMs = 0, connections = 0 }: Cost): string | undefined {
    const now = this.#scheduler.monotonic()
    const weight = bytes + frames * FRAME_BYTES + skipped * SKIPPED_WEIGHT
    if (!this.#bytes.spend(weight, now)) return 'more bytes than tables and heartbeats need'
    if (!this.#cpu.spend(cpuMs + connections * CONNECTION_MS, now))
      return 'messages that take more time than a member has'
    return undefined
  }
}
