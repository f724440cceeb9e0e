/** The file that install puts a network's conflist into, and the names under which it may lie there already. */

import { basename, dirname, join } from 'node:path'
import { isObject, type JsonObject } from '../../core/json.ts'
import type { Host } from '../host/host.ts'
import { type Manifest, sha256, stateOf } from './manifest.ts'

interface Place {
  readonly cniConfDir: string
  readonly network: string
}

/**
 * containerd and CRI-O take the first file of the directory by its name: before Debian's `87-podman-bridge.conflist`,
 * behind the `05-` by which an administrator puts another network first. Podman goes by the name inside.
 */
export const conflistPath = ({ cniConfDir, network }: Place): string =>
  join(cniConfDir, `10-${network}.conflist`)

/** `flatnet.conflist`, as install called it until 0.1.0, or with a number that a person gave it. */
export function isNameOf(path: string, { cniConfDir, network }: Place): boolean {
  const [, name] = /^(?:\d+-)?(.+)\.conflist$/.exec(basename(path)) ?? []
  return dirname(path) === cniConfDir && (name === network || basename(path) === `${network}.conflist`)
}

/** undefined for text that is no JSON object, which is a changed file like any other: --force replaces it. */
export function objectIn(text: string | undefined): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text ?? '')
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}

export interface PresentConflist {
  /** Where it lies now; the place of a new one when there is none. */
  readonly path: string
  readonly text: string | undefined
  /** Not as install wrote it. */
  readonly isChanged: boolean
  /** Files that go once the conflist is in its place: it under an older name, and what a killed install left. */
  readonly replaced: readonly string[]
}

export function presentConflist(host: Host, manifest: Manifest | undefined, place: Place): PresentConflist {
  const own = conflistPath(place)
  const older = host
    .list(place.cniConfDir)
    .map((name) => join(place.cniConfDir, name))
    .filter((path) => path !== own && isNameOf(path, place) && isNetwork(host.read(path), place.network))
  const path = host.read(own) === undefined ? (older[0] ?? own) : own
  const text = host.read(path)
  const isOurs = (file: string): boolean => stateOf(host, manifest, file) === 'ours'
  return {
    path,
    text,
    isChanged: text !== undefined && !isOurs(path) && !wasWritten(manifest, place, text),
    replaced: older.filter((file) => file === path || host.read(file) === text || isOurs(file)),
  }
}

/** A file that cannot be read as JSON is taken for the network of its name. */
function isNetwork(text: string | undefined, network: string): boolean {
  const name = objectIn(text)?.['name']
  return text !== undefined && (name === undefined || name === network)
}

/** Under any of its names: an install that was killed behind the move has not recorded the new one. */
const wasWritten = (manifest: Manifest | undefined, place: Place, text: string): boolean =>
  manifest?.made.some((m) => isNameOf(m.path, place) && m.sha256 === sha256(text)) ?? false
