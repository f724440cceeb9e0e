/** The undo log of ADD: each step pushes its inverse, and a failure runs them newest first. */

import type { Log } from '../core/log.ts'

export class Undo {
  readonly #steps: { readonly what: string; readonly inverse: () => void }[] = []

  push(what: string, inverse: () => void): void {
    this.#steps.push({ what, inverse })
  }

  /** Runs every inverse, past failures, which are logged and returned: the caller still throws the original error. */
  rollback(log: Log): Error[] {
    const failed: Error[] = []
    for (const { what, inverse } of this.#steps.splice(0).reverse()) {
      try {
        inverse()
      } catch (err) {
        log.warn({ err, step: what }, 'undo step failed')
        failed.push(new Error(`undo of ${what}`, { cause: err }))
      }
    }
    return failed
  }
}
