/** Which remote slices have a route over the tunnel, and for how long one stays that has lost its way. */
import type { Millis } from '../../core/clock.ts'
import type { Scheduler } from '../base/scheduler.ts'

export interface RoutesDeps {
  readonly scheduler: Scheduler
  /** Makes the kernel's routes these and no others. Must not throw. */
  apply(hostIds: ReadonlySet<number>): void
}

/**
 * A gateway that restarts is back in a second. Without its route the kernel answers "unreachable", which ends
 * connects and UDP exchanges that would go on. With the route their packets are lost and sent again. After that the
 * answer is true.
 */
const LINGER_MS: Millis = 3_000
/**
 * Other programs delete routes that they do not know: systemd-networkd at each of its starts, a person who flushes a
 * table.
 */
const LOOK_MS: Millis = 5_000

export class PeerRoutes {
  readonly #deps: RoutesDeps
  readonly #wanted = new Set<number>()
  /** Monotonic instants at which they go. */
  readonly #lingering = new Map<number, Millis>()
  #cancel: (() => void) | undefined
  #cancelLook: (() => void) | undefined
  #isClosed = false

  constructor(deps: RoutesDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#cancelLook = this.#deps.scheduler.every(LOOK_MS, () => this.#apply())
    this.#soon(0)
  }

  /** Of an earlier run: they stay until it is known how their hosts are reached now. */
  adopt(hostIds: Iterable<number>): void {
    for (const hostId of hostIds) if (!this.#wanted.has(hostId)) this.#linger(hostId)
  }

  set(hostId: number): void {
    this.#lingering.delete(hostId)
    if (this.#wanted.has(hostId)) return
    this.#wanted.add(hostId)
    this.#soon(0)
  }

  clear(hostId: number): void {
    if (this.#wanted.delete(hostId)) this.#linger(hostId)
  }

  /** The host has left: its addresses are free at once. */
  forget(hostId: number): void {
    this.#wanted.delete(hostId)
    this.#lingering.delete(hostId)
    this.#soon(0)
  }

  /** The device is new, or its routes may have changed. */
  refresh(): void {
    this.#soon(0)
  }

  /** The routes stay: packets of the next moments are lost and sent again instead of being refused. */
  close(): void {
    this.#isClosed = true
    this.#cancel?.()
    this.#cancelLook?.()
  }

  #linger(hostId: number): void {
    this.#lingering.set(hostId, this.#deps.scheduler.monotonic() + LINGER_MS)
    this.#deps.scheduler.after(LINGER_MS, () => {
      if (this.#lingering.has(hostId)) this.#soon(0)
    })
  }

  /** Hosts come up by the hundred: one look at the kernel's table for all of a turn. */
  #soon(delayMs: Millis): void {
    if (this.#cancel !== undefined || this.#isClosed) return
    this.#cancel = this.#deps.scheduler.after(delayMs, () => {
      this.#cancel = undefined
      this.#apply()
    })
  }

  #apply(): void {
    if (this.#isClosed) return
    const now = this.#deps.scheduler.monotonic()
    for (const [hostId, at] of this.#lingering) if (at <= now) this.#lingering.delete(hostId)
    this.#deps.apply(new Set([...this.#wanted, ...this.#lingering.keys()]))
  }
}
