/** Runs a task one at a time: all calls during a run share one more run after it. */

/** For a task that compares and repairs: a run in progress may have read its facts before the change of the call. */
export class CoalescedTask {
  readonly #task: () => Promise<void>
  #running: Promise<void> | undefined
  #isDueAgain = false
  #isStopped = false

  /** @param task must not reject */
  constructor(task: () => Promise<void>) {
    this.#task = task
  }

  /** Resolves when a run that began after this call has ended. */
  run(): Promise<void> {
    this.#isDueAgain = true
    this.#running ??= this.#runWhileDue().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Resolves when the run in progress has ended; none begins any more. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#running
  }

  async #runWhileDue(): Promise<void> {
    while (this.#isDueAgain && !this.#isStopped) {
      this.#isDueAgain = false
      await this.#task()
    }
  }
}
