/**
 * What libc does under every runtime: a program that checks `libc.ts` over this runtime's FFI and prints one line per
 * check.
 */
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Errno, SyscallError } from '../../../netlink-ts/errors.ts'
import * as c from '../../../netlink-ts/libc.ts'

const dir = mkdtempSync(join(tmpdir(), 'ft-libc-'))
const AF_UNIX = 1
const AF_NETLINK = 16
const FIONREAD = 0x541b

function equal(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected))
    throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`)
}

/** The errno of a call that must fail. */
function errnoOf(call: () => unknown): number {
  try {
    call()
  } catch (err) {
    if (err instanceof SyscallError) return err.errno
    throw err
  }
  throw new Error('the call succeeded')
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
const bytes = (value: string) => new TextEncoder().encode(value)
const file = join(dir, 'häßlich ☃')

function sockaddrUn(path: string): Uint8Array {
  const address = new Uint8Array(2 + path.length + 1)
  address.set(new Uint8Array(Uint16Array.of(AF_UNIX).buffer))
  address.set(bytes(path), 2)
  return address
}

const CHECKS: Readonly<Record<string, () => void>> = {
  'getpid is this process': () => equal(c.getpid(), process.pid),
  'open makes a file with its mode, and a path of any characters': () => {
    const fd = c.open(file, c.O_RDWR | c.O_CREAT | c.O_EXCL | c.O_CLOEXEC, 0o640)
    equal(c.write(fd, bytes('hello world'), 5), 5)
    c.close(fd)
    equal(readFileSync(file, 'utf8'), 'hello')
    equal(statSync(file).mode & 0o777, 0o640)
  },
  'read reads into the view it is given, and no further': () => {
    const fd = c.open(file, c.O_RDONLY)
    const whole = new Uint8Array(16).fill(120)
    equal(c.read(fd, whole.subarray(4, 7)), 3)
    equal(c.read(fd, whole.subarray(8, 16)), 2)
    equal(c.read(fd, whole.subarray(0, 4)), 0)
    c.close(fd)
    equal(text(whole), 'xxxxhelxloxxxxxx')
  },
  'an empty buffer is 0 bytes': () => {
    const fd = c.open(file, c.O_RDONLY)
    equal(c.read(fd, new Uint8Array(0)), 0)
    c.close(fd)
  },
  'a NUL in a path is refused': () =>
    equal(
      errnoOf(() => c.open('/etc/passwd\0x', c.O_RDONLY)),
      Errno.EINVAL,
    ),
  'errno is that of the call': () => {
    equal(
      errnoOf(() => c.open(join(dir, 'none'), c.O_RDONLY)),
      Errno.ENOENT,
    )
    equal(
      errnoOf(() => c.open(file, c.O_RDWR | c.O_CREAT | c.O_EXCL)),
      Errno.EEXIST,
    )
    equal(
      errnoOf(() => c.open(join(file, 'x'), c.O_RDONLY)),
      Errno.ENOTDIR,
    )
    equal(
      errnoOf(() => c.close(-1)),
      Errno.EBADF,
    )
    equal(
      errnoOf(() => c.setns(-1, c.CLONE_NEWNET)),
      Errno.EBADF,
    )
    equal(
      errnoOf(() => c.socket(AF_NETLINK, c.SOCK_RAW, 9_999)),
      Errno.EPROTONOSUPPORT,
    )
    equal(
      errnoOf(() => c.ioctl(0x7fff, FIONREAD, new Uint8Array(4))),
      Errno.EBADF,
    )
    equal(
      errnoOf(() => c.unshare(-1)),
      Errno.EINVAL,
    )
  },
  'errno is right 20,000 times, with the collector at work': () => {
    let kept: unknown[] = []
    for (let i = 0; i < 20_000; i++) {
      const [call, errno] = (
        [
          [() => c.close(-1), Errno.EBADF],
          [() => c.open('/none', c.O_RDONLY), Errno.ENOENT],
          [() => c.open(file, c.O_RDWR | c.O_CREAT | c.O_EXCL), Errno.EEXIST],
        ] as const
      )[i % 3] as readonly [() => unknown, number]
      // Garbage between and within: what a collector's own system calls leave in errno must not show.
      kept.push(new Uint8Array(4_096), `${i}`.repeat(100), { i })
      if (kept.length > 3_000) kept = []
      equal(errnoOf(call), errno)
    }
  },
  'flock keeps a second holder out and lets it in afterwards': () => {
    const [a, b] = [c.open(file, c.O_RDONLY), c.open(file, c.O_RDONLY)]
    equal(c.flock(a, c.LOCK_EX | c.LOCK_NB), true)
    equal(c.flock(b, c.LOCK_EX | c.LOCK_NB), false)
    c.close(a)
    equal(c.flock(b, c.LOCK_EX | c.LOCK_NB), true)
    c.close(b)
  },
  'poll waits no longer than it is told': () => {
    const fd = c.socket(AF_NETLINK, c.SOCK_RAW | c.SOCK_CLOEXEC, 0)
    const start = performance.now()
    equal(c.poll(fd, c.POLLIN, 30), 0)
    equal(performance.now() - start >= 29, true)
    equal(c.poll(fd, c.POLLOUT, -1) & c.POLLOUT, c.POLLOUT)
    c.close(fd)
  },
  'a socket: options in and out, its address, EAGAIN as -1': () => {
    const fd = c.socket(AF_NETLINK, c.SOCK_RAW | c.SOCK_CLOEXEC, 0)
    c.setsockoptInt(fd, c.SOL_SOCKET, c.SO_RCVBUF, 1 << 16)
    c.bind(fd, Uint8Array.of(AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
    const address = c.getsockname(fd)
    equal(address.byteLength, 12)
    equal(new DataView(address.buffer).getUint16(0, true), AF_NETLINK)
    equal(c.tryRecv(fd, new Uint8Array(16), c.MSG_DONTWAIT), -1)
    equal(
      errnoOf(() => c.recv(fd, new Uint8Array(16), c.MSG_DONTWAIT)),
      Errno.EAGAIN,
    )
    c.close(fd)
  },
  'datagrams: sendto, send, recv; MSG_TRUNC tells the whole length': () => {
    const [a, b] = [c.socket(AF_UNIX, c.SOCK_DGRAM, 0), c.socket(AF_UNIX, c.SOCK_DGRAM, 0)]
    c.bind(a, sockaddrUn(join(dir, 'a')))
    equal(c.sendto(b, bytes('one'), 3, 0, sockaddrUn(join(dir, 'a'))), 3)
    c.connect(b, sockaddrUn(join(dir, 'a')))
    equal(c.send(b, bytes('two-and-more')), 12)
    const got = new Uint8Array(5)
    equal(c.recv(a, got), 3)
    equal(text(got.subarray(0, 3)), 'one')
    equal(c.recv(a, got, c.MSG_TRUNC), 12)
    equal(text(got), 'two-a')
    equal(
      errnoOf(() => c.connect(a, sockaddrUn(join(dir, 'missing')))),
      Errno.ENOENT,
    )
    for (const fd of [a, b]) c.close(fd)
  },
  'a length past the end of the buffer is refused': () => {
    let refused = ''
    try {
      c.write(1, new Uint8Array(4), 5)
    } catch (err) {
      refused = err instanceof Error ? err.name : ''
    }
    equal(refused, 'RangeError')
  },
}

for (const [what, check] of Object.entries(CHECKS)) {
  try {
    check()
    process.stdout.write(`ok ${what}\n`)
  } catch (err) {
    process.stdout.write(`not ok ${what}: ${err instanceof Error ? err.message : String(err)}\n`)
  }
}
rmSync(dir, { recursive: true })
