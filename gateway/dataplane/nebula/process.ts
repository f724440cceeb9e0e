/** Keeps one Nebula running: prepares, starts, starts again after a crash, and ends it with the gateway. */

import type { Millis } from '../../../core/clock.ts'
import type { Log } from '../../../core/log.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import type { Launched } from '../p2p/launch.ts'

export interface NebulaProcessDeps {
  readonly scheduler: Scheduler
  readonly log: Log
  /** Everything that has to be right before a start. Rejects with the reason in words. */
  prepare(): Promise<void>
  launch(): Launched
  /** Its last complaint; undefined: it made none. */
  lastWords(): string | undefined
}

/** The wait after a crash; each further one lengthens it. */
const FIRST_BACKOFF_MS: Millis = 200
const MOST_BACKOFF_MS: Millis = 30_000
const BACKOFF_FACTOR = 2.5
/** A process that ran for this long was healthy: its end counts as a first crash. */
const STEADY_MS: Millis = 60_000
/** It takes its device away and ends within 50 ms. */
const TERM_MS: Millis = 2_000
const KILL_MS: Millis = 1_000

export class NebulaProcess {
  readonly #deps: NebulaProcessDeps
  #child: Launched | undefined
  #problem: string | undefined = 'is being started'
  #warned: string | undefined
  #backoffMs: Millis = FIRST_BACKOFF_MS
  #startedAt: Millis = 0
  #cancel: (() => void) | undefined
  /** It was ended to be started again with other settings. */
  #isReplaced = false
  #isStopped = false
  #isPreparing = false
  #ended: (() => void) | undefined
  /** The start that is under way. */
  #beginning: Promise<void> = Promise.resolve()

  constructor(deps: NebulaProcessDeps) {
    this.#deps = deps
  }

  /** Why it does not run, in words; undefined: it does. */
  get problem(): string | undefined {
    return this.#problem
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  start(): void {
    this.#beginning = this.#begin()
  }

  /** What kept it from starting may be over: it does not wait for the next try. */
  startNow(): void {
    if (this.#child !== undefined || this.#isPreparing || this.#isStopped) return
    this.#cancel?.()
    this.start()
  }

  /** With the settings of now. */
  restart(): void {
    if (this.#child === undefined) return
    this.#isReplaced = true
    this.#child.kill('SIGTERM')
    const child = this.#child
    this.#cancel = this.#deps.scheduler.after(TERM_MS, () => {
      if (this.#child === child) child.kill('SIGKILL')
    })
  }

  /** Resolves when it has ended, or could not be ended. */
  async stop(): Promise<void> {
    const { scheduler } = this.#deps
    this.#isStopped = true
    this.#cancel?.()
    // Else what it prepares would be there after this gateway has cleaned up.
    if (this.#child === undefined) await this.#beginning
    const child = this.#child
    if (child === undefined) return
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#ended = resolve
    child.kill('SIGTERM')
    const cancels = [
      scheduler.after(TERM_MS, () => child.kill('SIGKILL')),
      scheduler.after(TERM_MS + KILL_MS, resolve),
    ]
    await promise
    for (const cancel of cancels) cancel()
  }

  async #begin(): Promise<void> {
    const { launch, log, prepare, scheduler } = this.#deps
    this.#isPreparing = true
    try {
      await prepare()
      if (this.#isStopped) return
      const child = launch()
      this.#child = child
      this.#problem = undefined
      this.#warned = undefined
      this.#startedAt = scheduler.monotonic()
      log.info({ pid: child.pid }, 'nebula started')
      child.onExit((how) => this.#exited(child, how))
    } catch (err) {
      const reason = err instanceof Error ? err.message : String(err)
      this.#problem = reason
      // It is tried again and again, and said once: all goes on without it.
      if (reason !== this.#warned) log.warn({ reason }, 'nebula is not started, packets go by other ways')
      this.#warned = reason
      this.#again(MOST_BACKOFF_MS)
    } finally {
      this.#isPreparing = false
    }
  }

  #exited(child: Launched, code: string): void {
    const { lastWords, log, scheduler } = this.#deps
    const why = lastWords()
    const how = why === undefined ? code : `${code}: ${why}`
    this.#child = undefined
    this.#ended?.()
    if (this.#isStopped) return
    this.#cancel?.()
    this.#problem = `ended: ${how}`
    if (this.#isReplaced) {
      this.#isReplaced = false
      this.#again(0)
      return
    }
    log.warn({ reason: how, pid: child.pid }, 'nebula ended')
    if (scheduler.monotonic() - this.#startedAt >= STEADY_MS) this.#backoffMs = FIRST_BACKOFF_MS
    this.#again(this.#backoffMs)
    this.#backoffMs = Math.min(MOST_BACKOFF_MS, this.#backoffMs * BACKOFF_FACTOR)
  }

  #again(ms: Millis): void {
    if (this.#isStopped) return
    this.#cancel = this.#deps.scheduler.after(ms, () => this.start())
  }
}
