/**
 * Messages on disk, each in a file that is written beside and renamed, with fsync: whole or absent after power loss.
 *
 * `<dataDir>/gateway/messages/<from>-<seq>.json` are messages between hosts, `own/<id>.json` requests of this host's
 * clients with their answers.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { isObject, type JsonObject } from '../../core/json.ts'
import type { Log } from '../../core/log.ts'
import { replaceFile } from '../../kernel/durable.ts'
import { PRIVATE_FILE, PRIVATE_FOLDER } from '../../kernel/private.ts'
import { isEnvelope, keyOf } from './envelope.ts'
import { isMessageId } from './http-message.ts'
import type { OwnDisk, OwnRequest } from './own-requests.ts'
import type { Kept, MessageDisk } from './store.ts'

const FORMAT = 1
const FILE_RE = /^([0-9a-f-]{1,40})\.json$/

const folderIn = (dataDir: string): string => join(dataDir, 'gateway', 'messages')

export function diskMessages(dataDir: string, log: Pick<Log, 'warn'>): MessageDisk {
  const folder = folderIn(dataDir)
  return {
    load: () =>
      load(folder, log, (value, key) => {
        const kept = keptIn(value)
        return kept !== undefined && keyOf('done' in kept ? kept.done : kept.envelope) === key
          ? kept
          : undefined
      }),
    save: (key, kept) => save(folder, key, kept),
    remove: (key) => rmSync(join(folder, `${key}.json`), { force: true }),
  }
}

export function diskOwnRequests(dataDir: string, log: Pick<Log, 'warn'>): OwnDisk {
  const folder = join(folderIn(dataDir), 'own')
  return {
    load: () =>
      load(folder, log, (value, key) => {
        const { at, expires, id, seq, to } = value
        const isWhole = [at, expires, seq, to].every((n) => typeof n === 'number')
        return isWhole && id === key && isMessageId(key) ? (value as unknown as OwnRequest) : undefined
      }),
    save: (request) => save(folder, request.id, request),
    remove: (id) => rmSync(join(folder, `${id}.json`), { force: true }),
  }
}

/** A gateway starts without messages where there is no room for them. */
function namesIn(folder: string, log: Pick<Log, 'warn'>): string[] {
  try {
    mkdirSync(folder, { recursive: true, mode: PRIVATE_FOLDER })
    return readdirSync(folder)
  } catch (err) {
    log.warn({ err }, 'messages could not be read')
    return []
  }
}

function load<T>(
  folder: string,
  log: Pick<Log, 'warn'>,
  read: (value: JsonObject, key: string) => T | undefined,
): T[] {
  return namesIn(folder, log).flatMap((name) => {
    const [, key] = FILE_RE.exec(name) ?? []
    if (key === undefined) return []
    const value = jsonIn(join(folder, name))
    const found = value === undefined ? undefined : read(value, key)
    if (found !== undefined) return [found]
    log.warn({ endpoint: join(folder, name) }, 'message could not be read, and is passed over')
    return []
  })
}

function save(folder: string, key: string, value: Kept | OwnRequest): void {
  const text = `${JSON.stringify({ format: FORMAT, ...value })}\n`
  replaceFile(join(folder, `${key}.json`), text, { fsync: true, mode: PRIVATE_FILE })
}

/** @returns undefined: a torn file, or one of another version */
function jsonIn(path: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return isObject(value) && value['format'] === FORMAT ? value : undefined
  } catch {
    return undefined
  }
}

function keptIn({ done, envelope, hops }: JsonObject): Kept | undefined {
  if (isEnvelope(envelope) && typeof hops === 'number') return { hops, envelope }
  if (!isObject(done)) return undefined
  const { from, seq, expires } = done
  return typeof from === 'number' && typeof seq === 'number' && typeof expires === 'number'
    ? { done: { from, seq, expires } }
    : undefined
}
