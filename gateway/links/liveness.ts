/** Kernel timers that end a TCP connection whose other side is silent, where no heartbeat does it. */

import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { SOL_SOCKET, setsockopt, setsockoptInt } from 'netlink-ts/libc.ts'
import type { Millis } from '../../core/clock.ts'
import { fdOf } from '../base/fd.ts'

/** include/uapi/linux/tcp.h, in.h. */
const IPPROTO_TCP = 6
const TCP_KEEPIDLE = 4
const TCP_KEEPINTVL = 5
const TCP_KEEPCNT = 6
const TCP_USER_TIMEOUT = 18
/** asm-generic/socket.h. */
const SO_LINGER = 13

/** docs/architecture/links.md#dead: dead after 3 s. */
export const DEAD_MS: Millis = 3_000

/**
 * Whether closing is a reset, which the other side sees as an error. TLS would tell a broken connection from an ended
 * one by its close_notify, but Node takes both for the end.
 */
export function resetOnClose(socket: Socket, isReset: boolean): void {
  const fd = fdOf(socket)
  if (fd !== undefined)
    setsockopt(fd, SOL_SOCKET, SO_LINGER, new Uint8Array(Int32Array.of(isReset ? 1 : 0, 0).buffer))
}

/**
 * The kernel closes with ETIMEDOUT when data is not acknowledged for so long, or keepalive is not answered.
 * @param silentMs 0: the kernel's own patience with data, a quarter of an hour
 */
export function boundSilence(socket: TLSSocket, silentMs: Millis = DEAD_MS): void {
  socket.setNoDelay(true)
  socket.setKeepAlive(true, 1_000)
  const fd = fdOf(socket)
  if (fd === undefined) return
  setsockoptInt(fd, IPPROTO_TCP, TCP_KEEPIDLE, 1)
  setsockoptInt(fd, IPPROTO_TCP, TCP_KEEPINTVL, 1)
  setsockoptInt(fd, IPPROTO_TCP, TCP_KEEPCNT, 2)
  setsockoptInt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, silentMs)
}

/**
 * What is not acknowledged in this time ends the connection with ETIMEDOUT, also when the other end does not read.
 */
export function boundUnacknowledged(socket: Socket, ms: Millis): void {
  const fd = fdOf(socket)
  if (fd !== undefined) setsockoptInt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, ms)
}
