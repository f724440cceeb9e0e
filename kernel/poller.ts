/** Waits for descriptors of a loop that has no event loop: poll(2) on memory that is made once. */

import { pollAt } from 'netlink-ts/libc-udp.node.ts'
import type { Arena, Region } from './arena.ts'

const POLLIN = 1
/** struct pollfd: fd, events, revents. */
const POLLFD = 8

export class Poller {
  readonly #fds: Region
  readonly #capacity: number

  constructor(arena: Arena, capacity: number) {
    this.#capacity = capacity
    this.#fds = arena.take(capacity * POLLFD)
  }

  /**
   * Waits until one of them can be read, has ended or is broken.
   * @param timeoutMs -1 waits for ever
   * @returns for each descriptor its `revents`; all 0 at the timeout and after a signal
   */
  wait(fds: readonly number[], timeoutMs: number): readonly number[] {
    if (fds.length > this.#capacity)
      throw new RangeError(`${fds.length} descriptors: at most ${this.#capacity}`)
    const { view } = this.#fds
    for (const [i, fd] of fds.entries()) {
      view.setInt32(i * POLLFD, fd, true)
      view.setUint32(i * POLLFD + 4, POLLIN, true)
    }
    // Rounded up: poll counts whole milliseconds, and a loop that wakes too early spins.
    const ready = pollAt(this.#fds.address(0, fds.length * POLLFD), fds.length, Math.ceil(timeoutMs))
    return fds.map((_, i) => (ready > 0 ? view.getInt16(i * POLLFD + 6, true) : 0))
  }
}
