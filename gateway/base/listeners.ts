/** Functions to call when something happened; each takes itself away by what `add` returns. */

export class Listeners<A extends readonly unknown[]> {
  readonly #all = new Set<(...args: A) => void>()

  /** Called at once, in the order of adding; it must not throw and must not wait. */
  add(listener: (...args: A) => void): () => void {
    this.#all.add(listener)
    return () => this.#all.delete(listener)
  }

  call(...args: A): void {
    for (const listener of this.#all) listener(...args)
  }
}
