/** What `flatnet install` made on this host, kept beside flatnet.yaml: uninstall removes that alone. */

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { isObject } from '../../core/json.ts'
import type { Host } from '../host/host.ts'
import { CliError } from '../ui/output.ts'

export type MadeKind = 'executable' | 'plugin' | 'conflist' | 'network' | 'config' | 'unit' | 'podman'

export interface Made {
  readonly path: string
  readonly kind: MadeKind
  /** Of the text as it was written; absent for executables. Another one on disk means: changed by hand. */
  readonly sha256?: string
  /** Of a network's file, as it was written: `podman network prune` deletes those that no container uses. */
  readonly text?: string
}

export interface Manifest {
  readonly version: string
  readonly made: readonly Made[]
}

export const manifestPath = (config: string): string => join(dirname(config), 'install.json')

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

const isMade = (m: unknown): m is Made =>
  isObject(m) && typeof m['path'] === 'string' && typeof m['kind'] === 'string'

/** undefined when nothing was installed. @throws {CliError} the record cannot be read */
export function readManifest(host: Host, config: string): Manifest | undefined {
  const path = manifestPath(config)
  const text = host.read(path)
  if (text === undefined) return undefined
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new CliError(`${path} is not JSON`, `delete it and run flatnet install again`, { cause })
  }
  const made = isObject(value) && Array.isArray(value['made']) ? value['made'].filter(isMade) : []
  return { version: isObject(value) ? String(value['version'] ?? '') : '', made }
}

/** Where install put the plugin; undefined when it did not, or its record cannot be read. */
export function installedPlugin(host: Host, config: string): string | undefined {
  try {
    return readManifest(host, config)?.made.find(({ kind }) => kind === 'plugin')?.path
  } catch {
    return undefined
  }
}

/** What the file at `path` is, compared with what install wrote there. */
export function stateOf(
  host: Host,
  manifest: Manifest | undefined,
  path: string,
): 'absent' | 'ours' | 'changed' {
  const text = host.read(path)
  if (text === undefined) return 'absent'
  return manifest?.made.some((m) => m.path === path && m.sha256 === sha256(text)) ? 'ours' : 'changed'
}

/** What makes a network: a conflist, or the network file of Podman 5. */
export const isNetworkKind = (kind: MadeKind): boolean => kind === 'conflist' || kind === 'network'

/** Networks' files that were installed and are gone, as after `podman network prune`. */
export function removedNetworks(host: Host, config: string): string[] {
  let manifest: Manifest | undefined
  try {
    manifest = readManifest(host, config)
  } catch {
    return []
  }
  return (manifest?.made ?? []).flatMap(({ kind, path }) =>
    isNetworkKind(kind) && !existsSync(path) ? [path] : [],
  )
}
