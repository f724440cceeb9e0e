/**
 * Keeps the listening sockets of ingress open while the gateway starts anew: the kernel holds who comes in between.
 *
 * Each is a second descriptor of the socket, so that a run of the gateway can close its own as always.
 */

import type { Server } from 'node:net'
import { close } from 'netlink-ts/libc.ts'
import { duplicate } from 'netlink-ts/libc-listen.node.ts'
import type { HostPort } from '../../core/endpoint.ts'
import { fdOf } from '../base/fd.ts'

const keyOf = ({ host, port }: HostPort): string => `${host} ${port}`

export class KeptListeners {
  readonly #kept = new Map<string, number>()
  /** Of the run that is under way. */
  readonly #used = new Set<string>()

  /** @returns a descriptor that listens there already, for the caller to close; undefined: there is none */
  take(at: HostPort): number | undefined {
    const kept = this.#kept.get(keyOf(at))
    return kept === undefined ? undefined : duplicate(kept)
  }

  /** The server listens there. Port 0 is another one each time, so it is not kept. */
  keep(at: HostPort, server: Server): void {
    const key = keyOf(at)
    // Without one the port is closed for the time of a reload, which kept-listeners.test.ts would show.
    const fd = fdOf(server)
    if (at.port === 0 || fd === undefined) return
    this.#used.add(key)
    if (!this.#kept.has(key)) this.#kept.set(key, duplicate(fd))
  }

  /** A run has started: where it does not listen, no one does. */
  started(): void {
    for (const [key, fd] of this.#kept) if (!this.#used.has(key)) this.#close(key, fd)
    this.#used.clear()
  }

  /** The gateway stops for good: who comes now has to be told at once. */
  close(): void {
    for (const [key, fd] of this.#kept) this.#close(key, fd)
  }

  #close(key: string, fd: number): void {
    this.#kept.delete(key)
    close(fd)
  }
}
