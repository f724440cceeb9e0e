/** Folders that root alone may enter: what the host keeps of its containers is no other user's business. */

import { chmodSync, readdirSync, statSync } from 'node:fs'
import { hasCode } from '../core/errors.ts'

export const PRIVATE_FOLDER = 0o700
export const PRIVATE_FILE = 0o600
const OTHERS = 0o077

/**
 * Closes what an older version or a person left open, itself last: a run that is killed in between is repeated by the
 * next. One stat when it is closed already, so each writer can call it. A folder that is absent stays so.
 *
 * A file system without modes, or one that is read-only, stops no container: it is left as it is.
 */
export function closeToOthers(folder: string): void {
  const found = statSync(folder, { throwIfNoEntry: false })
  if (found === undefined || (found.mode & OTHERS) === 0) return
  try {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = `${folder}/${entry.name}`
      if (entry.isDirectory()) closeToOthers(path)
      else if (entry.isFile()) chmodSync(path, PRIVATE_FILE)
    }
    chmodSync(folder, PRIVATE_FOLDER)
  } catch (err) {
    // ENOENT: a writer has removed its temp file meanwhile; the next run closes the folder.
    if (!hasCode(err, 'EPERM', 'EACCES', 'EROFS', 'ENOTSUP', 'ENOENT')) throw err
  }
}
