/** The Flatnet networks of this host, as conflists and Podman 5's network files say. */

import { join } from 'node:path'
import { type NetConf, readLeniently } from '../../conf/netconf.ts'
import { entryOf } from '../../conf/network-options.ts'
import { formatIpv4 } from '../../core/addr.ts'
import { isObject, type JsonObject } from '../../core/json.ts'
import { type Slice, sliceOf } from '../../ipam/choose/slice.ts'
import type { Host } from './host.ts'
import type { Dialect } from './podman-dialect.ts'

export interface FlatnetNetwork {
  /** Path of the conflist, or of the network file. */
  readonly file: string
  readonly dialect: Dialect
  readonly name: string
  /** '' in a network file. */
  readonly cniVersion: string
  /** The entry of `plugins` that is ours, as written; of a network file, what its options say. */
  readonly plugin: JsonObject
  readonly conf: NetConf
  /** What this host owns; undefined when `problems` say why there is none. */
  readonly slice: Slice | undefined
  /** As the plugin would report them. */
  readonly problems: readonly string[]
}

/** A file that cannot be used, and why. */
export interface BrokenFile {
  readonly file: string
  readonly dialect: Dialect
  readonly reason: string
}

export interface Networks {
  readonly networks: readonly FlatnetNetwork[]
  readonly broken: readonly BrokenFile[]
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
  return list['plugins']
    .filter(isOurs)
    .map((plugin) => read({ file, dialect: 'cni', name, cniVersion, plugin }))
}

function readNetworkFile(file: string, text: string): FlatnetNetwork[] {
  const network: unknown = JSON.parse(text)
  if (!isObject(network)) throw new Error('not an object')
  if (network['driver'] === undefined) throw new Error('it has no driver: "driver": "flatnet"')
  if (network['driver'] !== 'flatnet') return []
  const name = network['name']
  if (typeof name !== 'string' || name === '') throw new Error('it has no name')
  return [read({ file, dialect: 'netavark', name, cniVersion: '', plugin: entryOf(network) })]
}

function read(
  written: Pick<FlatnetNetwork, 'file' | 'dialect' | 'name' | 'cniVersion' | 'plugin'>,
): FlatnetNetwork {
  const { name, cniVersion, plugin } = written
  const { conf, problems } = readLeniently({ ...plugin, name, cniVersion }, cniVersion)
  const sliced = sliceOf(conf.ipam, problems)
  return {
    ...written,
    conf,
    slice: sliced.ok ? sliced.slice : undefined,
    problems: sliced.ok ? problems : [...problems, ...sliced.problems],
  }
}

/** Which names each dialect reads, and how. */
const READERS = [
  { dialect: 'cni', ending: '.conflist', readFile: readConflist },
  { dialect: 'netavark', ending: '.json', readFile: readNetworkFile },
] as const

/**
 * Podman reads these names only. Files that mention flatnet neither in name nor text are not looked at, broken or not.
 */
export function findNetworks(host: Host, cniConfDir: string, networkFileDir: string): Networks {
  const networks: FlatnetNetwork[] = []
  const broken: BrokenFile[] = []
  for (const { dialect, ending, readFile } of READERS) {
    const dir = dialect === 'cni' ? cniConfDir : networkFileDir
    for (const entry of host.list(dir).filter((name) => name.endsWith(ending))) {
      const file = join(dir, entry)
      const text = host.read(file)
      if (text === undefined || !`${entry}${text}`.includes('flatnet')) continue
      try {
        networks.push(...readFile(file, text))
      } catch (err) {
        broken.push({ file, dialect, reason: err instanceof Error ? err.message : String(err) })
      }
    }
  }
  return { networks, broken }
}

/** First address of the slice with its prefix length, e.g. `10.100.1.1/24`. */
export const bridgeCidr = (slice: Slice): string => `${formatIpv4(slice.bridge)}/${slice.prefix.prefixLen}`
