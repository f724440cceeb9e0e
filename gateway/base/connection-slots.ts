/**
 * A bounded number of connections of strangers: when all slots are taken, the oldest makes room.
 *
 * A newcomer is never turned away, so strangers who hold connections open keep no honest client out. The client that
 * has most connections loses its own first.
 */

interface Connection {
  once(event: 'close', listener: () => void): unknown
  off(event: 'close', listener: () => void): unknown
  destroy(): unknown
}

export interface SlotsOptions {
  /** Of all clients together. */
  readonly max: number
  readonly maxOfClient: number
  /** Called before a connection is closed to make room. */
  evicted?(): void
}

interface Taken {
  readonly connection: Connection
  readonly closed: () => void
}

/** @typeParam K what names a connection among those of its client */
export class ConnectionSlots<K> {
  readonly #options: SlotsOptions
  /** By client; each client's in order of age. */
  readonly #taken = new Map<string, Map<K, Taken>>()
  #count = 0

  constructor(options: SlotsOptions) {
    this.#options = options
  }

  get count(): number {
    return this.#count
  }

  /** Counted until `leave` or its end. */
  enter(client: string, key: K, connection: Connection): void {
    const { max, maxOfClient } = this.#options
    if ((this.#taken.get(client)?.size ?? 0) >= maxOfClient) this.#dropOldestOf(client)
    else if (this.#count >= max) this.#dropOldestOf(this.#clientWithMost())
    const own = this.#taken.get(client) ?? new Map<K, Taken>()
    const closed = (): void => {
      if (this.#taken.get(client)?.get(key)?.connection === connection) this.leave(client, key)
    }
    this.#taken.set(client, own.set(key, { connection, closed }))
    this.#count++
    connection.once('close', closed)
  }

  /** It is a stranger no more, or is being served. */
  leave(client: string, key: K): void {
    const own = this.#taken.get(client)
    const taken = own?.get(key)
    if (own === undefined || taken === undefined) return
    own.delete(key)
    // A kept connection enters again after each request.
    taken.connection.off('close', taken.closed)
    this.#count--
    if (own.size === 0) this.#taken.delete(client)
  }

  closeAll(): void {
    for (const own of [...this.#taken.values()])
      for (const { connection } of [...own.values()]) connection.destroy()
  }

  #clientWithMost(): string {
    let most = ''
    let size = 0
    for (const [client, own] of this.#taken) {
      if (own.size <= size) continue
      most = client
      size = own.size
    }
    return most
  }

  #dropOldestOf(client: string): void {
    const [oldest] = this.#taken.get(client) ?? []
    if (oldest === undefined) return
    const [key, { connection }] = oldest
    this.leave(client, key)
    this.#options.evicted?.()
    connection.destroy()
  }
}
