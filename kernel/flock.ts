/**
 * A lock between processes: flock(2) on a file, waited for with a bound.
 * The kernel frees it when its holder dies, however it dies. Readers need no lock: what it guards is replaced by rename.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { flock, LOCK_EX, LOCK_NB } from 'netlink-ts/libc.ts'
import type { Millis } from '../core/clock.ts'
import { FlatnetError } from '../core/errors.ts'
import { hasCode } from './durable.ts'

type Sync<T> = T extends PromiseLike<unknown> ? never : T

export interface FlockOptions {
  /** How long to wait for another holder. Default 10 s: twice what 50 containers started at once need here. */
  readonly timeoutMs?: Millis
  /** Of folders that are missing on the way to the file. */
  readonly folderMode?: number
}

const DEFAULT_TIMEOUT_MS = 10_000

/**
 * Runs `fn` while this process holds the lock. Not re-entrant: a second open file of the same process waits like any other.
 * @param path of the lock file; made when absent, never deleted
 * @throws {FlatnetError} ERR_FLATNET_TRY_AGAIN with the holder's pid when /proc/locks tells it
 * @throws ErrnoException EROFS, EACCES, ENOSPC when the lock file cannot be made
 */
export function withFlock<T>(path: string, options: FlockOptions, fn: () => Sync<T>): Sync<T> {
  const fd = acquire(path, options)
  try {
    return fn()
  } finally {
    // No LOCK_UN: closing the only descriptor of the open file frees the lock. node:fs opens with O_CLOEXEC.
    closeSync(fd)
  }
}

function acquire(path: string, { timeoutMs = DEFAULT_TIMEOUT_MS, folderMode = 0o755 }: FlockOptions): number {
  const start = performance.now()
  for (;;) {
    const fd = openLock(path, folderMode)
    let held = false
    try {
      while (!flock(fd, LOCK_EX | LOCK_NB)) {
        if (performance.now() - start >= timeoutMs) throw busy(path, fd, timeoutMs)
        pause(1 + Math.random() * 4)
      }
      held = isStill(path, fd)
    } finally {
      if (!held) closeSync(fd)
    }
    if (held) return fd
  }
}

function openLock(path: string, folderMode: number): number {
  try {
    return openSync(path, 'a', 0o600)
  } catch (err) {
    if (!hasCode(err, 'ENOENT')) throw err
  }
  mkdirSync(dirname(path), { recursive: true, mode: folderMode })
  return openSync(path, 'a', 0o600)
}

/** Somebody may delete the folder while we wait: the lock on a file without a name keeps nobody out. */
function isStill(path: string, fd: number): boolean {
  const mine = fstatSync(fd)
  const there = statSync(path, { throwIfNoEntry: false })
  return there !== undefined && there.ino === mine.ino && there.dev === mine.dev
}

/** Blocks the thread: the plugin is one shot. The jitter keeps many waiters from asking at the same instant. */
function pause(ms: Millis): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

function busy(path: string, fd: number, timeoutMs: Millis): FlatnetError {
  const pid = holderOf(fd)
  const holder = pid === undefined ? 'another process' : `process ${pid}${commandOf(pid)}`
  return new FlatnetError(
    'ERR_FLATNET_TRY_AGAIN',
    `${path} is held by ${holder} for more than ${timeoutMs} ms; try again, and end that process if it hangs`,
    { facts: { path, ...(pid !== undefined && { pid }) } },
  )
}

/**
 * The pid in /proc/locks, e.g. `1: FLOCK  ADVISORY  WRITE 4711 fe:01:1234 0 EOF`; 0 and below are processes of
 * other PID namespaces. Device numbers differ from stat's on btrfs and overlayfs, so the inode alone decides when
 * no line has both.
 */
function holderOf(fd: number): number | undefined {
  const { dev, ino } = fstatSync(fd)
  const device = `${hex(((dev >>> 8) & 0xfff) | 0)}:${hex((dev & 0xff) | ((dev >>> 12) & 0xfff00))}`
  const lines = locks().flatMap((line) => {
    const [, kind, , , pid = '', where = ''] = line.trim().split(/\s+/)
    return kind === 'FLOCK' && where.endsWith(`:${ino}`) ? [{ pid: Number(pid), where }] : []
  })
  const pid = (lines.find(({ where }) => where.startsWith(device)) ?? lines[0])?.pid
  return pid !== undefined && pid > 0 ? pid : undefined
}

const hex = (value: number): string => value.toString(16).padStart(2, '0')

function locks(): string[] {
  try {
    // Waiters are listed below their lock as `1: -> FLOCK ...`.
    return readFileSync('/proc/locks', 'latin1')
      .split('\n')
      .filter((line) => !line.includes('->'))
  } catch {
    return []
  }
}

function commandOf(pid: number): string {
  try {
    return ` (${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()})`
  } catch {
    return ''
  }
}
