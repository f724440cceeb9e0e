/** When to try for a wanted relayed connection: at once, then with growing waits, one try at a time. */

import type { Millis } from '../../../core/clock.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import { backoffMs } from '../../links/dial/backoff.ts'

export interface RelayDialerDeps {
  readonly scheduler: Scheduler
  readonly random: () => number
  /** Before the first try. */
  readonly headStartMs: Millis
  /** Asked before and after each try: whether there is no connection yet. */
  isNeeded(): boolean
  /** One try; its end is its own to bound. */
  dial(signal: AbortSignal): Promise<void>
  failed(err: unknown): void
}

export class RelayDialer {
  readonly #deps: RelayDialerDeps
  /** In a row, until `settled`: an end that takes connections and drops them is not asked in a tight loop. */
  #failures = 0
  #cancel: (() => void) | undefined
  #current: AbortController | undefined
  #headStartMs: Millis
  #isStopped = false

  constructor(deps: RelayDialerDeps) {
    this.#deps = deps
    this.#headStartMs = deps.headStartMs
  }

  /** Does nothing while it is at it. */
  start(): void {
    if (this.#isStopped || this.#cancel !== undefined || this.#current !== undefined) return
    this.#tryIn(
      this.#headStartMs + (this.#failures === 0 ? 0 : backoffMs(this.#failures, this.#deps.random())),
    )
    this.#headStartMs = 0
  }

  get isTrying(): boolean {
    return this.#current !== undefined
  }

  /** A try that waits is made now. */
  retryNow(): void {
    this.#failures = 0
    if (this.#cancel === undefined) return
    this.#cancel()
    this.#tryIn(0)
  }

  /** The connection has proven itself. */
  settled(): void {
    this.#failures = 0
  }

  /** For good. */
  stop(): void {
    this.#isStopped = true
    this.#cancel?.()
    this.#current?.abort(new Error('no longer wanted'))
  }

  #tryIn(waitMs: Millis): void {
    this.#cancel = this.#deps.scheduler.after(waitMs, () => {
      this.#cancel = undefined
      if (this.#deps.isNeeded()) void this.#try()
    })
  }

  async #try(): Promise<void> {
    const current = new AbortController()
    this.#current = current
    let failure: unknown = new Error('the other end closed the connection')
    try {
      await this.#deps.dial(current.signal)
    } catch (err) {
      failure = err
    }
    this.#current = undefined
    this.#failures++
    // The other end's own try may have come first, and ended this one.
    if (this.#isStopped || !this.#deps.isNeeded()) return
    this.#deps.failed(failure)
    if (!this.#isStopped) this.#tryIn(backoffMs(this.#failures - 1, this.#deps.random()))
  }
}
