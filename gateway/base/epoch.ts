/**
 * The epoch of this run: higher than that of every run before, on disk before it is used
 * (docs/architecture/registry.md#epochs).
 */

import { mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { FlatnetError, hasCode } from '../../core/errors.ts'
import { replaceFile } from '../../kernel/durable.ts'
import { closeToOthers, PRIVATE_FILE, PRIVATE_FOLDER } from '../../kernel/private.ts'

/**
 * Runs once, before anything is served, hence synchronous. The wall clock only helps when the file is lost; a clock
 * that was set back does not matter as long as the file is there.
 */
export function nextEpoch(dataDir: string, clock: Clock): number {
  const epoch = Math.max(persisted(pathIn(dataDir)), Math.floor(clock.now() / 1000)) + 1
  saveEpoch(dataDir, epoch)
  return epoch
}

/**
 * Synchronously, before the epoch is used: at start, or when a peer has proven that an earlier run of this host used a
 * higher one than the disk knew (an old snapshot, a lost disk), which is so rare that the wait does not matter.
 */
export function saveEpoch(dataDir: string, epoch: number): void {
  const path = pathIn(dataDir)
  try {
    mkdirSync(dirname(path), { recursive: true, mode: PRIVATE_FOLDER })
    closeToOthers(dirname(path))
    replaceFile(path, `${JSON.stringify({ epoch })}\n`, { fsync: true, mode: PRIVATE_FILE })
  } catch (cause) {
    throw new FlatnetError('ERR_FLATNET_IO', `cannot write ${path}: run as root, make room, or set dataDir`, {
      cause,
    })
  }
}

const pathIn = (dataDir: string): string => join(dataDir, 'gateway', 'epoch.json')

/** 0 when there is none or it is torn: the clock then has to do. */
function persisted(path: string): number {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (err) {
    if (hasCode(err, 'ENOENT')) return 0
    throw err
  }
  try {
    const value: unknown = JSON.parse(text)
    const epoch = typeof value === 'object' && value !== null && 'epoch' in value ? value.epoch : 0
    return typeof epoch === 'number' && Number.isSafeInteger(epoch) && epoch >= 0 ? epoch : 0
  } catch {
    return 0
  }
}
