/** Keeps links with their published names over a reload: what the LAN asks meanwhile is answered as before. */

import type { LanWatch } from '../../kernel/lan.ts'
import type { Link } from './link.ts'

/** Says which links there are, and what changed since; as it is kept, no change falls between two runs. */
export type LinkWatch = Pick<LanWatch, 'changes' | 'links' | 'close'>

export class KeptLinks {
  readonly #links = new Map<string, Link>()
  #watch: LinkWatch | undefined
  #isOver: boolean
  #closed: Promise<void> | undefined

  /** @param isOver there is no next run */
  constructor({ isOver = false }: { readonly isOver?: boolean } = {}) {
    this.#isOver = isOver
  }

  /** A run stops. If it was the last, its names are withdrawn. */
  async keep(links: ReadonlyMap<string, Link>, watch: LinkWatch | undefined): Promise<void> {
    for (const [key, link] of links) this.#links.set(key, link)
    this.#watch = watch
    if (this.#isOver) await this.closeRest()
  }

  takeWatch(): LinkWatch | undefined {
    const watch = this.#watch
    this.#watch = undefined
    return watch
  }

  /** @returns undefined: no earlier run had it */
  take(key: string): Link | undefined {
    const link = this.#links.get(key)
    this.#links.delete(key)
    return link
  }

  /** Withdraws the names of links that the present run does not have. */
  async closeRest(): Promise<void> {
    this.takeWatch()?.close()
    const links = [...this.#links.values()]
    this.#links.clear()
    await Promise.all(links.map((link) => link.close()))
  }

  /** The gateway stops for good: names are withdrawn now, and those of a run that still stops, then. */
  async close(): Promise<void> {
    this.#isOver = true
    this.#closed ??= this.closeRest()
    await this.#closed
  }
}
