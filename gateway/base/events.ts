/** The bus for what happens in the gateway: numbered events, and a bounded memory for late readers. */

import type { Assignment, HostState, PathInfo } from '../../core/api.ts'

export type GatewayEvent =
  | { readonly type: 'assignmentAdded'; readonly assignment: Assignment }
  | { readonly type: 'assignmentChanged'; readonly assignment: Assignment; readonly before: Assignment }
  | { readonly type: 'assignmentRemoved'; readonly assignment: Assignment }
  | { readonly type: 'pathChanged'; readonly path: PathInfo }
  | { readonly type: 'hostChanged'; readonly hostId: number; readonly state: HostState }
  /** A person has to act; `next` says how. */
  | { readonly type: 'alarm'; readonly hostId: number; readonly reason: string; readonly next: string }
  | {
      /** `hostJoined` also for a new machine in the place of another. */
      readonly type: 'hostJoined' | 'hostLeft' | 'hostRevoked'
      readonly host: { readonly hostId: number; readonly name: string }
    }

export interface Numbered {
  /** Rises by one with every event of this run of the gateway. */
  readonly id: number
  readonly event: GatewayEvent
}

export type Listener = (numbered: Numbered) => void

/** A reader that was away for a moment gets what it missed; one that was away for longer reads the tables again. */
const REMEMBERED = 512

export class Events {
  #lastId = 0
  readonly #memory: Numbered[] = []
  readonly #listeners = new Set<Listener>()
  /** Not delivered yet: an event that a listener emits waits until all have the one before, so that ids only rise. */
  readonly #waiting: Numbered[] = []
  #isTelling = false

  get lastId(): number {
    return this.#lastId
  }

  /** Listeners run at once, in the order they came, unless a listener emits; they must not throw and must not wait. */
  emit(event: GatewayEvent): void {
    const numbered = { id: ++this.#lastId, event }
    this.#memory.push(numbered)
    if (this.#memory.length > REMEMBERED) this.#memory.shift()
    this.#waiting.push(numbered)
    if (!this.#isTelling) this.#tell()
  }

  #tell(): void {
    this.#isTelling = true
    try {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift())
        for (const listener of this.#listeners) listener(next)
    } finally {
      this.#isTelling = false
    }
  }

  /** @returns how to stop listening */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Everything after `id`; undefined when some of it is forgotten, or `id` is from another run. */
  since(id: number): readonly Numbered[] | undefined {
    if (id > this.#lastId || id < this.#lastId - this.#memory.length) return undefined
    return this.#memory.filter((n) => n.id > id)
  }
}
