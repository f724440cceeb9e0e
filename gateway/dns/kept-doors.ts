/** Keeps the sockets for names over a reload: what containers ask meanwhile is answered as the earlier run knew it. */

import type { Door } from './door.ts'
import type { Resolver } from './resolver.ts'

/** Who answers at the doors that are kept, until the next run takes them. */
type Answerer = Pick<Resolver, 'waiting' | 'close'>

export class KeptDoors {
  /** By bridge address. */
  readonly #doors = new Map<string, readonly Door[]>()
  /** The last of them answers; the others wait for what other servers say. */
  readonly #answerers = new Set<Answerer>()
  #isOver: boolean

  /** @param isOver there is no next run */
  constructor({ isOver = false }: { readonly isOver?: boolean } = {}) {
    this.#isOver = isOver
  }

  /** A run stops. If it was the last, its doors are closed. */
  async keep(doors: ReadonlyMap<string, readonly Door[]>, answerer: Answerer): Promise<void> {
    for (const earlier of this.#answerers) if (earlier.waiting === 0) this.#answerers.delete(earlier)
    this.#answerers.add(answerer)
    for (const [address, kept] of doors) this.#doors.set(address, kept)
    if (this.#isOver) await this.close()
  }

  /** @returns undefined: no earlier run had this address */
  take(address: string): readonly Door[] | undefined {
    const doors = this.#doors.get(address)
    this.#doors.delete(address)
    return doors
  }

  /** Closes the doors that the present run does not want. */
  async closeRest(): Promise<void> {
    const doors = [...this.#doors.values()].flat()
    this.#doors.clear()
    await Promise.all(doors.map((door) => door.close()))
  }

  /** The gateway stops for good: now, and when a run that still stops has done so. */
  async close(): Promise<void> {
    this.#isOver = true
    await this.closeRest()
    for (const answerer of this.#answerers) answerer.close()
    this.#answerers.clear()
  }
}
