/** A Unix socket that listens without an event loop: its connections are descriptors for poll(2), and nothing waits. */

import { rmSync } from 'node:fs'
import { Errno } from 'netlink-ts/errors.ts'
import { bind, close, SOCK_CLOEXEC, SOCK_NONBLOCK, socket } from 'netlink-ts/libc.ts'
import { acceptNow, listen, recvNow, sendNow } from 'netlink-ts/libc-listen.node.ts'
import { unixSockaddr } from './unix-stream.ts'

const AF_UNIX = 1
const SOCK_STREAM = 1
/** Clients that have connected and were not accepted yet. */
const BACKLOG = 4

export class UnixListener {
  readonly fd: number
  readonly #path: string

  /**
   * Makes the socket for its owner alone, in the place of one that an earlier process left.
   * @param path at most 107 bytes; its folder has to be there
   * @throws {SyscallError} ENOENT: no such folder; EACCES
   */
  constructor(path: string) {
    this.#path = path
    this.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
    // The mode has to be right from the first moment, and bind(2) makes the file by the mask.
    const mask = process.umask(0o177)
    try {
      rmSync(path, { force: true })
      bind(this.fd, unixSockaddr(path))
      listen(this.fd, BACKLOG)
    } catch (err) {
      close(this.fd)
      throw err
    } finally {
      process.umask(mask)
    }
  }

  /** @returns undefined when no one waits */
  accept(): UnixConnection | undefined {
    const fd = acceptNow(this.fd)
    return fd === undefined ? undefined : new UnixConnection(fd)
  }

  /** The path is free for the next process. */
  close(): void {
    rmSync(this.#path, { force: true })
    close(this.fd)
  }
}

export class UnixConnection {
  readonly fd: number

  constructor(fd: number) {
    this.fd = fd
  }

  /** @returns bytes read into `into`; undefined: nothing is there now; 0: the other side is gone */
  read(into: Uint8Array): number | undefined {
    const n = recvNow(this.fd, into)
    if (n === -Errno.EAGAIN) return undefined
    return Math.max(0, n)
  }

  /** @returns bytes taken, 0 when none can be now; undefined: the other side is gone */
  write(bytes: Uint8Array): number | undefined {
    const n = sendNow(this.fd, bytes)
    if (n === -Errno.EAGAIN) return 0
    return n < 0 ? undefined : n
  }

  close(): void {
    close(this.fd)
  }
}
