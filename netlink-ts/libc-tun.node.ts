/**
 * The libc calls that only a TUN device needs, through `node:ffi`. Only the gateway loads this file, and the gateway
 * runs on Node alone, so it has no twin for Bun and stays out of the seam of `libc.raw.ts`.
 */

import { DynamicLibrary, type FunctionDefinitions, getInt32 } from 'node:ffi'
import { Errno, SyscallError } from './errors.ts'

// Lengths are u32 and results i32, although C says size_t and ssize_t: a packet's length has at most 17 bits, libffi
// widens unsigned arguments with zeroes, and numbers cost 100 ns less per packet than bigints.
const SYMBOLS = {
  __errno_location: { arguments: [], return: 'pointer' },
  read: { arguments: ['i32', 'buffer', 'u32'], return: 'i32' },
  write: { arguments: ['i32', 'buffer', 'u32'], return: 'i32' },
  ioctl: { arguments: ['i32', 'u64', 'u64'], return: 'i32' },
  pipe2: { arguments: ['buffer', 'i32'], return: 'i32' },
  dup3: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
} as const satisfies FunctionDefinitions

// null is the process image, which works for glibc and musl without finding a library on disk.
const lib = new DynamicLibrary(null)
const c = lib.getFunctions(SYMBOLS)
// Constant for the life of a thread, and each thread has its own copy of this module.
const errnoAt = c.__errno_location()

const O_NONBLOCK = 0o4000
const O_CLOEXEC = 0o2000000

function check(syscall: string, result: number, detail?: string): number {
  if (result === -1) throw new SyscallError(syscall, getInt32(errnoAt), detail)
  return result
}

/**
 * read(2) without an exception, for loops that usually end with "nothing there". Repeats what a signal interrupted.
 * @returns bytes read, or the negative errno, e.g. -11 for EAGAIN
 */
export function readNow(fd: number, buf: Uint8Array): number {
  for (;;) {
    const result = c.read(fd, buf, buf.byteLength)
    if (result !== -1) return result
    const errno = getInt32(errnoAt)
    if (errno !== Errno.EINTR) return -errno
  }
}

/** As `readNow`, for write(2). */
export function writeNow(fd: number, buf: Uint8Array): number {
  for (;;) {
    const result = c.write(fd, buf, buf.byteLength)
    if (result !== -1) return result
    const errno = getInt32(errnoAt)
    if (errno !== Errno.EINTR) return -errno
  }
}

/** ioctl(2) for requests with a number as third argument, e.g. TUNSETOFFLOAD. @throws {SyscallError} */
export function ioctlValue(fd: number, request: number, value: number): void {
  check('ioctl', c.ioctl(fd, BigInt(request), BigInt(value)), `0x${request.toString(16)}`)
}

/** A pipe, non-blocking, closed by exec. @throws {SyscallError} EMFILE, ENFILE */
export function pipeNow(): { readonly readFd: number; readonly writeFd: number } {
  const fds = new Int32Array(2)
  check('pipe2', c.pipe2(new Uint8Array(fds.buffer), O_NONBLOCK | O_CLOEXEC))
  return { readFd: fds[0] ?? -1, writeFd: fds[1] ?? -1 }
}

/** dup2(2): makes `onto` another name of the open file `fd`, and closes what it was before. @throws {SyscallError} */
export function dupOnto(fd: number, onto: number): void {
  check('dup3', c.dup3(fd, onto, O_CLOEXEC))
}
