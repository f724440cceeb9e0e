/** Keeps the sockets for names over a reload: what containers ask meanwhile is answered as the earlier run knew it. */

import type { DnsListener } from './listener.ts'
import type { Resolver } from './resolver.ts'

/** Who answers at the listeners that are kept, until the next run takes them. */
type Answerer = Pick<Resolver, 'waiting' | 'close'>

export class KeptDnsListeners {
  /** By bridge address. */
  readonly #listeners = new Map<string, readonly DnsListener[]>()
  /** The last of them answers; the others wait for what other servers say. */
  readonly #answerers = new Set<Answerer>()
  #isOver: boolean

  /** @param isOver there is no next run */
  constructor({ isOver = false }: { readonly isOver?: boolean } = {}) {
    this.#isOver = isOver
  }

  /** A run stops. If it was the last, its listeners are closed. */
  async keep(listeners: ReadonlyMap<string, readonly DnsListener[]>, answerer: Answerer): Promise<void> {
    for (const earlier of this.#answerers) if (earlier.waiting === 0) this.#answerers.delete(earlier)
    this.#answerers.add(answerer)
    for (const [address, kept] of listeners) this.#listeners.set(address, kept)
    if (this.#isOver) await this.close()
  }

  /** @returns undefined: no earlier run had this address */
  take(address: string): readonly DnsListener[] | undefined {
    const listeners = this.#listeners.get(address)
    this.#listeners.delete(address)
    return listeners
  }

  /** Closes the listeners that the present run does not want. */
  async closeRest(): Promise<void> {
    const listeners = [...this.#listeners.values()].flat()
    this.#listeners.clear()
    await Promise.all(listeners.map((listener) => listener.close()))
  }

  /** The gateway stops for good: now, and when a run that still stops has done so. */
  async close(): Promise<void> {
    this.#isOver = true
    await this.closeRest()
    for (const answerer of this.#answerers) answerer.close()
    this.#answerers.clear()
  }
}
