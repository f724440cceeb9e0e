/** Notices the reset of a client that has sent a FIN before, and ends its connection. */

import type { Socket } from 'node:net'
import type { Millis } from '../../core/clock.ts'

const LOOK_MS: Millis = 1000

interface WithHandle {
  readonly _handle: { getpeername?(out: object): number } | null
}

/** The kernel has taken a reset: a connection without a state has no other side any more (ENOTCONN). */
function isReset(socket: Socket): boolean {
  const { _handle } = socket as unknown as WithHandle
  return _handle?.getpeername !== undefined && _handle.getpeername({}) !== 0
}

/**
 * After a FIN the client may still read, and libuv no longer hears of a reset: the first bytes of an answer bring one
 * from a client that has closed its socket. Without a look at the kernel, the container's next bytes would have to find
 * that out, and a log that is followed may have none for hours.
 */
export function destroyOnReset(socket: Socket): void {
  socket.once('end', () => {
    if (socket.destroyed) return
    const timer = setInterval(() => {
      if (isReset(socket)) socket.destroy()
    }, LOOK_MS).unref()
    socket.once('close', () => clearInterval(timer))
  })
}
