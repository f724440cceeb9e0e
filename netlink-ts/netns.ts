/**
 * Network namespaces: open, compare, and run code inside one.
 *
 * @see namespaces(7), setns(2), ioctl_nsfs(2)
 */

import { fstatSync, statfsSync, statSync } from 'node:fs'
import { Errno, NetnsError, SyscallError } from './errors.ts'
import { CLONE_NEWNET, close, exitNow, ioctl, O_CLOEXEC, O_RDONLY, open, setns, write } from './libc.ts'

/** include/uapi/linux/magic.h: the file system of every namespace file, in /proc and as a bind mount. */
const NSFS_MAGIC = 0x6e736673
/** include/uapi/linux/nsfs.h, _IO(0xb7, 3): the CLONE_NEW* kind of a namespace. */
const NS_GET_NSTYPE = 0xb703

/** The namespace of the calling thread; /proc/self would be that of the main thread. */
export const OWN_NETNS = '/proc/thread-self/ns/net'

/** Tells living namespaces apart. The kernel reuses a dead one's inode, so keep the boot id beside it. */
export interface NetnsIdentity {
  readonly dev: number
  readonly ino: number
}

/** The callback must be synchronous: an `await` inside would let other work run in the wrong namespace. */
export type Sync<T> = T extends PromiseLike<unknown> ? never : T

/**
 * Opens a namespace for `inNetns`, `NetlinkSocket.open` or as the namespace of a link. The caller closes it.
 * @param path e.g. `/run/netns/web` or `/proc/4711/ns/net`
 * @throws {NetnsError} the path does not exist, or is no network namespace
 * @throws {SyscallError} EACCES, ENOTDIR and other errors of open()
 */
export function openNetns(path: string): number {
  // Check the magic first: opening another kind of file could block or act on a device.
  if (!isNsfs(path)) throw new NetnsError(path, 'not-a-netns')
  const fd = open(path, O_RDONLY | O_CLOEXEC)
  if (ioctl(fd, NS_GET_NSTYPE, new Uint8Array(0)) === CLONE_NEWNET) return fd
  close(fd)
  throw new NetnsError(path, 'not-a-netns')
}

/** False for a missing path and for other files: a plain one that an unmount left, or a mount namespace. */
export function isNetns(path: string): boolean {
  try {
    close(openNetns(path))
    return true
  } catch (err) {
    if (err instanceof NetnsError) return false
    throw err
  }
}

/** Does not check the kind of namespace. @throws {NetnsError} the path does not exist, or is not on nsfs */
export function netnsIdentity(path: string): NetnsIdentity {
  if (!isNsfs(path)) throw new NetnsError(path, 'not-a-netns')
  const { dev, ino } = statSync(path)
  return { dev, ino }
}

/** The identity of an open namespace. */
export function netnsIdentityOf(fd: number): NetnsIdentity {
  const { dev, ino } = fstatSync(fd)
  return { dev, ino }
}

/** The namespace that the calling thread is in. */
export function ownNetns(): NetnsIdentity {
  const { dev, ino } = statSync(OWN_NETNS)
  return { dev, ino }
}

/** Compares two namespaces, each a path or an identity. */
export function sameNetns(a: string | NetnsIdentity, b: string | NetnsIdentity): boolean {
  const left = typeof a === 'string' ? netnsIdentity(a) : a
  const right = typeof b === 'string' ? netnsIdentity(b) : b
  return left.ino === right.ino && left.dev === right.dev
}

/**
 * Runs `fn` with this thread inside a namespace, then goes back, also when `fn` throws.
 * A socket that `fn` opens stays in that namespace for its whole life: open it here, use it outside.
 * If going back fails, the process ends at once: it would work on the wrong network.
 * @param netns a path, or a descriptor of a namespace, which stays open
 * @throws {NetnsError} no such namespace
 * @throws {SyscallError} `setns` EPERM without CAP_SYS_ADMIN in both namespaces
 */
export function inNetns<T>(netns: string | number, fn: () => Sync<T>): T {
  const home = open(OWN_NETNS, O_RDONLY | O_CLOEXEC)
  try {
    const target = typeof netns === 'string' ? openNetns(netns) : netns
    try {
      setns(target, CLONE_NEWNET)
    } finally {
      if (typeof netns === 'string') close(target)
    }
    try {
      return fn()
    } finally {
      goHome(home)
    }
  } finally {
    close(home)
  }
}

function goHome(home: number): void {
  try {
    setns(home, CLONE_NEWNET)
  } catch (err) {
    // No exit handlers and no exception: they would run in the wrong namespace.
    const why = err instanceof Error ? err.message : String(err)
    write(
      2,
      new TextEncoder().encode(
        `netlink-ts: cannot leave a network namespace, so this process ends: ${why}\n`,
      ),
    )
    exitNow(1)
  }
}

function isNsfs(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC
  } catch (err) {
    const code = err instanceof Error && 'code' in err ? err.code : undefined
    if (code === 'ENOENT') throw new NetnsError(path, 'missing', { cause: err })
    // /proc/<pid> of a process that has just ended
    if (code === 'ESRCH') throw new NetnsError(path, 'missing', { cause: err })
    const errno = err instanceof Error && 'errno' in err ? Number(err.errno) : -Errno.EIO
    throw new SyscallError('statfs', -errno, path, { cause: err })
  }
}
