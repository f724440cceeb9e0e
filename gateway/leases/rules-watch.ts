/** Asks every second whether the kernel's rules were damaged, and has them repaired at once. */

import type { Log } from '../../core/log.ts'
import type { Part } from '../base/part.ts'
import type { Reconciler } from './reconciler.ts'

export interface RulesWatchDeps {
  /** Whether another program took away what the reconciler's `repair` sets. */
  readonly isDamaged: () => boolean
  readonly reconciler: Reconciler
  readonly log: Log
}

/** A firewall that starts anew flushes all rules; half a minute without published ports is long. */
const LOOK_MS = 1_000

export class RulesWatch implements Part {
  readonly #deps: RulesWatchDeps
  /** What a run could not mend is left to the rounds: else it would be tried, and logged, every second. */
  #isHopeless = false
  #timer: NodeJS.Timeout | undefined

  constructor(deps: RulesWatchDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#timer = setInterval(() => void this.#look(), LOOK_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
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
