/** libc through `node:ffi`, as syscall(2): the only file of the CNI path that imports it. */

import { DynamicLibrary, type FunctionDefinitions, getInt32 } from 'node:ffi'
import { LITTLE_ENDIAN } from './endian.ts'
import type { RawLibc } from './libc.raw.ts'
import { SYSCALLS } from './syscalls.ts'

// One symbol for all calls: `node:ffi` takes 45 µs to resolve a symbol and 30 to 100 for the first call of a signature,
// and an ADD makes sixteen different calls. syscall(2) is variadic in C, but without floats every 64-bit Linux ABI
// calls it like any other function. Every result fits an i32, even that of read(2): no buffer here has 2 GiB.
// `satisfies` matters: Node accepts a misspelled key in a signature, and the call then returns undefined.
const ARGUMENTS = ['i64', 'pointer', 'pointer', 'pointer', 'pointer', 'pointer', 'pointer'] as const
const SYMBOLS = {
  // It takes no arguments. With the same ones as syscall, `node:ffi` shares one wrapper; another takes 400 lines more.
  __errno_location: { arguments: ARGUMENTS, return: 'pointer' },
  syscall: { arguments: ARGUMENTS, return: 'i32' },
} as const satisfies FunctionDefinitions

// null is the process image, which works for glibc and musl without finding a library on disk.
const c = new DynamicLibrary(null).getFunctions(SYMBOLS)

/** `pointer` accepts bytes, text (as UTF-8 with a NUL after it) and addresses; a number has to look like an address. */
type Word = bigint | Uint8Array | string

const NULL = 0n

// Constant for the life of a thread, and each thread has its own copy of this module.
const errnoAt = c.__errno_location(NULL, NULL, NULL, NULL, NULL, NULL, NULL)

/** An int, an unsigned int or a length. Where the kernel expects an int, it reads the lower half. */
const word = (value: number): bigint => BigInt(value >>> 0)

const call = (number: bigint, a: Word = NULL, b: Word = NULL, d: Word = NULL, e: Word = NULL): number =>
  c.syscall(number, a, b, d, e, NULL, NULL)

const AT_FDCWD = -100
/** The size of a signal set, which the kernel wants even without a set. */
const SIGSET_BYTES = 8n

/** A `struct timespec`. */
function timespec(ms: number): Uint8Array {
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  view.setUint32(LITTLE_ENDIAN ? 0 : 4, Math.floor(ms / 1000), LITTLE_ENDIAN)
  view.setUint32(LITTLE_ENDIAN ? 8 : 12, Math.round((ms % 1000) * 1e6), LITTLE_ENDIAN)
  return bytes
}

export const libc: RawLibc = {
  errno: () => getInt32(errnoAt),
  getpid: () => call(SYSCALLS.getpid),
  _exit: (status) => void call(SYSCALLS.exit_group, word(status)),
  open: (path, flags, mode) => call(SYSCALLS.openat, word(AT_FDCWD), path, word(flags), word(mode)),
  close: (fd) => call(SYSCALLS.close, word(fd)),
  read: (fd, buf, len) => call(SYSCALLS.read, word(fd), buf, word(len)),
  write: (fd, buf, len) => call(SYSCALLS.write, word(fd), buf, word(len)),
  ioctl: (fd, request, arg) => call(SYSCALLS.ioctl, word(fd), word(request), arg),
  flock: (fd, operation) => call(SYSCALLS.flock, word(fd), word(operation)),
  poll: (fds, count, timeoutMs) =>
    c.syscall(
      SYSCALLS.ppoll,
      fds,
      word(count),
      timeoutMs < 0 ? NULL : timespec(timeoutMs),
      NULL,
      SIGSET_BYTES,
      NULL,
    ),
  socket: (domain, type, protocol) => call(SYSCALLS.socket, word(domain), word(type), word(protocol)),
  bind: (fd, address, len) => call(SYSCALLS.bind, word(fd), address, word(len)),
  connect: (fd, address, len) => call(SYSCALLS.connect, word(fd), address, word(len)),
  getsockname: (fd, address, len) => call(SYSCALLS.getsockname, word(fd), address, len),
  setsockopt: (fd, level, name, value, len) =>
    c.syscall(SYSCALLS.setsockopt, word(fd), word(level), word(name), value, word(len), NULL),
  send: (fd, buf, len, flags) => call(SYSCALLS.sendto, word(fd), buf, word(len), word(flags)),
  sendto: (fd, buf, len, flags, address, addrLen) =>
    c.syscall(SYSCALLS.sendto, word(fd), buf, word(len), word(flags), address, word(addrLen)),
  recv: (fd, buf, len, flags) => call(SYSCALLS.recvfrom, word(fd), buf, word(len), word(flags)),
  setns: (fd, nstype) => call(SYSCALLS.setns, word(fd), word(nstype)),
  unshare: (flags) => call(SYSCALLS.unshare, word(flags)),
}

// If calls go wrong with this libc or build, fail here and not halfway through setting up a network.
if (libc.getpid() !== process.pid)
  throw new Error(`node:ffi: getpid() is not ${process.pid}; this build cannot be used`)
