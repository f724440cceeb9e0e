/**
 * A lock between processes: flock(2) on a file, waited for with a bound.
 *
 * The kernel frees it when its holder dies in any way. Readers need no lock: what it guards is replaced by rename.
 */

import { closeSync, fstatSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { flock, LOCK_EX, LOCK_NB } from 'netlink-ts/libc.ts'
import { type Millis, monotonic, sleepSync } from '../core/clock.ts'
import { FlatnetError, hasCode } from '../core/errors.ts'

type Sync<T> = T extends PromiseLike<unknown> ? never : T

export interface FlockOptions {
  /** How long one holder may keep us waiting; a queue that moves may take `MAX_ROUNDS` times as long. Default 10 s. */
  readonly timeoutMs?: Millis
  /** Instant of `monotonic()`: no wait goes on after it, however the queue moves. A free lock is taken all the same. */
  readonly until?: Millis
  /** Of missing folders above the file. */
  readonly folderMode?: number
}

const DEFAULT_TIMEOUT_MS = 10_000
/** 50 containers started at once on an overloaded machine took 12 s in all. */
const MAX_ROUNDS = 3
/** A holder needs 2 to 5 ms, so a single waiter gets the lock within these eager polls. */
const EAGER_MS = 30
/**
 * After that, waiters poll less often, so that the holder gets the CPU, and old waiters more often than new ones: none
 * starves.
 */
const MAX_PAUSE_MS = 20

/**
 * Runs `fn` while this process holds the lock. Not re-entrant: a second open file of the same process waits like any
 * other.
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

function acquire(path: string, options: FlockOptions): number {
  const { folderMode = 0o755 } = options
  for (;;) {
    const fd = openLock(path, folderMode)
    let held = false
    try {
      waitFor(path, fd, options)
      held = isStill(path, fd)
    } finally {
      if (!held) closeSync(fd)
    }
    if (held) return fd
  }
}

/** @throws {FlatnetError} when the same process holds it at the end of a round as at its start */
function waitFor(
  path: string,
  fd: number,
  { timeoutMs = DEFAULT_TIMEOUT_MS, until = Infinity }: FlockOptions,
): void {
  if (flock(fd, LOCK_EX | LOCK_NB)) return
  let waited = 0
  for (let round = 1; ; round++) {
    const before = holderOf(fd)
    const longest = Math.max(0, Math.min(timeoutMs, until - monotonic()))
    if (poll(fd, longest)) return
    waited += longest
    const holder = holderOf(fd)
    const isLast = round === MAX_ROUNDS || monotonic() >= until
    if (holder === before || holder === undefined || isLast) throw busy(path, holder, Math.round(waited))
  }
}

function poll(fd: number, timeoutMs: Millis): boolean {
  const start = monotonic()
  for (;;) {
    const waited = monotonic() - start
    if (waited >= timeoutMs) return false
    const longest = waited < EAGER_MS ? 3 : 1 + MAX_PAUSE_MS * (1 - waited / timeoutMs)
    // The jitter keeps many waiters from asking at the same instant.
    sleepSync(longest * (0.5 + Math.random() / 2))
    if (flock(fd, LOCK_EX | LOCK_NB)) return true
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

/** The folder may be deleted while we wait, and a lock on a file without a name excludes no other process. */
function isStill(path: string, fd: number): boolean {
  const mine = fstatSync(fd)
  const there = statSync(path, { throwIfNoEntry: false })
  return there !== undefined && there.ino === mine.ino && there.dev === mine.dev
}

function busy(path: string, pid: number | undefined, waitedMs: Millis): FlatnetError {
  const holder = pid === undefined ? 'another process' : `process ${pid}${commandOf(pid)}`
  return new FlatnetError(
    'ERR_FLATNET_TRY_AGAIN',
    `${path} is held by ${holder}, waited ${waitedMs} ms; try again, and end that process if it hangs`,
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
  const device = `${hex((dev >>> 8) & 0xfff)}:${hex((dev & 0xff) | ((dev >>> 12) & 0xfff00))}`
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
