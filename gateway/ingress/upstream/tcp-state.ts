/** What the kernel knows of a TCP connection before the event loop hears of it. */

import type { Socket } from 'node:net'
import { MSG_DONTWAIT, MSG_PEEK, tryRecv } from 'netlink-ts/libc.ts'
import { fdOf } from '../../base/fd.ts'

const byte = new Uint8Array(1)

/** Nothing waits to be read, and the other side has neither ended the connection nor broken it off. */
export function isQuiet(socket: Socket): boolean {
  const fd = fdOf(socket)
  if (fd === undefined) return false
  try {
    return tryRecv(fd, byte, MSG_PEEK | MSG_DONTWAIT) === -1
  } catch {
    return false
  }
}
