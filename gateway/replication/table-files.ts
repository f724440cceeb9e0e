/**
 * Other hosts' tables on disk, `<dataDir>/gateway/peers/<hostId>.json`, for a cold start.
 *
 * One file each, so that a change writes 80 KB and not 20 MB.
 */

import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode } from '../../core/errors.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { PRIVATE_FILE, PRIVATE_FOLDER } from '../../kernel/private.ts'
import type { Quarantine, StoredTable, TableStore } from './deps.ts'
import type { Known } from './fence.ts'
import { claimIn, isSigned, type Signed } from './messages.ts'
import type { WireRecord } from './record.ts'

/** Of one file; a table in arrival is bounded by the same. */
const MAX_BYTES = 64 * 1024 * 1024
const FILE_RE = /^([1-9]\d{0,4})\.json$/
const FORMAT = 1

const folderIn = (dataDir: string): string => join(dataDir, 'gateway', 'peers')

/**
 * Written beside and renamed, with fsync: after power loss a file is whole, old or new. An old one costs an exchange,
 * as its version shows how old it is.
 */
export function diskTables(dataDir: string): TableStore {
  const folder = folderIn(dataDir)
  const pathOf = (hostId: number): string => join(folder, `${hostId}.json`)
  return {
    async save(table) {
      await mkdir(folder, { recursive: true, mode: PRIVATE_FOLDER })
      const temp = join(folder, `.${table.hostId}.tmp`)
      const file = await open(temp, 'w', PRIVATE_FILE)
      try {
        await file.writeFile(`${JSON.stringify({ format: FORMAT, ...table })}\n`)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temp, pathOf(table.hostId))
    },
    async remove(hostId) {
      await rm(pathOf(hostId), { force: true })
    },
  }
}

/**
 * Reads what it can. An unreadable file is passed over, as the table comes again from its owner.
 * @param bad called for each such file
 */
export async function loadTables(
  dataDir: string,
  bad: (path: string, err: unknown) => void,
): Promise<StoredTable[]> {
  const folder = folderIn(dataDir)
  const tables: StoredTable[] = []
  for (const name of await namesIn(folder)) {
    if (!FILE_RE.test(name)) continue
    const path = join(folder, name)
    try {
      const text = await readFile(path, 'utf8')
      const table = text.length > MAX_BYTES ? undefined : tableIn(JSON.parse(text))
      if (table === undefined) bad(path, new Error('it is not a table of this version of Flatnet'))
      else tables.push(table)
    } catch (err) {
      bad(path, err)
    }
  }
  return tables
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (err) {
    if (hasCode(err, 'ENOENT')) return []
    throw err
  }
}

const isAmount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= 256

/** Records are read when they are restored. */
export function tableIn(value: unknown): StoredTable | undefined {
  if (!isObject(value) || value['format'] !== FORMAT) return undefined
  const { hostId, keyId, ageMs, records } = value
  const known = knownIn(value['known'])
  const signed = value['signed'] === undefined ? undefined : signedIn(value['signed'])
  if (!isAmount(hostId) || !isText(keyId) || !isAmount(ageMs) || known === undefined) return undefined
  if (!Array.isArray(records) || (value['signed'] !== undefined && signed === undefined)) return undefined
  const quarantine = quarantineIn(value['quarantine'])
  return { hostId, keyId, known, signed, ageMs, quarantine, records: records as WireRecord[] }
}

function knownIn(value: unknown): Known | undefined {
  if (!isObject(value)) return undefined
  const { epoch, nonce, superseded } = value
  if (!isAmount(epoch) || !isText(nonce) || !Array.isArray(superseded) || !superseded.every(isText)) {
    return undefined
  }
  return { epoch, nonce, superseded }
}

const signedIn = (value: unknown): Signed | undefined =>
  isObject(value) && isSigned(value) ? claimIn(value as JsonObject & Signed) : undefined

function quarantineIn(value: unknown): Quarantine | undefined {
  if (!isObject(value)) return undefined
  const { reason, since } = value
  return isText(reason) && isText(since) ? { reason, since } : undefined
}
