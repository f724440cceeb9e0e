/** The lease store of one network: its place on disk, its lock, and the errors of an unusable one. */

import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Ipv4 } from '../../core/addr.ts'
import type { Millis } from '../../core/clock.ts'
import { FlatnetError, hasCode } from '../../core/errors.ts'
import { type Log, silentLog } from '../../core/log.ts'
import { bootId } from '../../kernel/boot.ts'
import { withFlock } from '../../kernel/flock.ts'
import { closeToOthers, PRIVATE_FOLDER } from '../../kernel/private.ts'
import type { Lease } from '../lease.ts'
import { Keys } from './keys.ts'
import { baseOfFileName, blockFileName } from './layout.ts'

export interface StoreOptions {
  /** `dataDir` of the network configuration; the store is `<dataDir>/ipam/<network>/`. */
  readonly dataDir: string
  readonly network: string
  /** Default: of the running kernel. */
  readonly bootId?: string
  readonly log?: Log
  /** Default 10 s. The gateway waits less: waiting blocks its thread. */
  readonly lockTimeoutMs?: Millis
  /** Of `monotonic()`: after it no lock is waited for. Absent: `lockTimeoutMs` alone decides. */
  readonly lockUntil?: Millis
  /**
   * The attachments of this network that live in the kernel, as leases. Called, under the lock, only when a block is
   * unreadable or the store is new or was lost. Delegated IPAM has none: its links are another plugin's.
   */
  readonly rebuild?: () => readonly Lease[]
}

/** A block that could not be used and what became of it; also logged. */
interface Incident {
  readonly path: string
  /** Where the content is now, for people to look at; undefined when the block was missing. */
  readonly setAside?: string
  readonly problem: string
  /** Leases in the block that took its place. */
  readonly leases: number
}

/** Opening touches nothing on disk, and there is nothing to close. */
export interface Store {
  readonly network: string
  readonly folder: string
  readonly bootId: string
  readonly log: Log
  readonly lockTimeoutMs: Millis | undefined
  readonly lockUntil: Millis | undefined
  readonly rebuild: () => readonly Lease[]
  readonly keys: Keys
  /** What went wrong since it was opened, oldest first. */
  readonly incidents: Incident[]
}

export function openStore(options: StoreOptions): Store {
  const { dataDir, network, log = silentLog, lockTimeoutMs, lockUntil, rebuild = () => [] } = options
  const folder = join(dataDir, 'ipam', network)
  return {
    network,
    folder,
    bootId: options.bootId ?? bootId(),
    log,
    lockTimeoutMs,
    lockUntil,
    rebuild,
    keys: new Keys(folder),
    incidents: [],
  }
}

export const blockPath = (store: Store, base: Ipv4): string => `${store.folder}/${blockFileName(base)}`

export const indexPath = (store: Store): string => `${store.folder}/index`

/** Whether anything was ever leased: a release must not create a store. */
export const isPresent = (store: Store): boolean => existsSync(store.folder)

/** Bases of the blocks on disk, ascending; those of earlier slices are among them. None when there is no folder. */
export const blockBases = (store: Store): Ipv4[] => basesOf(namesIn(store))

/** As `blockBases`, with blocks of which only a set-aside file is left, as after a crash. */
export const asideBases = (store: Store): Ipv4[] =>
  basesOf(namesIn(store).map((name) => name.replace(/\.broken-.*$/, '')))

const basesOf = (names: readonly string[]): Ipv4[] =>
  names
    .map(baseOfFileName)
    .filter((base) => base !== undefined)
    .sort((a, b) => a - b)

function namesIn(store: Store): string[] {
  try {
    return readdirSync(store.folder)
  } catch (err) {
    if (hasCode(err, 'ENOENT')) return []
    throw err
  }
}

/**
 * Runs `fn` under the network's lock.
 * @throws {FlatnetError} ERR_FLATNET_TRY_AGAIN: the lock was not free in time; ERR_FLATNET_STORE: the disk failed
 */
export function locked<T>(store: Store, fn: () => T): T {
  const { lockTimeoutMs: timeoutMs, lockUntil: until } = store
  const options = {
    ...(timeoutMs !== undefined && { timeoutMs }),
    ...(until !== undefined && { until }),
    folderMode: PRIVATE_FOLDER,
  }
  const run = (): T => {
    closeToOthers(store.folder)
    return fn()
  }
  return guarded(store, () => withFlock(`${store.folder}/lock`, options, run as () => never))
}

const WAY_OUT: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the device; free some, the leases on disk are whole',
  EDQUOT: 'disk quota exceeded; free some space, the leases on disk are whole',
  EROFS: 'the file system is read-only; remount it writable or set dataDir to a writable folder',
  EACCES: 'permission denied; Flatnet runs as root, so look at security modules and at the owner of dataDir',
  EPERM: 'not permitted; look at immutable flags (lsattr) and security modules; dataDir needs symbolic links',
  EIO: 'the device has an I/O error; see the kernel log',
  ENOTDIR: 'a part of the path is not a folder; move that file away',
}

/** Errors of node:fs become ERR_FLATNET_STORE with the path, the errno and the way out; others pass. */
export function guarded<T>(store: Store, fn: () => T): T {
  try {
    return fn()
  } catch (err) {
    if (!(err instanceof Error) || err instanceof FlatnetError || !('syscall' in err)) throw err
    const code = errnoOf(err)
    const path = 'path' in err && typeof err.path === 'string' ? err.path : store.folder
    throw new FlatnetError(
      'ERR_FLATNET_STORE',
      `the lease store ${store.folder} cannot be used: ${WAY_OUT[code] ?? 'see the details'} (${code})`,
      { cause: err, facts: { path, errno: code } },
    )
  }
}

/** `ENOSPC`: node:fs has it as `code`, netlink-ts/libc as `errnoName`. */
function errnoOf(err: Error): string {
  if ('errnoName' in err && typeof err.errnoName === 'string') return err.errnoName
  return 'code' in err && typeof err.code === 'string' ? err.code : 'unknown error'
}
