/**
 * Keeps the kernel buffers of relayed streams small.
 *
 * What waits in them can be neither dropped nor overtaken.
 */

import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setsockoptInt } from 'netlink-ts/libc.ts'
import { fdOf } from '../../base/fd.ts'

/** include/uapi/linux/tcp.h, asm-generic/socket.h. */
const IPPROTO_TCP = 6
const TCP_NOTSENT_LOWAT = 25
const SOL_SOCKET = 1
const SO_RCVBUF = 8

/**
 * Linux lets 4 MB wait to be sent and 6 MB to be read, a second and more at a relay's rate. Beside four downloads the
 * round trip was 0.6-0.8 s; with these bounds it is 0.1 s, and a pair has its full rate up to a round trip of 30 ms.
 */
const UNSENT_BYTES = 128 * 1024
/** The largest that the kernel grants without asking for more (net.core.rmem_max); half of it becomes the window. */
const RECEIVE_BYTES = 208 * 1024

/** At an end, and in the middle. */
export function boundUnsent(stream: Duplex): void {
  const fd = stream instanceof Socket ? fdOf(stream) : undefined
  if (fd !== undefined) setsockoptInt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES)
}

/** In the middle, where reading waits for tokens. */
export function boundUnread(stream: Duplex): void {
  const fd = stream instanceof Socket ? fdOf(stream) : undefined
  if (fd !== undefined) setsockoptInt(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BYTES)
}
