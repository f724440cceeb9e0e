/**
 * Messages on disk, each in a file that is written beside and renamed, with fsync: whole or absent after power loss.
 *
 * `<dataDir>/gateway/messages/<from>-<seq>.json` are messages between hosts, `own/<id>.json` requests of this host's
 * clients with their answers.
 */

import { mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isObject, type JsonObject } from '../../core/json.ts'
import type { Log } from '../../core/log.ts'
import { replaceFile } from '../../kernel/durable.ts'
import { PRIVATE_FILE, PRIVATE_FOLDER } from '../../kernel/private.ts'
import { keyOf, LIFE_MS, readEnvelope } from './envelope.ts'
import { isMessageId } from './http-message.ts'
import type { OwnDisk, OwnRequest } from './own-requests.ts'
import { EXPIRED, type Kept, type MessageDisk } from './store.ts'

const FORMAT = 1
const FILE_RE = /^([0-9a-f-]{1,40})\.json$/

const folderIn = (dataDir: string): string => join(dataDir, 'gateway', 'messages')

export function diskMessages(dataDir: string, log: Pick<Log, 'warn'>): MessageDisk {
  const folder = folderIn(dataDir)
  return {
    load: () =>
      load(
        folder,
        log,
        (value, key) => {
          const kept = keptIn(value)
          return kept !== undefined && keyOfKept(kept) === key ? kept : undefined
        },
        (key, path) => numberOf(key, path),
      ),
    save: (key, kept, isDurable) => save(folder, key, kept, isDurable),
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
    save: (request) => save(folder, request.id, request, true),
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
  readName: (key: string, path: string) => T | undefined = () => undefined,
): T[] {
  return namesIn(folder, log).flatMap((name) => {
    const [, key] = FILE_RE.exec(name) ?? []
    if (key === undefined) return []
    const path = join(folder, name)
    const value = jsonIn(path)
    const found = value === undefined ? undefined : read(value, key)
    if (found !== undefined) return [found]
    log.warn({ endpoint: path }, 'message could not be read, and is passed over')
    const named = readName(key, path)
    return named === undefined ? [] : [named]
  })
}

function save(folder: string, key: string, value: Kept | OwnRequest, isDurable: boolean): void {
  const text = `${JSON.stringify({ format: FORMAT, ...value })}\n`
  replaceFile(join(folder, `${key}.json`), text, { fsync: isDurable, mode: PRIVATE_FILE })
}

const keyOfKept = (kept: Kept): string => {
  if ('expired' in kept) return keyOf({ from: kept.expired.from, seq: EXPIRED })
  return keyOf('done' in kept ? kept.done : kept.envelope)
}

/** Whatever a file held, its name says which message was here: that one is not taken again. */
function numberOf(key: string, path: string): Kept | undefined {
  const [from = Number.NaN, seq = Number.NaN, ...more] = key.split('-').map(Number)
  if (!(Number.isSafeInteger(from) && Number.isSafeInteger(seq) && seq > 0) || more.length > 0)
    return undefined
  const written = statSync(path, { throwIfNoEntry: false })?.mtimeMs
  return written === undefined ? undefined : { done: { from, seq, expires: Math.ceil(written) + LIFE_MS } }
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

function keptIn({ done, envelope: given, expired, hops }: JsonObject): Kept | undefined {
  const envelope = readEnvelope(given)
  if (envelope !== undefined && typeof hops === 'number') return { hops, envelope }
  if (isObject(expired)) {
    const { at, from, seq } = expired
    const isWhole = typeof from === 'number' && typeof seq === 'number' && typeof at === 'number'
    return isWhole ? { expired: { from, seq, at } } : undefined
  }
  if (!isObject(done)) return undefined
  const { from, seq, expires } = done
  return typeof from === 'number' && typeof seq === 'number' && typeof expires === 'number'
    ? { done: { from, seq, expires } }
    : undefined
}
