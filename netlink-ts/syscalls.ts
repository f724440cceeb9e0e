/** Numbers of the system calls behind `libc.node.ts`, for `syscall(2)`. */

/** include/uapi/asm-generic/unistd.h. */
const GENERIC = {
  ioctl: 29n,
  flock: 32n,
  openat: 56n,
  close: 57n,
  read: 63n,
  write: 64n,
  ppoll: 73n,
  exit_group: 94n,
  unshare: 97n,
  getpid: 172n,
  socket: 198n,
  bind: 200n,
  connect: 203n,
  getsockname: 204n,
  sendto: 206n,
  recvfrom: 207n,
  setsockopt: 208n,
  setns: 268n,
} as const satisfies Readonly<Record<string, bigint>>

type Numbers = Readonly<Record<keyof typeof GENERIC, bigint>>

/** arch/x86/entry/syscalls/syscall_64.tbl. */
const X64: Numbers = {
  ioctl: 16n,
  flock: 73n,
  openat: 257n,
  close: 3n,
  read: 0n,
  write: 1n,
  ppoll: 271n,
  exit_group: 231n,
  unshare: 272n,
  getpid: 39n,
  socket: 41n,
  bind: 49n,
  connect: 42n,
  getsockname: 51n,
  sendto: 44n,
  recvfrom: 45n,
  setsockopt: 54n,
  setns: 308n,
}

/** By `process.arch`. */
const BY_ARCH: Readonly<Record<string, Numbers>> = {
  x64: X64,
  arm64: GENERIC,
  riscv64: GENERIC,
  loong64: GENERIC,
}

function ofThisMachine(): Numbers {
  const found = BY_ARCH[process.arch]
  if (found !== undefined) return found
  throw new Error(
    `no system call numbers for ${process.arch}: only ${Object.keys(BY_ARCH).join(', ')} are known`,
  )
}

export const SYSCALLS: Numbers = ofThisMachine()
