/** Stands in for `node:fs`: the calls of every ADD and DEL by libc, the others by Bun's own module. */

import type * as NodeFs from 'node:fs'
import { Errno, errnoName } from 'netlink-ts/errors.ts'
import { files, libc } from 'netlink-ts/libc.bun.ts'

/** Not `process.getBuiltinModule`: 2.4 ms. build/build.ts leaves this file's own `node:fs` alone. */
const bun = (): typeof NodeFs => require('node:fs')

/** include/uapi/asm-generic/fcntl.h. */
const O_CLOEXEC = 0o2000000
const FLAGS: Readonly<Record<string, number>> = { r: 0, w: 0o1101, wx: 0o1301, a: 0o2101 }
/** include/uapi/linux/fcntl.h. */
const AT_FDCWD = -100
const AT_EMPTY_PATH = 0x1000
/** include/uapi/linux/stat.h. */
const STATX_BASIC_STATS = 0x7ff
const S_IFMT = 0o170000
const S_IFCHR = 0o020000
const S_IFDIR = 0o040000
/** More than PATH_MAX. */
const READ_BYTES = 16_384

const utf8 = new TextEncoder()

/** An error as of node:fs, whose callers match on `code`. */
function failure(errno: number, syscall: string, path?: string): Error {
  // libuv calls 95 ENOTSUP, the kernel EOPNOTSUPP.
  const code = errno === Errno.EOPNOTSUPP ? 'ENOTSUP' : errnoName(errno)
  const message = path === undefined ? `${code}: ${syscall}` : `${code}: ${syscall} '${path}'`
  return Object.assign(new Error(message), {
    code,
    errno: -errno,
    syscall,
    ...(path !== undefined && { path }),
  })
}

/** After a call that returned -1: returns when a signal interrupted it, so that it is repeated. @throws as node:fs */
function again(syscall: string, path?: string): void {
  const errno = libc.errno()
  if (errno !== Errno.EINTR) throw failure(errno, syscall, path)
}

/** libc would stop at the NUL and take another file. */
function whole(syscall: string, path: string): string {
  if (!path.includes('\0')) return path
  throw Object.assign(new TypeError(`${syscall}: NUL in path`), { code: 'ERR_INVALID_ARG_VALUE' })
}

function open(path: string, flags: string | number, mode = 0o666): number {
  const bits = typeof flags === 'number' ? flags : FLAGS[flags]
  if (bits === undefined) throw new TypeError(`open: flags ${flags}`)
  const name = whole('open', path)
  for (;;) {
    const fd = libc.open(name, bits | O_CLOEXEC, mode)
    if (fd !== -1) return fd
    again('open', path)
  }
}

function read(fd: number, buf: Uint8Array): number {
  for (;;) {
    const n = libc.read(fd, buf, buf.byteLength)
    if (n !== -1) return n
    again('read')
  }
}

function write(fd: number, bytes: Uint8Array): number {
  for (;;) {
    const n = libc.write(fd, bytes, bytes.byteLength)
    if (n !== -1) return n
    again('write')
  }
}

/** EINTR: the descriptor is closed all the same. */
export function closeSync(fd: number): void {
  if (libc.close(fd) === -1 && libc.errno() !== Errno.EINTR) throw failure(libc.errno(), 'close')
}

function withOpen<T>(path: string, flags: string, mode: number | undefined, run: (fd: number) => T): T {
  const fd = open(path, flags, mode)
  try {
    return run(fd)
  } finally {
    closeSync(fd)
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.byteLength; ) {
    at += write(fd, at === 0 ? bytes : bytes.subarray(at))
  }
}

/** What is read at once; it grows to what is read. */
let buffer: Buffer | undefined

function readAll(fd: number, encoding: BufferEncoding): string {
  buffer ??= Buffer.allocUnsafe(READ_BYTES)
  let length = 0
  for (;;) {
    const n = read(fd, length === 0 ? buffer : buffer.subarray(length))
    if (n === 0) return buffer.toString(encoding, 0, length)
    length += n
    if (length < buffer.byteLength) continue
    const grown = Buffer.allocUnsafe(length * 2)
    grown.set(buffer)
    buffer = grown
  }
}

interface Stat {
  readonly dev: number
  readonly mode: number
  readonly ino: number
  readonly size: number
  isCharacterDevice(): boolean
  isDirectory(): boolean
}

function statOf(fd: number, path: string, flags: number): Stat {
  const buf = new Uint8Array(256)
  const name = whole('stat', path)
  while (files.statx(fd, name, flags, STATX_BASIC_STATS, buf) === -1) again('stat', path)
  const view = new DataView(buf.buffer)
  const u32 = (at: number): number => view.getUint32(at, true)
  const u64 = (at: number): number => u32(at) + u32(at + 4) * 2 ** 32
  const mode = view.getUint16(28, true)
  const kind = mode & S_IFMT
  const [major, minor] = [u32(136), u32(140)]
  return {
    // makedev(3); no device of Linux has more than 12 and 20 bits.
    dev: (minor & 0xff) + ((major & 0xfff) << 8) + (minor >>> 8) * 2 ** 20,
    mode,
    ino: u64(32),
    size: u64(40),
    isCharacterDevice: () => kind === S_IFCHR,
    isDirectory: () => kind === S_IFDIR,
  }
}

