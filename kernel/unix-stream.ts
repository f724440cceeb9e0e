/** A connection to a Unix socket without an event loop: for a process with one question. */

import {
  close,
  connect,
  POLLIN,
  POLLOUT,
  poll,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  socket,
  tryRead,
  tryWrite,
} from 'netlink-ts/libc.ts'

const AF_UNIX = 1
/** include/linux/socket.h, include/linux/net.h. */
const SOCK_STREAM = 1
/** struct sockaddr_un. */
const SUN_PATH = 2

/** @param path at most 107 bytes */
export function unixSockaddr(path: string): Uint8Array {
  const name = new TextEncoder().encode(path)
  const address = new Uint8Array(SUN_PATH + name.length + 1)
  address.set(new Uint8Array(Uint16Array.of(AF_UNIX).buffer))
  address.set(name, SUN_PATH)
  return address
}

/** Neither read nor write waits; `wait` does. */
export class UnixStream implements Disposable {
  readonly #fd: number
  readonly #buffer = Buffer.allocUnsafe(65_536)

  /**
   * @param path at most 107 bytes
   * @throws {SyscallError} ENOENT, ECONNREFUSED: no listener; EAGAIN: too many wait for the listener already
   */
  constructor(path: string) {
    this.#fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
    try {
      connect(this.#fd, unixSockaddr(path))
    } catch (err) {
      close(this.#fd)
      throw err
    }
  }

  /**
   * @returns whether there is something to read, an end or an error included; false after `ms`, or when it can be
   *   written to
   */
  wait(ms: number, orWritable: boolean): boolean {
    const revents = poll(this.#fd, orWritable ? POLLIN | POLLOUT : POLLIN, Math.max(1, Math.ceil(ms)))
    return (revents & ~POLLOUT) !== 0
  }

  /** @returns bytes taken, 0 when none can be now @throws {SyscallError} EPIPE: the other side reads no more */
  write(bytes: Uint8Array): number {
    return Math.max(0, tryWrite(this.#fd, bytes))
  }

  /** @returns a copy; undefined when nothing is there now; empty at the end */
  read(): Buffer | undefined {
    const n = tryRead(this.#fd, this.#buffer)
    return n === -1 ? undefined : Buffer.from(this.#buffer.subarray(0, n))
  }

  [Symbol.dispose](): void {
    close(this.#fd)
  }
}
