/** Keeps the registry like the leases on disk: compares at the start, at every change, and in rounds. */

import type { DaemonConf } from '../../conf/daemon.ts'
import type { Log } from '../../core/log.ts'
import type { Part } from '../base/part.ts'
import type { Scheduler } from '../base/scheduler.ts'
import type { Reconciler } from './reconciler.ts'
import { StoreWatch } from './watch.ts'

export interface LeaseFeedDeps {
  readonly conf: DaemonConf
  readonly reconciler: Reconciler
  readonly scheduler: Scheduler
  readonly log: Log
}

export class LeaseFeed implements Part {
  readonly #deps: LeaseFeedDeps
  readonly #watch: StoreWatch
  #stopRounds: (() => void) | undefined

  constructor(deps: LeaseFeedDeps) {
    this.#deps = deps
    this.#watch = new StoreWatch(deps.conf.dataDir, () => void deps.reconciler.run())
  }

  /** Watches before it reads, so that no change falls between. */
  async start(): Promise<void> {
    const { conf, reconciler, scheduler } = this.#deps
    await this.#watch.refresh()
    await reconciler.run()
    this.#stopRounds = scheduler.every(conf.reconcileMs, () => this.#lookAgain())
  }

  stop(): void {
    this.#stopRounds?.()
    this.#watch.close()
  }

  #lookAgain(): void {
    const { log, reconciler } = this.#deps
    void this.#watch.refresh().catch((err: unknown) => log.warn({ err }, 'store could not be watched'))
    void reconciler.run()
  }
}
