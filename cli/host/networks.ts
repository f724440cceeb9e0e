/** The Flatnet networks of this host, as the conflists in the CNI configuration directory say. */

import { join } from 'node:path'
import { type NetConf, readLeniently } from '../../conf/netconf.ts'
import { formatIpv4 } from '../../core/addr.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { type Slice, sliceOf } from '../../ipam/choose/slice.ts'
import type { Host } from './host.ts'

export interface FlatnetNetwork {
  /** Path of the conflist. */
  readonly file: string
  readonly name: string
  readonly cniVersion: string
  /** The entry of `plugins` that is ours, as written. */
  readonly plugin: JsonObject
  readonly conf: NetConf
  /** What this host owns; undefined when `problems` say why there is none. */
  readonly slice: Slice | undefined
  /** As the plugin would report them. */
  readonly problems: readonly string[]
}

/** A conflist that cannot be used, and why. */
export interface BrokenConflist {
  readonly file: string
  readonly reason: string
}

export interface Networks {
  readonly networks: readonly FlatnetNetwork[]
  readonly broken: readonly BrokenConflist[]
}

const isOurs = (plugin: unknown): plugin is JsonObject =>
  isObject(plugin) &&
  (plugin['type'] === 'flatnet' || (isObject(plugin['ipam']) && plugin['ipam']['type'] === 'flatnet'))

function readConflist(file: string, text: string): FlatnetNetwork[] {
  const list: unknown = JSON.parse(text)
  if (!isObject(list)) throw new Error('not an object')
  const name = list['name']
  if (typeof name !== 'string' || name === '') throw new Error('it has no name')
  if (!Array.isArray(list['plugins']) || list['plugins'].length === 0) throw new Error('it has no plugins')
  const cniVersion = String(list['cniVersion'] ?? '')
  return list['plugins'].filter(isOurs).map((plugin) => {
    const { conf, problems } = readLeniently({ ...plugin, name, cniVersion }, cniVersion)
    const sliced = sliceOf(conf.ipam, problems)
    return {
      file,
      name,
      cniVersion,
      plugin,
      conf,
      slice: sliced.ok ? sliced.slice : undefined,
      problems: sliced.ok ? problems : [...problems, ...sliced.problems],
    }
  })
}

/**
 * Podman reads `*.conflist` only. Files that mention flatnet neither in name nor text are not looked at, broken or not.
 */
export function findNetworks(host: Host, cniConfDir: string): Networks {
  const networks: FlatnetNetwork[] = []
  const broken: BrokenConflist[] = []
  for (const entry of host.list(cniConfDir).filter((name) => name.endsWith('.conflist'))) {
    const file = join(cniConfDir, entry)
    const text = host.read(file)
    if (text === undefined || !`${entry}${text}`.includes('flatnet')) continue
    try {
      networks.push(...readConflist(file, text))
    } catch (err) {
      broken.push({ file, reason: err instanceof Error ? err.message : String(err) })
    }
  }
  return { networks, broken }
}

/** First address of the slice with its prefix length, e.g. `10.100.1.1/24`. */
export const bridgeCidr = (slice: Slice): string => `${formatIpv4(slice.bridge)}/${slice.prefix.prefixLen}`
