/** The libc calls for a listening socket without an event loop, or beside Node's. */

import { DynamicLibrary, type FunctionDefinitions, getInt32 } from 'node:ffi'
import { Errno, SyscallError } from './errors.ts'

const SYMBOLS = {
  __errno_location: { arguments: [], return: 'pointer' },
  // Variadic in C; without floats every 64-bit Linux ABI calls it like any other function.
  fcntl: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
  listen: { arguments: ['i32', 'i32'], return: 'i32' },
  accept4: { arguments: ['i32', 'u64', 'u64', 'i32'], return: 'i32' },
  recv: { arguments: ['i32', 'buffer', 'u64', 'i32'], return: 'i64' },
  send: { arguments: ['i32', 'buffer', 'u64', 'i32'], return: 'i64' },
} as const satisfies FunctionDefinitions

// null is the process image, which works for glibc and musl without finding a library on disk.
const c = new DynamicLibrary(null).getFunctions(SYMBOLS)
// Constant for the life of a thread, and each thread has its own copy of this module.
const errnoAt = c.__errno_location()

/** SOCK_NONBLOCK | SOCK_CLOEXEC, MSG_DONTWAIT, MSG_NOSIGNAL and MSG_MORE; alike on x64, arm64, riscv64 and s390x. */
const ACCEPT_FLAGS = 0o4000 | 0o2000000
/** include/uapi/linux/fcntl.h */
const F_DUPFD_CLOEXEC = 1030
const MSG_DONTWAIT = 0x40
const MSG_NOSIGNAL = 0x4000
const MSG_MORE = 0x8000

/** @throws {SyscallError} EADDRINUSE: another socket listens there */
export function listen(fd: number, backlog: number): void {
  if (c.listen(fd, backlog) === -1) throw new SyscallError('listen', getInt32(errnoAt))
}

/**
 * Another descriptor of the same socket, which listens until the last of them is closed; closed by exec.
 * @throws {SyscallError} EBADF, EMFILE
 */
export function duplicate(fd: number): number {
  const copy = c.fcntl(fd, F_DUPFD_CLOEXEC, 0)
  if (copy === -1) throw new SyscallError('fcntl', getInt32(errnoAt))
  return copy
}

/** @returns a non-blocking descriptor, or undefined when no client waits @throws {SyscallError} EMFILE, ENFILE */
export function acceptNow(fd: number): number | undefined {
  for (;;) {
    const result = c.accept4(fd, 0n, 0n, ACCEPT_FLAGS)
    if (result !== -1) return result
    const errno = getInt32(errnoAt)
    if (errno === Errno.EAGAIN || errno === Errno.ECONNABORTED) return undefined
    if (errno !== Errno.EINTR) throw new SyscallError('accept4', errno)
  }
}

/** @returns bytes, 0 at the end, or the negative errno: -11 (EAGAIN) when nothing has arrived */
export function recvNow(fd: number, into: Uint8Array): number {
  for (;;) {
    const result = Number(c.recv(fd, into, BigInt(into.byteLength), MSG_DONTWAIT))
    if (result !== -1) return result
    const errno = getInt32(errnoAt)
    if (errno !== Errno.EINTR) return -errno
  }
}

/**
 * Raises no SIGPIPE.
 * @param hasMore the kernel may wait for the next call before it sends
 * @returns bytes taken, or the negative errno: -11 (EAGAIN) when the socket is full
 */
export function sendNow(fd: number, bytes: Uint8Array, hasMore = false): number {
  const flags = MSG_DONTWAIT | MSG_NOSIGNAL | (hasMore ? MSG_MORE : 0)
  for (;;) {
    const result = Number(c.send(fd, bytes, BigInt(bytes.byteLength), flags))
    if (result !== -1) return result
    const errno = getInt32(errnoAt)
    if (errno !== Errno.EINTR) return -errno
  }
}
