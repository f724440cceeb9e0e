/** libc through `bun:ffi`, the twin of `libc.node.ts`: the only file that imports `bun:ffi`. */

import { dlopen, type FfiFunctions, type FfiSignatures, read } from 'bun:ffi'
import type { RawFiles, RawLibc } from './libc.raw.ts'

// size_t is u64 and ssize_t i64; `i64_fast` returns a number wherever one is exact. A zero-length array may become a
// NULL pointer, which every function here accepts together with a length of 0.
const SYMBOLS = {
  __errno_location: { args: [], returns: 'ptr' },
  getpid: { args: [], returns: 'i32' },
  _exit: { args: ['i32'], returns: 'void' },
  open: { args: ['buffer', 'i32', 'u32'], returns: 'i32' },
  close: { args: ['i32'], returns: 'i32' },
  read: { args: ['i32', 'buffer', 'u64'], returns: 'i64_fast' },
  write: { args: ['i32', 'buffer', 'u64'], returns: 'i64_fast' },
  ioctl: { args: ['i32', 'u64', 'buffer'], returns: 'i32' },
  flock: { args: ['i32', 'i32'], returns: 'i32' },
  poll: { args: ['buffer', 'u64', 'i32'], returns: 'i32' },
  socket: { args: ['i32', 'i32', 'i32'], returns: 'i32' },
  bind: { args: ['i32', 'buffer', 'u32'], returns: 'i32' },
  connect: { args: ['i32', 'buffer', 'u32'], returns: 'i32' },
  getsockname: { args: ['i32', 'buffer', 'buffer'], returns: 'i32' },
  setsockopt: { args: ['i32', 'i32', 'i32', 'buffer', 'u32'], returns: 'i32' },
  send: { args: ['i32', 'buffer', 'u64', 'i32'], returns: 'i64_fast' },
  sendto: { args: ['i32', 'buffer', 'u64', 'i32', 'buffer', 'u32'], returns: 'i64_fast' },
  recv: { args: ['i32', 'buffer', 'u64', 'i32'], returns: 'i64_fast' },
  setns: { args: ['i32', 'i32'], returns: 'i32' },
  unshare: { args: ['i32'], returns: 'i32' },
  fsync: { args: ['i32'], returns: 'i32' },
  rename: { args: ['buffer', 'buffer'], returns: 'i32' },
  symlink: { args: ['buffer', 'buffer'], returns: 'i32' },
  readlink: { args: ['buffer', 'buffer', 'u64'], returns: 'i64_fast' },
  unlink: { args: ['buffer'], returns: 'i32' },
  statx: { args: ['i32', 'buffer', 'i32', 'u32', 'buffer'], returns: 'i32' },
  statfs: { args: ['buffer', 'buffer'], returns: 'i32' },
} as const satisfies FfiSignatures

type Functions = FfiFunctions<typeof SYMBOLS>

let functions: Functions | undefined
/** Constant for the life of a thread, and each thread has its own copy of this module. */
let errnoAt = 0

/** Opens libc at the first call, since not every program that loads this file makes one. */
const c = (): Functions => functions ?? open()

/** One dlopen for all symbols takes 28 µs; Node's FFI takes 45 µs for each. Bun for glibc runs only on glibc. */
function open(): Functions {
  functions = dlopen('libc.so.6', SYMBOLS).symbols
  errnoAt = functions.__errno_location()
  // If calls go wrong with this libc or build, fail here and not halfway through setting up a network.
  if (functions.getpid() !== process.pid)
    throw new Error(`bun:ffi: getpid() is not ${process.pid}; this build cannot be used`)
  return functions
}

const utf8 = new TextEncoder()
const cstring = (text: string): Uint8Array => utf8.encode(`${text}\0`)

// `| 0`: the engine may hold whole numbers as doubles, and the native side of bun:ffi would pass on the double's bits.
export const libc: RawLibc = {
  errno: () => read.i32(errnoAt, 0),
  getpid: () => c().getpid(),
  _exit: (status) => c()._exit(status | 0),
  open: (path, flags, mode) => c().open(cstring(path), flags | 0, mode | 0),
  close: (fd) => c().close(fd | 0),
  read: (fd, buf, len) => Number(c().read(fd | 0, buf, len)),
  write: (fd, buf, len) => Number(c().write(fd | 0, buf, len)),
  ioctl: (fd, request, arg) => c().ioctl(fd | 0, request, arg),
  flock: (fd, operation) => c().flock(fd | 0, operation | 0),
  poll: (fds, count, timeoutMs) => c().poll(fds, count, timeoutMs | 0),
  socket: (domain, type, protocol) => c().socket(domain | 0, type | 0, protocol | 0),
  bind: (fd, address, len) => c().bind(fd | 0, address, len | 0),
  connect: (fd, address, len) => c().connect(fd | 0, address, len | 0),
  getsockname: (fd, address, len) => c().getsockname(fd | 0, address, len),
  setsockopt: (fd, level, name, value, len) => c().setsockopt(fd | 0, level | 0, name | 0, value, len | 0),
  send: (fd, buf, len, flags) => Number(c().send(fd | 0, buf, len, flags | 0)),
  sendto: (fd, buf, len, flags, address, addrLen) =>
    Number(c().sendto(fd | 0, buf, len, flags | 0, address, addrLen | 0)),
  recv: (fd, buf, len, flags) => Number(c().recv(fd | 0, buf, len, flags | 0)),
  setns: (fd, nstype) => c().setns(fd | 0, nstype | 0),
  unshare: (flags) => c().unshare(flags | 0),
}

/** Files, for programs that avoid Bun's `node:fs`, which takes a millisecond to load. */
export const files: RawFiles = {
  fsync: (fd) => c().fsync(fd | 0),
  rename: (from, to) => c().rename(cstring(from), cstring(to)),
  symlink: (target, path) => c().symlink(cstring(target), cstring(path)),
  readlink: (path, buf) => Number(c().readlink(cstring(path), buf, buf.byteLength)),
  unlink: (path) => c().unlink(cstring(path)),
  statx: (fd, path, flags, mask, buf) => c().statx(fd | 0, cstring(path), flags | 0, mask | 0, buf),
  statfs: (path, buf) => c().statfs(cstring(path), buf),
}
