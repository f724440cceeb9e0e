/** Asks every second whether the kernel's rules were damaged, and has them repaired at once. */

import type { Log } from '../../core/log.ts'
import type { Part } from '../base/part.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { Reconciler } from './reconciler.ts'

export interface RulesWatchDeps {
  /** Whether another program took away what the reconciler's `repair` sets. */
  readonly isDamaged: () => boolean
  readonly reconciler: Reconciler
  readonly scheduler: Scheduler
  readonly log: Log
}

/** A firewall that starts anew flushes all rules; half a minute without published ports is long. */
const LOOK_MS = 1_000

export class RulesWatch implements Part {
  readonly #deps: RulesWatchDeps
  /** What a run could not mend is left to the rounds: else it would be tried, and logged, every second. */
  #isHopeless = false
  #stopLooking: (() => void) | undefined

  constructor(deps: RulesWatchDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#stopLooking = this.#deps.scheduler.every(LOOK_MS, () => void this.#look())
  }

  stop(): void {
    this.#stopLooking?.()
  }

  async #look(): Promise<void> {
    const { isDamaged, log, reconciler } = this.#deps
    try {
      if (!isDamaged()) this.#isHopeless = false
      else if (!this.#isHopeless) {
        this.#isHopeless = true
        await reconciler.run()
        this.#isHopeless = isDamaged()
      }
    } catch (err) {
      if (!this.#isHopeless) log.warn({ err }, 'the kernel did not tell its rules')
      this.#isHopeless = true
    }
  }
}
