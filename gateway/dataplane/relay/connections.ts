/**
 * The relayed connections that stand: at most one for each host and relay.
 *
 * Of two, the one stays that both ends choose.
 */

import type { Millis } from '../../../core/clock.ts'
import type { Scheduler } from '../../base/scheduler.ts'
import { EndLimit, RelayLimit } from './limits.ts'
import type { Secured } from './secure.ts'

export interface Connection extends Secured {
  readonly hostId: number
  readonly relay: number
  /** hostId of the end that opened it. */
  readonly dialledBy: number
  /** Monotonic. */
  readonly since: Millis
}

export interface ConnectionsDeps {
  readonly ownHostId: () => number
  readonly scheduler: Scheduler
  /**
   * It ended without a call of `close`.
   * @param isBroken the other end did not close it; its user may have found it silent
   */
  lost(connection: Connection, reason: string, isBroken: boolean): void
  closed(connection: Connection, reason: string): void
}

const keyOf = (hostId: number, relay: number): string => `${hostId} ${relay}`

export class Connections {
  readonly #deps: ConnectionsDeps
  readonly #byKey = new Map<string, Connection>()
  /** By connection, how to call off the end of one that is not wanted here. */
  readonly #spare = new Map<Connection, () => void>()

  constructor(deps: ConnectionsDeps) {
    this.#deps = deps
  }

  get size(): number {
    return this.#byKey.size
  }

  get(hostId: number, relay: number): Connection | undefined {
    return this.#byKey.get(keyOf(hostId, relay))
  }

  all(): Connection[] {
    return [...this.#byKey.values()]
  }

  /** @returns false: another stays, and this one is closed */
  adopt(connection: Connection): boolean {
    const { hostId, relay, socket } = connection
    const before = this.get(hostId, relay)
    if (socket.destroyed || (before !== undefined && !wins(connection, before))) {
      socket.destroy()
      return false
    }
    this.#byKey.set(keyOf(hostId, relay), connection)
    if (before !== undefined) {
      this.use(before)
      before.socket.destroy()
    }
    let broken: string | undefined
    socket.on('error', (err) => {
      broken ??= err.message
    })
    socket.once('close', () => {
      if (!this.#remove(connection)) return
      this.#deps.lost(connection, broken ?? 'the other end closed the connection', broken !== undefined)
    })
    return true
  }

  /** It is wanted here. */
  use(connection: Connection): void {
    this.#spare.get(connection)?.()
    this.#spare.delete(connection)
  }

  /**
   * It is not wanted here any more. The end that opened it closes it, a little later, as the other end may still send;
   * one that the other end opened is the other's to close.
   */
  release(connection: Connection): void {
    const { ownHostId, scheduler } = this.#deps
    if (connection.dialledBy !== ownHostId() || this.#spare.has(connection)) return
    const end = (): void => this.#end(connection, 'not used any more')
    this.#spare.set(connection, scheduler.after(EndLimit.lingerMs, end))
  }

  /** At once. */
  close(connection: Connection, reason: string): void {
    if (!this.#remove(connection)) return
    connection.socket.destroy()
    this.#deps.closed(connection, reason)
  }

  /** In order, so that the other end takes it for no fault of the relay. */
  #end(connection: Connection, reason: string): void {
    if (!this.#remove(connection)) return
    const { socket } = connection
    socket.end()
    socket.resume()
    const cancel = this.#deps.scheduler.after(RelayLimit.goodbyeMs, () => socket.destroy())
    socket.once('close', cancel)
    this.#deps.closed(connection, reason)
  }

  #remove(connection: Connection): boolean {
    const key = keyOf(connection.hostId, connection.relay)
    if (this.#byKey.get(key) !== connection) return false
    this.#byKey.delete(key)
    this.use(connection)
    return true
  }
}

/**
 * A newer connection of the same end replaces the older, which that end has lost. Of two ends the lower hostId's
 * stays.
 */
const wins = (newer: Connection, older: Connection): boolean => newer.dialledBy <= older.dialledBy
