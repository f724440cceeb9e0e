/** What the kernel knows of a TCP connection before the event loop hears of it. */

import type { Socket } from 'node:net'
import { ioctl, MSG_DONTWAIT, MSG_PEEK, tryRecv } from 'netlink-ts/libc.ts'
import { fdOf } from './peers/liveness.ts'

/** include/uapi/linux/sockios.h: bytes that the other side has not acknowledged, sent or not. */
const SIOCOUTQ = 0x5411

const byte = new Uint8Array(1)
const int = new Int32Array(1)
const intBytes = new Uint8Array(int.buffer)

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

/**
 * None of the last `length` bytes has been acknowledged. Once the other side's FIN is here, which acknowledges all that had
 * arrived when it was sent, this says that the other side had ended the connection before any of them came.
 */
export function isUnacknowledged(socket: Socket, length: number): boolean {
  const fd = fdOf(socket)
  if (fd === undefined) return false
  try {
    ioctl(fd, SIOCOUTQ, intBytes)
    return int[0]! >= length
  } catch {
    return false
  }
}