/** As Node has it; Bun's own throws ENOTDIR. */
const isAbsence = (err: unknown): boolean =>
  err instanceof Error && 'code' in err && (err.code === 'ENOENT' || err.code === 'ENOTDIR')

export const openSync = open as typeof NodeFs.openSync

export const readSync = read as typeof NodeFs.readSync

export const writeSync = ((fd: number, data: Uint8Array | string, at?: number) =>
  write(fd, typeof data === 'string' ? utf8.encode(data) : data.subarray(at))) as typeof NodeFs.writeSync

export const readFileSync = ((path: string, encoding: BufferEncoding) =>
  withOpen(path, 'r', undefined, (fd) => readAll(fd, encoding))) as typeof NodeFs.readFileSync

export const writeFileSync = ((file: string | number, text: string) => {
  const bytes = utf8.encode(text)
  if (typeof file === 'number') writeAll(file, bytes)
  else withOpen(file, 'w', undefined, (fd) => writeAll(fd, bytes))
}) as typeof NodeFs.writeFileSync

export const appendFileSync = ((path: string, text: string, { mode }: { mode?: number | undefined } = {}) =>
  withOpen(path, 'a', mode, (fd) => writeAll(fd, utf8.encode(text)))) as typeof NodeFs.appendFileSync

export const fsyncSync: typeof NodeFs.fsyncSync = (fd) => {
  while (files.fsync(fd) === -1) again('fsync')
}

export const renameSync = ((from: string, to: string) => {
  const name = whole('rename', from)
  while (files.rename(name, to) === -1) again('rename', from)
}) as typeof NodeFs.renameSync

export const symlinkSync = ((target: string, path: string) => {
  const name = whole('symlink', path)
  while (files.symlink(target, name) === -1) again('symlink', path)
}) as typeof NodeFs.symlinkSync

export const readlinkSync = ((path: string) => {
  buffer ??= Buffer.allocUnsafe(READ_BYTES)
  const name = whole('readlink', path)
  for (;;) {
    const length = files.readlink(name, buffer)
    if (length !== -1) return buffer.toString('utf8', 0, length)
    again('readlink', path)
  }
}) as typeof NodeFs.readlinkSync

export const unlinkSync = ((path: string) => {
  const name = whole('unlink', path)
  while (files.unlink(name) === -1) again('unlink', path)
}) as typeof NodeFs.unlinkSync

export const fstatSync = ((fd: number) => statOf(fd, '', AT_EMPTY_PATH)) as typeof NodeFs.fstatSync

export const statSync = ((path: string, options?: { bigint?: boolean; throwIfNoEntry?: boolean }) => {
  try {
    const stat = statOf(AT_FDCWD, path, 0)
    // For text: a namespace's inode has 32 bits, so the number is as good.
    return options?.bigint ? { ...stat, dev: BigInt(stat.dev), ino: BigInt(stat.ino) } : stat
  } catch (err) {
    if (options?.throwIfNoEntry === false && isAbsence(err)) return undefined
    throw err
  }
}) as typeof NodeFs.statSync

export const existsSync = ((path: string) => {
  try {
    statOf(AT_FDCWD, path, 0)
    return true
  } catch {
    return false
  }
}) as typeof NodeFs.existsSync

export const statfsSync = ((path: string) => {
  const buf = new Uint8Array(120)
  const name = whole('statfs', path)
  while (files.statfs(name, buf) === -1) again('statfs', path)
  return { type: new DataView(buf.buffer).getUint32(0, true) }
}) as typeof NodeFs.statfsSync

export const accessSync: typeof NodeFs.accessSync = (...args) => bun().accessSync(...args)
export const chmodSync: typeof NodeFs.chmodSync = (...args) => bun().chmodSync(...args)
export const copyFileSync: typeof NodeFs.copyFileSync = (...args) => bun().copyFileSync(...args)
export const fchmodSync: typeof NodeFs.fchmodSync = (...args) => bun().fchmodSync(...args)
export const linkSync: typeof NodeFs.linkSync = (...args) => bun().linkSync(...args)
export const mkdirSync = ((path: string, options: NodeFs.MakeDirectoryOptions) =>
  bun().mkdirSync(path, options)) as typeof NodeFs.mkdirSync
export const readdirSync = ((path: string, options?: { withFileTypes: true }) =>
  options === undefined
    ? bun().readdirSync(path)
    : bun().readdirSync(path, options)) as typeof NodeFs.readdirSync
export const constants = { W_OK: 2, O_WRONLY: 0o1, O_CREAT: 0o100 } as typeof NodeFs.constants
