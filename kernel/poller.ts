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
   * @returns whether one is ready, which `isReady` then says; false at the timeout and after a signal
   */
  wait(timeoutMs: number): boolean {
    // Rounded up: poll counts whole milliseconds, and a loop that wakes too early spins.
    return pollAt(this.#address, this.#count, Math.ceil(timeoutMs)) > 0
  }

  /** Of a `wait` that returned true. */
  isReady(place: number): boolean {
    return this.#fds.view.getUint16(place * POLLFD + REVENTS, true) !== 0
  }
}
