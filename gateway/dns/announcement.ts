/** What the plugin reads about names: which domain to search, and where nothing answers. */

import { mkdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { NAMES_FILE, type NamesAnnouncement } from '../../core/names-file.ts'
import { replaceFile } from '../../kernel/durable.ts'
import { PRIVATE_FILE, PRIVATE_FOLDER } from '../../kernel/private.ts'

/** It outlives the gateway: the plugin names the server to a container that starts meanwhile, too. */
export function announceNames(dataDir: string, announcement: NamesAnnouncement | undefined): void {
  const path = `${dataDir}/${NAMES_FILE}`
  if (announcement === undefined) {
    rmSync(path, { force: true })
    return
  }
  mkdirSync(dirname(path), { recursive: true, mode: PRIVATE_FOLDER })
  replaceFile(path, `${JSON.stringify(announcement)}\n`, { fsync: false, mode: PRIVATE_FILE })
}
