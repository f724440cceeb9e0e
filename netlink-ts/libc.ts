/** libc for the other files: a failed call throws SyscallError with its errno; EINTR repeats the call. */

import { libc } from '#libc'
import { LITTLE_ENDIAN } from './endian.ts'
import { Errno, SyscallError } from './errors.ts'

/** include/uapi/asm-generic/fcntl.h; these are equal on x64, arm64, riscv64 and s390x. */
export const O_RDONLY = 0
export const O_WRONLY = 1
export const O_RDWR = 2
export const O_CREAT = 0o100
export const O_EXCL = 0o200
export const O_NONBLOCK = 0o4000
export const O_CLOEXEC = 0o2000000

/** include/linux/socket.h, include/linux/net.h, asm-generic/socket.h. */
export const SOCK_DGRAM = 2
export const SOCK_RAW = 3
export const SOCK_NONBLOCK = 0o4000
export const SOCK_CLOEXEC = 0o2000000
export const SOL_SOCKET = 1
export const SO_SNDBUF = 7
export const SO_RCVBUF = 8
export const SO_RCVTIMEO = 20
export const SO_SNDBUFFORCE = 32
export const SO_RCVBUFFORCE = 33
export const MSG_PEEK = 0x02
export const MSG_TRUNC = 0x20
export const MSG_DONTWAIT = 0x40

/** include/uapi/linux/sched.h. */
export const CLONE_NEWNS = 0x00020000
export const CLONE_NEWNET = 0x40000000

/** include/uapi/asm-generic/fcntl.h. */
export const LOCK_SH = 1
export const LOCK_EX = 2
export const LOCK_NB = 4
export const LOCK_UN = 8

/** include/uapi/asm-generic/poll.h. */
export const POLLIN = 1
export const POLLOUT = 4

/**
 * Judges a call that returned -1. True: a signal interrupted it, so make it again; false: it failed with `expected`.
 * Any other errno throws. Each call has its own loop: 40 closures less save 0.4 ms of an ADD (docs/speed/plugin.md).
 */
function isInterrupted(syscall: string, detail?: string, expected?: number): boolean {
  const errno = libc.errno()
  if (errno === expected) return false
  if (errno !== Errno.EINTR) throw new SyscallError(syscall, errno, detail)
  return true
}

const hex = (value: number): string => `0x${value.toString(16)}`

export const getpid = (): number => libc.getpid()

/** Ends the process at once: no exit handlers, no output flushed. */
export const exitNow = (status: number): void => libc._exit(status)

/** @param mode for O_CREAT @returns the descriptor @throws {SyscallError} the path is in the message */
export function open(path: string, flags: number, mode = 0): number {
  // libc would stop at the NUL and open another file.
  if (path.includes('\0')) throw new SyscallError('open', Errno.EINVAL, `NUL in path ${JSON.stringify(path)}`)
  for (;;) {
    const result = libc.open(path, flags, mode)
    if (result !== -1 || !isInterrupted('open', path)) return result
  }
}

/** Never repeats: Linux has released the descriptor even when close() reports EINTR. */
export function close(fd: number): void {
  if (libc.close(fd) !== -1) return
  const errno = libc.errno()
  if (errno !== Errno.EINTR) throw new SyscallError('close', errno)
}

/** @returns bytes read, 0 at the end @throws {SyscallError} EAGAIN: the descriptor is non-blocking and empty */
export function read(fd: number, buf: Uint8Array): number {
  for (;;) {
    const result = libc.read(fd, buf, buf.byteLength)
    if (result !== -1 || !isInterrupted('read')) return result
  }
}

/** `read` for loops that empty a descriptor: -1 instead of EAGAIN, whose stack trace costs more than the call. */
export function tryRead(fd: number, buf: Uint8Array): number {
  for (;;) {
    const result = libc.read(fd, buf, buf.byteLength)
    if (result !== -1 || !isInterrupted('read', undefined, Errno.EAGAIN)) return result
  }
}

/** As `write`; -1 when it would block. */
export function tryWrite(fd: number, buf: Uint8Array, len = buf.byteLength): number {
  for (;;) {
    const result = libc.write(fd, buf, within(buf, len))
    if (result !== -1 || !isInterrupted('write', undefined, Errno.EAGAIN)) return result
  }
}

/** @returns bytes written, possibly fewer than `len` */
export function write(fd: number, buf: Uint8Array, len = buf.byteLength): number {
  for (;;) {
    const result = libc.write(fd, buf, within(buf, len))
    if (result !== -1 || !isInterrupted('write')) return result
  }
}

/** @param arg the kernel reads or writes it; must be as large as `request` needs, which the kernel cannot check */
export function ioctl(fd: number, request: number, arg: Uint8Array): number {
  for (;;) {
    const result = libc.ioctl(fd, request, arg)
    if (result !== -1 || !isInterrupted('ioctl', hex(request))) return result
  }
}

