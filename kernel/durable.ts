/** Files replaced as a whole: a reader, or the next boot, sees the old content or the new. */

import {
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  renameSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { hasCode } from '../core/errors.ts'

export interface ReplaceOptions {
  /**
   * `true`: on disk before the call returns, name included. `false`: survives the death of this process but not
   * the loss of power, after which the file may hold the old content, the new, or nothing.
   */
  readonly fsync: boolean
  /** Of the new file, before the umask. */
  readonly mode?: number
  /**
   * The caller holds the lock of the folder: the temp file has one name per file, so what a killed writer left is
   * written over by the next one instead of staying until the next sweep.
   */
  readonly isLocked?: boolean
}

let made = 0

/** `.<name>.<pid>.<n>.tmp`: hidden, so that no reader takes it for a file of its folder. */
const tempNameFor = (path: string, isLocked: boolean): string =>
  `${dirname(path)}/.${basename(path)}.${isLocked ? '0.0' : `${process.pid}.${made++}`}.tmp`

/**
 * Temp file in the same folder, write, fsync, rename, fsync of the folder.
 * When it throws before the rename, nothing is left behind and the old content stands.
 * @throws ErrnoException ENOSPC, EROFS, EACCES, EIO ... with `path`
 */
export function replaceFile(
  path: string,
  text: string,
  { fsync, mode = 0o644, isLocked = false }: ReplaceOptions,
): void {
  const temp = tempNameFor(path, isLocked)
  replaceBy(temp, path, () => {
    const fd = openSync(temp, isLocked ? 'w' : 'wx', mode)
    try {
      // What a killed writer left has the mode that it had then.
      if (isLocked && (fstatSync(fd).mode & 0o777 & ~mode) !== 0) fchmodSync(fd, mode)
      writeFileSync(fd, text)
      if (fsync) fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
  })
  if (fsync) syncFolder(dirname(path))
}

/**
 * A symlink that replaces any file of that name; the caller holds the lock of the folder.
 * Not durable: after power loss it may be missing.
 */
export function replaceSymlink(path: string, target: string): void {
  const temp = tempNameFor(path, true)
  replaceBy(temp, path, () => {
    unlinkIfThere(temp)
    symlinkSync(target, temp)
  })
}

function replaceBy(temp: string, path: string, make: () => void): void {
  try {
    make()
    renameSync(temp, path)
  } catch (err) {
    unlinkIfThere(temp)
    throw err
  }
}

/** Makes renames and unlinks in a folder durable. */
export function syncFolder(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } catch (err) {
    // Some FUSE file systems have no fsync for folders; there is nothing better to do there.
    if (!hasCode(err, 'EINVAL', 'ENOTSUP')) throw err
  } finally {
    closeSync(fd)
  }
}

/** @returns whether it was there. Never throws: for clean-up after another error. */
function unlinkIfThere(path: string): boolean {
  try {
    unlinkSync(path)
    return true
  } catch {
    return false
  }
}

/**
 * Removes the temp files that writers left when they died. Call it under the lock of the folder, where every
 * temp file of another process is a left-over; without a lock pass `isAlive` to spare those of living writers.
 * @returns the names removed
 */
export function sweepTemps(folder: string, isAlive: (pid: number) => boolean = () => false): string[] {
  return readdirSync(folder).filter((name) => {
    const pid = Number(/^\..+\.(\d+)\.\d+\.tmp$/.exec(name)?.[1] ?? Number.NaN)
    return !Number.isNaN(pid) && !isAlive(pid) && unlinkIfThere(join(folder, name))
  })
}

/** Whether a process of our PID namespace exists; EPERM means that it does. */
export function processIsAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (err) {
    return hasCode(err, 'EPERM')
  }
}
