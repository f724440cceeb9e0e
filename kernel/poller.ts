/** Waits for descriptors of a loop that has no event loop: poll(2) on memory that is made once. */

import { pollAt } from 'netlink-ts/libc-udp.node.ts'
import type { Arena, Region } from './arena.ts'

const POLLIN = 1
/** struct pollfd: fd, events, revents. */
const POLLFD = 8
const REVENTS = 6

export class Poller {
  readonly #fds: Region
  readonly #address: bigint
  readonly #count: bigint

  /** @param places for descriptors, each of which `watch` may give another one */
  constructor(arena: Arena, places: number) {
    this.#fds = arena.take(places * POLLFD)
    this.#address = this.#fds.address(0, places * POLLFD)
    this.#count = BigInt(places)
    for (let place = 0; place < places; place++) this.watch(place, -1)
  }

  /** @param fd -1: nothing is waited for in this place */
  watch(place: number, fd: number): void {
    const { view } = this.#fds
    view.setInt32(place * POLLFD, fd, true)
    view.setUint32(place * POLLFD + 4, POLLIN, true)
  }

  /**
   * Waits until one of them can be read, has ended or is broken.
   * @param timeoutMs -1 waits for ever
   * @returns `ready`: `isReady` says which; `interrupted`: a signal came
   */
  wait(timeoutMs: number): 'ready' | 'timeout' | 'interrupted' {
    // Rounded up: poll counts whole milliseconds, and a loop that wakes too early spins.
    const result = pollAt(this.#address, this.#count, Math.ceil(timeoutMs))
    if (result > 0) return 'ready'
    return result === 0 ? 'timeout' : 'interrupted'
  }

  /** Of a `wait` that returned `ready`. */
  isReady(place: number): boolean {
    return this.#fds.view.getUint16(place * POLLFD + REVENTS, true) !== 0
  }
}
