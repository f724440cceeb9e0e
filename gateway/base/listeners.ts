/** Functions to call when something happens. */

export class Listeners<A extends readonly unknown[]> {
  readonly #all = new Set<(...args: A) => void>()

  /**
   * Calls the listener on each event, in the order of adding; it must not throw and must not wait.
   * @returns how to stop listening
   */
  add(listener: (...args: A) => void): () => void {
    this.#all.add(listener)
    return () => this.#all.delete(listener)
  }

  call(...args: A): void {
    for (const listener of this.#all) listener(...args)
  }
}
