/** libc for the rest: each call throws SyscallError on failure with errno read at once, and is repeated after EINTR. */
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

/** Calls until it is not interrupted; -1 only for `expected`. EAGAIN is also EWOULDBLOCK. */
function attempt(
  syscall: string,
  run: () => number,
  detail?: string,
  expected: number = Errno.EAGAIN,
): number {
  for (;;) {
    const result = run()
    if (result !== -1) return result
    const errno = libc.errno()
    if (errno === expected) return -1
    if (errno !== Errno.EINTR) throw new SyscallError(syscall, errno, detail)
  }
}

/** As `attempt`; EAGAIN is an error like others. */
function call(syscall: string, run: () => number, detail?: string): number {
  const result = attempt(syscall, run, detail)
  if (result === -1) throw new SyscallError(syscall, Errno.EAGAIN, detail)
  return result
}

export const getpid = (): number => libc.getpid()

/** Ends the process at once: no exit handlers, no output flushed. */
export const exitNow = (status: number): void => libc._exit(status)

/** @param mode for O_CREAT @returns the descriptor @throws {SyscallError} the path is in the message */
export function open(path: string, flags: number, mode = 0): number {
  // libc would stop at the NUL and open another file.
  if (path.includes('\0')) throw new SyscallError('open', Errno.EINVAL, `NUL in path ${JSON.stringify(path)}`)
  return call('open', () => libc.open(path, flags, mode), path)
}

/** Never repeated: Linux has released the descriptor also when close() reports EINTR. */
export function close(fd: number): void {
  if (libc.close(fd) !== -1) return
  const errno = libc.errno()
  if (errno !== Errno.EINTR) throw new SyscallError('close', errno)
}

/** @returns bytes read, 0 at the end. EAGAIN is thrown when the descriptor is non-blocking and empty. */
export const read = (fd: number, buf: Uint8Array): number =>
  call('read', () => libc.read(fd, buf, buf.byteLength))

/** As `read`, for loops that empty a descriptor: -1 instead of an EAGAIN error, whose stack trace costs more than the call. */
export const tryRead = (fd: number, buf: Uint8Array): number =>
  attempt('read', () => libc.read(fd, buf, buf.byteLength))

/** As `write`; -1 when it would block. */
export function tryWrite(fd: number, buf: Uint8Array, len = buf.byteLength): number {
  return attempt('write', () => libc.write(fd, buf, within(buf, len)))
}

/** @returns bytes written, possibly fewer than `len` */
export function write(fd: number, buf: Uint8Array, len = buf.byteLength): number {
  return call('write', () => libc.write(fd, buf, within(buf, len)))
}

/** @param arg read or written by the kernel; must be as large as `request` needs, the kernel cannot check it */
export const ioctl = (fd: number, request: number, arg: Uint8Array): number =>
  call('ioctl', () => libc.ioctl(fd, request, arg), `0x${request.toString(16)}`)

/** As `ioctl`, where one errno is an answer, e.g. ENODEV: false then. */
export const ioctlUnless = (fd: number, request: number, arg: Uint8Array, errno: number): boolean =>
  attempt('ioctl', () => libc.ioctl(fd, request, arg), `0x${request.toString(16)}`, errno) !== -1

/** @returns false when LOCK_NB is in `operation` and someone else holds the lock */
export const flock = (fd: number, operation: number): boolean =>
  attempt('flock', () => libc.flock(fd, operation)) !== -1

/** Waits for one descriptor. @returns `revents`, 0 after `timeoutMs`; -1 waits for ever. After EINTR the time starts again. */
export function poll(fd: number, events: number, timeoutMs: number): number {
  const pollfd = new Uint8Array(8)
  const view = new DataView(pollfd.buffer)
  view.setInt32(0, fd, LITTLE_ENDIAN)
  view.setInt16(4, events, LITTLE_ENDIAN)
  call('poll', () => libc.poll(pollfd, 1, timeoutMs))
  return view.getInt16(6, LITTLE_ENDIAN)
}

export const socket = (domain: number, type: number, protocol: number): number =>
  call('socket', () => libc.socket(domain, type, protocol))

export function bind(fd: number, address: Uint8Array): void {
  call('bind', () => libc.bind(fd, address, address.byteLength))
}

export function connect(fd: number, address: Uint8Array): void {
  call('connect', () => libc.connect(fd, address, address.byteLength))
}

/** @returns the address as the kernel wrote it, at most 128 bytes (sockaddr_storage) */
export function getsockname(fd: number): Uint8Array {
  const address = new Uint8Array(128)
  const len = new Uint8Array(4)
  const view = new DataView(len.buffer)
  view.setUint32(0, address.byteLength, LITTLE_ENDIAN)
  call('getsockname', () => libc.getsockname(fd, address, len))
  return address.subarray(0, view.getUint32(0, LITTLE_ENDIAN))
}

export function setsockopt(fd: number, level: number, name: number, value: Uint8Array): void {
  call('setsockopt', () => libc.setsockopt(fd, level, name, value, value.byteLength), `${level}/${name}`)
}

export const setsockoptInt = (fd: number, level: number, name: number, value: number): void =>
  setsockopt(fd, level, name, new Uint8Array(Int32Array.of(value).buffer))

/** @returns bytes sent */
export function send(fd: number, buf: Uint8Array, len = buf.byteLength, flags = 0): number {
  return call('send', () => libc.send(fd, buf, within(buf, len), flags))
}

export function sendto(fd: number, buf: Uint8Array, len: number, flags: number, address: Uint8Array): number {
  return call('sendto', () => libc.sendto(fd, buf, within(buf, len), flags, address, address.byteLength))
}

/** As `recv`; -1 when there is nothing, or nothing came within SO_RCVTIMEO. */
export const tryRecv = (fd: number, buf: Uint8Array, flags = 0): number =>
  attempt('recv', () => libc.recv(fd, buf, buf.byteLength, flags))

/** @returns bytes received; with MSG_TRUNC the length of the datagram, which may be more than `buf` holds */
export const recv = (fd: number, buf: Uint8Array, flags = 0): number =>
  call('recv', () => libc.recv(fd, buf, buf.byteLength, flags))

/** Moves this thread, and only this thread, into a namespace. Prefer `inNetns`, which comes back. */
export function setns(fd: number, nstype: number): void {
  call('setns', () => libc.setns(fd, nstype))
}

/** For this thread, as `setns`. */
export function unshare(flags: number): void {
  call('unshare', () => libc.unshare(flags))
}

/** The kernel trusts the length it is given: more than the buffer holds would read foreign memory. */
function within(buf: Uint8Array, len: number): number {
  if (!(len >= 0 && len <= buf.byteLength))
    throw new RangeError(`length ${len} for a buffer of ${buf.byteLength} bytes`)
  return len
}
