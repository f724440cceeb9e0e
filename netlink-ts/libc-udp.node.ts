/**
 * The libc calls of UDP paths, through `node:ffi`, on memory that is named by address. Only the process of UDP paths
 * loads this file, and it runs on Node alone, so it has no twin for Bun and stays out of the seam of `libc.raw.ts`.
 */

import { DynamicLibrary, type FunctionDefinitions, toArrayBuffer } from 'node:ffi'
import { Errno, SyscallError } from './errors.ts'

// Addresses are u64, made once where possible: a call with three bigints takes 87 ns, with three numbers 23, and with a
// `buffer` 105 to 350. Lengths are u32 and results i32, for the reasons in libc-tun.node.ts.
const SYMBOLS = {
  __errno_location: { arguments: [], return: 'pointer' },
  mmap: { arguments: ['u64', 'u64', 'i32', 'i32', 'i32', 'i64'], return: 'u64' },
  mprotect: { arguments: ['u64', 'u64', 'i32'], return: 'i32' },
  munmap: { arguments: ['u64', 'u64'], return: 'i32' },
  madvise: { arguments: ['u64', 'u64', 'i32'], return: 'i32' },
  read: { arguments: ['i32', 'u64', 'u32'], return: 'i32' },
  write: { arguments: ['i32', 'u64', 'u32'], return: 'i32' },
  writev: { arguments: ['i32', 'u64', 'i32'], return: 'i32' },
  sendmsg: { arguments: ['i32', 'u64', 'i32'], return: 'i32' },
  recvmsg: { arguments: ['i32', 'u64', 'i32'], return: 'i32' },
  sendmmsg: { arguments: ['i32', 'u64', 'u32', 'i32'], return: 'i32' },
  recvmmsg: { arguments: ['i32', 'u64', 'u32', 'i32', 'u64'], return: 'i32' },
  poll: { arguments: ['u64', 'u64', 'i32'], return: 'i32' },
  usleep: { arguments: ['u32'], return: 'i32' },
} as const satisfies FunctionDefinitions

// null is the process image, which works for glibc and musl without finding a library on disk.
const c = new DynamicLibrary(null).getFunctions(SYMBOLS)
// Constant for the life of a thread, and each thread has its own copy of this module. As memory: reading it is 4 ns, by
// `getInt32` 46, and each loop ends with an EAGAIN.
const errno = new Int32Array(toArrayBuffer(c.__errno_location(), 4, false))

const PROT_NONE = 0
const PROT_READ_WRITE = 3
/** MAP_PRIVATE and MAP_ANONYMOUS, alike on x64, arm64, riscv64 and s390x. */
const MAP_FLAGS = 0x22
/** MAP_FAILED as 64 bits. */
const MAP_FAILED = 0xffff_ffff_ffff_ffffn

/** Zeroed memory between two guard pages: touching those ends the process. Pages count only once written. */
export interface Mapping {
  readonly address: bigint
  readonly bytes: ArrayBuffer
  unmap(): void
}

/**
 * @param size a multiple of `guard`
 * @param guard bytes before and after that must not be touched; a multiple of the page size
 * @throws {SyscallError} ENOMEM
 */
export function mapMemory(size: number, guard: number): Mapping {
  const whole = BigInt(size + 2 * guard)
  const start = c.mmap(0n, whole, PROT_READ_WRITE, MAP_FLAGS, -1, 0n)
  if (start === MAP_FAILED) throw new SyscallError('mmap', errno[0]!, `${size} bytes`)
  const address = start + BigInt(guard)
  for (const page of [start, address + BigInt(size)])
    if (c.mprotect(page, BigInt(guard), PROT_NONE) === -1)
      throw new SyscallError('mprotect', errno[0]!, `guard of ${guard} bytes`)
  return {
    address,
    bytes: toArrayBuffer(address, size, false),
    unmap: () => void c.munmap(start, whole),
  }
}

// Each of these repeats what a signal interrupted. A common function that takes the call would be a closure for each
// packet, and V8 calls C directly only where it knows which function it is: 0.4 µs, else 2.6.

/**
 * MADV_DONTNEED: the pages leave this process, and a page of a file that was not written to comes back when it is
 * touched.
 */
export const dropPages = (address: bigint, length: bigint): boolean => c.madvise(address, length, 4) === 0

/** read(2) into memory by address. @returns bytes, or the negative errno: -11 for EAGAIN */
export function readAt(fd: number, address: bigint, length: number): number {
  for (;;) {
    const result = c.read(fd, address, length)
    if (result !== -1) return result
    if (errno[0] !== Errno.EINTR) return -errno[0]!
  }
}

/** write(2) from memory by address. @returns bytes, or the negative errno */
export function writeAt(fd: number, address: bigint, length: number): number {
  for (;;) {
    const result = c.write(fd, address, length)
    if (result !== -1) return result
    if (errno[0] !== Errno.EINTR) return -errno[0]!
  }
}

/** @param iovecs address of the first `struct iovec`. @returns bytes, or the negative errno */
export function writevAt(fd: number, iovecs: bigint, count: number): number {
  for (;;) {
    const result = c.writev(fd, iovecs, count)
    if (result !== -1) return result
    if (errno[0] !== Errno.EINTR) return -errno[0]!
  }
}

/** @param message address of a `struct msghdr`. @returns bytes, or the negative errno */
export function sendmsgAt(fd: number, message: bigint, flags: number): number {
  for (;;) {
    const result = c.sendmsg(fd, message, flags)
    if (result !== -1) return result
    if (errno[0] !== Errno.EINTR) return -errno[0]!
  }
}

/** As `sendmsgAt`. */
export function recvmsgAt(fd: number, message: bigint, flags: number): number {
  for (;;) {
    const result = c.recvmsg(fd, message, flags)
    if (result !== -1) return result
    if (errno[0] !== Errno.EINTR) return -errno[0]!
  }
}

/** @param messages address of the first `struct mmsghdr`. @returns messages sent, or the negative errno */
export function sendmmsgAt(fd: number, messages: bigint, count: number, flags: number): number {
  for (;;) {
    const result = c.sendmmsg(fd, messages, count, flags)
    if (result !== -1) return result
    if (errno[0] !== Errno.EINTR) return -errno[0]!
  }
}

/** As `sendmmsgAt`, without a timeout: `flags` has to say MSG_DONTWAIT. */
export function recvmmsgAt(fd: number, messages: bigint, count: number, flags: number): number {
  for (;;) {
    const result = c.recvmmsg(fd, messages, count, flags, 0n)
    if (result !== -1) return result
    if (errno[0] !== Errno.EINTR) return -errno[0]!
  }
}

/**
 * poll(2). A signal ends it early, so that the caller's loop sees what the signal changed.
 * @param fds address of the first `struct pollfd`
 * @returns descriptors that are ready, 0 at the timeout, or the negative errno
 */
export function pollAt(fds: bigint, count: bigint, timeoutMs: number): number {
  const result = c.poll(fds, count, timeoutMs)
  return result === -1 ? -errno[0]! : result
}

/** usleep(3), which a signal may end early. The kernel adds 50 µs of timer slack. */
export const sleepMicros = (micros: number): void => void c.usleep(micros)
