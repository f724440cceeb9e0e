/** libc through `node:ffi`: the only file of the Node build that imports it. */
import {
  DynamicLibrary,
  type FunctionDefinitions,
  getInt32,
  type WrappedFunctionsFromDefinitions,
} from 'node:ffi'
import type { RawLibc } from './libc.raw.ts'

// `satisfies` is not decoration: Node accepts a misspelled key in a signature and the call then returns undefined.
// size_t and ssize_t are u64 and i64, so bigint; open and ioctl are variadic in C, which is the same call on every
// 64-bit Linux ABI as long as no argument is a float.
const SYMBOLS = {
  __errno_location: { arguments: [], return: 'pointer' },
  getpid: { arguments: [], return: 'i32' },
  _exit: { arguments: ['i32'], return: 'void' },
  open: { arguments: ['string', 'i32', 'u32'], return: 'i32' },
  close: { arguments: ['i32'], return: 'i32' },
  read: { arguments: ['i32', 'buffer', 'u64'], return: 'i64' },
  write: { arguments: ['i32', 'buffer', 'u64'], return: 'i64' },
  ioctl: { arguments: ['i32', 'u64', 'buffer'], return: 'i32' },
  flock: { arguments: ['i32', 'i32'], return: 'i32' },
  poll: { arguments: ['buffer', 'u64', 'i32'], return: 'i32' },
  socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
  bind: { arguments: ['i32', 'buffer', 'u32'], return: 'i32' },
  connect: { arguments: ['i32', 'buffer', 'u32'], return: 'i32' },
  getsockname: { arguments: ['i32', 'buffer', 'buffer'], return: 'i32' },
  setsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'u32'], return: 'i32' },
  send: { arguments: ['i32', 'buffer', 'u64', 'i32'], return: 'i64' },
  sendto: { arguments: ['i32', 'buffer', 'u64', 'i32', 'buffer', 'u32'], return: 'i64' },
  recv: { arguments: ['i32', 'buffer', 'u64', 'i32'], return: 'i64' },
  setns: { arguments: ['i32', 'i32'], return: 'i32' },
  unshare: { arguments: ['i32'], return: 'i32' },
} as const satisfies FunctionDefinitions
type Functions = WrappedFunctionsFromDefinitions<typeof SYMBOLS>

// null is the process image: glibc and musl alike, nothing to find on disk.
const lib = new DynamicLibrary(null)
const resolved: Partial<Functions> = {}

/** Resolves a symbol when it is first called: each costs 45 µs, and one CNI call needs about half of them. */
function sym<N extends keyof Functions>(name: N): Functions[N] {
  const known = resolved[name]
  if (known !== undefined) return known
  const found = lib.getFunction(name, SYMBOLS[name]) as unknown as Functions[N]
  resolved[name] = found
  return found
}

// Constant for the life of a thread, and each thread has its own copy of this module.
const errnoAt = sym('__errno_location')()

export const libc: RawLibc = {
  errno: () => getInt32(errnoAt),
  getpid: () => sym('getpid')(),
  _exit: (status) => sym('_exit')(status),
  open: (path, flags, mode) => sym('open')(path, flags, mode),
  close: (fd) => sym('close')(fd),
  read: (fd, buf, len) => Number(sym('read')(fd, buf, BigInt(len))),
  write: (fd, buf, len) => Number(sym('write')(fd, buf, BigInt(len))),
  ioctl: (fd, request, arg) => sym('ioctl')(fd, BigInt(request), arg),
  flock: (fd, operation) => sym('flock')(fd, operation),
  poll: (fds, count, timeoutMs) => sym('poll')(fds, BigInt(count), timeoutMs),
  socket: (domain, type, protocol) => sym('socket')(domain, type, protocol),
  bind: (fd, address, len) => sym('bind')(fd, address, len),
  connect: (fd, address, len) => sym('connect')(fd, address, len),
  getsockname: (fd, address, len) => sym('getsockname')(fd, address, len),
  setsockopt: (fd, level, name, value, len) => sym('setsockopt')(fd, level, name, value, len),
  send: (fd, buf, len, flags) => Number(sym('send')(fd, buf, BigInt(len), flags)),
  sendto: (fd, buf, len, flags, address, addrLen) =>
    Number(sym('sendto')(fd, buf, BigInt(len), flags, address, addrLen)),
  recv: (fd, buf, len, flags) => Number(sym('recv')(fd, buf, BigInt(len), flags)),
  setns: (fd, nstype) => sym('setns')(fd, nstype),
  unshare: (flags) => sym('unshare')(flags),
}

// A libc or a build where calls go wrong must show here and not in the middle of someone's network setup.
if (libc.getpid() !== process.pid)
  throw new Error(`node:ffi: getpid() is not ${process.pid}; this build cannot be used`)
