/**
 * The mapping that this host holds, in `<dataDir>/gateway/port-mapping.json`: the next start takes it over, or deletes
 * it when mappings were switched off, also after a kill.
 */

import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { dirname, join } from 'node:path'
import { PORT_MAPPING_PROTOCOLS, type PortMappingProtocol } from '../../../../conf/port-mapping.ts'
import { hasCode } from '../../../../core/errors.ts'
import { isObject } from '../../../../core/json.ts'
import type { Log } from '../../../../core/log.ts'
import { replaceFile } from '../../../../kernel/durable.ts'
import { PRIVATE_FILE, PRIVATE_FOLDER } from '../../../../kernel/private.ts'
import type { RouterPlace } from './types.ts'

export interface SavedMapping extends RouterPlace {
  readonly protocol: PortMappingProtocol
  readonly port: number
  readonly externalPort: number
  readonly nonce: string
}

export interface MappingRecord {
  load(): SavedMapping | undefined
  save(saved: SavedMapping): void
  clear(): void
}

/** Without a place to write the mapping is made all the same, and expires by itself. */
export function diskRecord(dataDir: string, log: Pick<Log, 'warn'>): MappingRecord {
  const path = join(dataDir, 'gateway', 'port-mapping.json')
  const tried = (task: () => void): void => {
    try {
      task()
    } catch (err) {
      log.warn({ endpoint: path, err }, 'record of the port mapping could not be written')
    }
  }
  return {
    load: () => read(path, log),
    // No fsync: what power loss takes away is a nonce, and a mapping that expires within the hour.
    save: (saved) =>
      tried(() => {
        mkdirSync(dirname(path), { recursive: true, mode: PRIVATE_FOLDER })
        replaceFile(path, `${JSON.stringify(saved)}\n`, { fsync: false, mode: PRIVATE_FILE })
      }),
    clear: () => tried(() => rmSync(path, { force: true })),
  }
}

function read(path: string, log: Pick<Log, 'warn'>): SavedMapping | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return isSaved(value) ? value : undefined
  } catch (err) {
    if (!hasCode(err, 'ENOENT'))
      log.warn({ endpoint: path, err }, 'record of the port mapping could not be read')
    return undefined
  }
}

const isPort = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536

function isSaved(value: unknown): value is SavedMapping {
  if (!isObject(value)) return false
  const { externalPort, gateway, nonce, ownAddress, port, protocol } = value
  return (
    [externalPort, port].every(isPort) &&
    [gateway, ownAddress].every((ip) => typeof ip === 'string' && isIPv4(ip)) &&
    typeof nonce === 'string' &&
    /^[0-9a-f]{24}$/.test(nonce) &&
    PORT_MAPPING_PROTOCOLS.some((known) => known === protocol)
  )
}
