/** The seam between libc and a runtime's FFI: every libc call, in numbers, strings and bytes. */

/**
 * One object per runtime implements it (`libc.node.ts`). It has no policy: a failed call returns -1, and the caller
 * must read `errno` before any other call. Lengths are bytes. `Uint8Array` arguments are read or written in place.
 */
export interface RawLibc {
  errno(): number
  getpid(): number
  _exit(status: number): void
  open(path: string, flags: number, mode: number): number
  close(fd: number): number
  read(fd: number, buf: Uint8Array, len: number): number
  write(fd: number, buf: Uint8Array, len: number): number
  ioctl(fd: number, request: number, arg: Uint8Array): number
  flock(fd: number, operation: number): number
  poll(fds: Uint8Array, count: number, timeoutMs: number): number
  socket(domain: number, type: number, protocol: number): number
  bind(fd: number, address: Uint8Array, len: number): number
  connect(fd: number, address: Uint8Array, len: number): number
  /** @param len `socklen_t` in and out, 4 bytes in host order */
  getsockname(fd: number, address: Uint8Array, len: Uint8Array): number
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, len: number): number
  send(fd: number, buf: Uint8Array, len: number, flags: number): number
  sendto(
    fd: number,
    buf: Uint8Array,
    len: number,
    flags: number,
    address: Uint8Array,
    addrLen: number,
  ): number
  recv(fd: number, buf: Uint8Array, len: number, flags: number): number
  setns(fd: number, nstype: number): number
  unshare(flags: number): number
}

/** What Node has in `node:fs`. Failures are as for RawLibc: -1 and `errno`. */
export interface RawFiles {
  fsync(fd: number): number
  rename(from: string, to: string): number
  symlink(target: string, path: string): number
  /** @returns bytes of the target, cut at the end of `buf` */
  readlink(path: string, buf: Uint8Array): number
  unlink(path: string): number
  /** @param buf `struct statx`, 256 bytes, alike on every architecture */
  statx(fd: number, path: string, flags: number, mask: number, buf: Uint8Array): number
  /** @param buf `struct statfs` of a 64-bit Linux, at most 120 bytes */
  statfs(path: string, buf: Uint8Array): number
}