/** `ioctl` where one errno is an answer, e.g. ENODEV: returns false for it. */
export function ioctlUnless(fd: number, request: number, arg: Uint8Array, errno: number): boolean {
  for (;;) {
    if (libc.ioctl(fd, request, arg) !== -1) return true
    if (!isInterrupted('ioctl', hex(request), errno)) return false
  }
}

/** @returns false when LOCK_NB is in `operation` and another process holds the lock */
export function flock(fd: number, operation: number): boolean {
  for (;;) {
    if (libc.flock(fd, operation) !== -1) return true
    if (!isInterrupted('flock', undefined, Errno.EAGAIN)) return false
  }
}

/**
 * Waits for one descriptor. @param timeoutMs -1: for ever; starts again after EINTR @returns `revents`, 0 at the end
 */
export function poll(fd: number, events: number, timeoutMs: number): number {
  const pollfd = new Uint8Array(8)
  const view = new DataView(pollfd.buffer)
  view.setInt32(0, fd, LITTLE_ENDIAN)
  view.setInt16(4, events, LITTLE_ENDIAN)
  while (libc.poll(pollfd, 1, timeoutMs) === -1) isInterrupted('poll')
  return view.getInt16(6, LITTLE_ENDIAN)
}

export function socket(domain: number, type: number, protocol: number): number {
  for (;;) {
    const result = libc.socket(domain, type, protocol)
    if (result !== -1 || !isInterrupted('socket')) return result
  }
}

export function bind(fd: number, address: Uint8Array): void {
  while (libc.bind(fd, address, address.byteLength) === -1) isInterrupted('bind')
}

export function connect(fd: number, address: Uint8Array): void {
  while (libc.connect(fd, address, address.byteLength) === -1) isInterrupted('connect')
}

/** @returns the address as the kernel wrote it, at most 128 bytes (sockaddr_storage) */
export function getsockname(fd: number): Uint8Array {
  const address = new Uint8Array(128)
  const len = new Uint8Array(4)
  const view = new DataView(len.buffer)
  view.setUint32(0, address.byteLength, LITTLE_ENDIAN)
  while (libc.getsockname(fd, address, len) === -1) isInterrupted('getsockname')
  return address.subarray(0, view.getUint32(0, LITTLE_ENDIAN))
}

export function setsockopt(fd: number, level: number, name: number, value: Uint8Array): void {
  while (libc.setsockopt(fd, level, name, value, value.byteLength) === -1)
    isInterrupted('setsockopt', `${level}/${name}`)
}

export const setsockoptInt = (fd: number, level: number, name: number, value: number): void =>
  setsockopt(fd, level, name, new Uint8Array(Int32Array.of(value).buffer))

/** @returns bytes sent */
export function send(fd: number, buf: Uint8Array, len = buf.byteLength, flags = 0): number {
  for (;;) {
    const result = libc.send(fd, buf, within(buf, len), flags)
    if (result !== -1 || !isInterrupted('send')) return result
  }
}

export function sendto(fd: number, buf: Uint8Array, len: number, flags: number, address: Uint8Array): number {
  for (;;) {
    const result = libc.sendto(fd, buf, within(buf, len), flags, address, address.byteLength)
    if (result !== -1 || !isInterrupted('sendto')) return result
  }
}

/** `recv`, but -1 when nothing is there, or nothing came within SO_RCVTIMEO. */
export function tryRecv(fd: number, buf: Uint8Array, flags = 0): number {
  for (;;) {
    const result = libc.recv(fd, buf, buf.byteLength, flags)
    if (result !== -1 || !isInterrupted('recv', undefined, Errno.EAGAIN)) return result
  }
}

/** @returns bytes received; with MSG_TRUNC the length of the datagram, which may be more than `buf` holds */
export function recv(fd: number, buf: Uint8Array, flags = 0): number {
  for (;;) {
    const result = libc.recv(fd, buf, buf.byteLength, flags)
    if (result !== -1 || !isInterrupted('recv')) return result
  }
}

/** Moves only this thread into a namespace. Prefer `inNetns`, which comes back. */
export function setns(fd: number, nstype: number): void {
  while (libc.setns(fd, nstype) === -1) isInterrupted('setns')
}

/** Acts on this thread only, as `setns`. */
export function unshare(flags: number): void {
  while (libc.unshare(flags) === -1) isInterrupted('unshare')
}

/** The kernel trusts this length: with more than the buffer holds it would read foreign memory. */
function within(buf: Uint8Array, len: number): number {
  if (!(len >= 0 && len <= buf.byteLength))
    throw new RangeError(`length ${len} for a buffer of ${buf.byteLength} bytes`)
  return len
}
