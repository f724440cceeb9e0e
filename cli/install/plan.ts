/**
 * What install is going to do: the texts to write and every reason not to.
 *
 * Reads the machine, changes nothing.
 */

import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { isCollection, parseDocument } from 'yaml'
import { parseDaemonConf } from '../../conf/daemon.ts'
import { readLeniently } from '../../conf/netconf.ts'
import { daemonTemplate, p2pUnitTemplate, unitTemplate } from '../../conf/templates.ts'
import { formatPrefix } from '../../core/addr.ts'
import { NAME_RE } from '../../core/attachment.ts'
import { overlapping } from '../../ipam/choose/overlaps.ts'
import { sliceOf } from '../../ipam/choose/slice.ts'
import type { Host } from '../host/host.ts'
import { findNetworks } from '../host/networks.ts'
import { type Conflist, desiredConflist, differences, type NetworkOptions } from './conflist.ts'
import { conflistPath, isNameOf, objectIn, presentConflist } from './conflist-place.ts'
import { type Manifest, stateOf } from './manifest.ts'

export interface InstallOptions extends NetworkOptions {
  readonly config: string
  readonly cniConfDir: string
  readonly cniBinDir: string
  readonly binDir: string
  readonly systemdDir: string
  readonly listen?: string | undefined
  readonly peersListen?: string | undefined
  readonly advertise?: readonly string[] | undefined
  readonly hasService: boolean
  readonly isForced: boolean
}

/** A file as it should be; `keep`: it stays as it is, for the reason in `note`. */
export interface FilePlan {
  readonly path: string
  /** Where it lies now, when that is elsewhere. */
  readonly from?: string
  /** What goes once it is written. */
  readonly replaced?: readonly string[]
  /** The text stays as it is. */
  readonly isOnlyMoved?: boolean
  readonly text: string
  readonly action: 'write' | 'keep'
  /** The one in place was changed by hand, or is not ours. */
  readonly needsBackup: boolean
  readonly note: string
}

export interface InstallPlan {
  readonly problems: readonly string[]
  readonly conflist: FilePlan
  readonly config: FilePlan
  /** The gateway's and that of the direct paths; none without a service manager. */
  readonly units: readonly FilePlan[]
  readonly slice: string
}

/** The gateway's is the first. */
export const UNITS = ['flatnet-gateway.service', 'flatnet-p2p.service'] as const
const COMMANDS = { 'flatnet-gateway.service': 'gateway', 'flatnet-p2p.service': 'p2p' } as const
const TEXTS = { 'flatnet-gateway.service': unitTemplate, 'flatnet-p2p.service': p2pUnitTemplate } as const

/** For a conflist that is gone or broken: this host's slice must not become another's, least of all host 1's. */
function remembered(host: Host, o: InstallOptions): InstallOptions {
  const text = host.read(o.config)
  if (text === undefined || ownerOf(host, o, text) !== undefined) return o
  try {
    const { hostId, supernet, hostPrefix, dataDir, api } = parseDaemonConf(text)
    const known = { hostId, supernet: formatPrefix(supernet), hostPrefix, dataDir, socket: api.socket }
    const asked = Object.entries(o).filter(([, value]) => value !== undefined)
    return { ...o, ...known, ...Object.fromEntries(asked) }
  } catch {
    // What is wrong with it is told when it is planned.
    return o
  }
}

function planConflist(host: Host, manifest: Manifest | undefined, o: InstallOptions, problems: string[]) {
  const path = conflistPath(o)
  const { path: from, text: presentText, isChanged, replaced } = presentConflist(host, manifest, o)
  const present = objectIn(presentText)
  if (typeof present?.['name'] === 'string' && present['name'] !== o.network)
    problems.push(`${from} has network ${present['name']}: rename the file, or choose --network`)
  const written = objectIn(manifest?.made.find((m) => isNameOf(m.path, o))?.text)
  const desired =
    present === undefined ? desiredConflist(written, remembered(host, o)) : desiredConflist(present, o)
  const changes =
    presentText === undefined
      ? []
      : present === undefined
        ? ['it is no JSON object']
        : differences(present, desired)
  if (changes.length > 0 && isChanged && !o.isForced) {
    problems.push(
      `${from} was not written by install, or changed since (${changes.join('; ')}): ` +
        '--force changes it and keeps a backup',
    )
  }
  const isEqual = presentText !== undefined && changes.length === 0
  const moved = from === path ? [] : [`moved from ${from}`]
  const file: FilePlan = {
    path,
    from,
    replaced,
    isOnlyMoved: isEqual && from !== path,
    text: isEqual ? presentText : `${JSON.stringify(desired, undefined, 2)}\n`,
    action: isEqual && from === path ? 'keep' : 'write',
    needsBackup: isChanged && !isEqual,
    note: [...moved, ...changes].join('; ') || (isEqual ? 'is so already' : ''),
  }
  return { desired, file }
}

/** Keys that must be the same on both sides, and those the options name; everything else and all comments stay. */
function planConfig(
  host: Host,
  manifest: Manifest | undefined,
  o: InstallOptions,
  conflist: Conflist,
): FilePlan {
  const present = host.read(o.config)
  const owner = present === undefined ? undefined : ownerOf(host, o, present)
  if (present !== undefined && owner !== undefined) {
    return {
      path: o.config,
      text: present,
      action: 'keep',
      needsBackup: false,
      note: `is for network ${owner}`,
    }
  }
  const document = parseDocument(present ?? daemonTemplate())
  // Its problems are told as those of any other text.
  if (present !== undefined && document.errors.length > 0) {
    return { path: o.config, text: present, action: 'keep', needsBackup: false, note: 'is no YAML' }
  }
  const entry = conflist.plugins.find((p) => p['type'] === 'flatnet') ?? {}
  const { conf } = readLeniently({ ...entry, name: o.network }, conflist.cniVersion)
  const values: (readonly [readonly string[], unknown])[] = [
    [['hostId'], conf.ipam.hostId],
    [['supernet'], formatPrefix(conf.ipam.supernet)],
    [['hostPrefix'], conf.ipam.hostPrefix],
    [['dataDir'], conf.dataDir],
    [['api', 'socket'], conf.registrar.socketPath],
    [['ingress', 'listen'], o.listen],
    [['peers', 'listen'], o.peersListen],
    [['peers', 'advertise'], o.advertise],
  ]
  const changed: string[] = []
  // A key that is absent has its default, as the reader of the file knows it.
  const defaults = parseDocument(daemonTemplate())
  for (const [key, value] of values) {
    const now = plain(document.getIn(key) ?? defaults.getIn(key))
    if (value === undefined || isDeepStrictEqual(now, value)) continue
    document.setIn(key, value)
    changed.push(`${key.join('.')}: ${now} -> ${value}`)
  }
  const isEqual = present !== undefined && changed.length === 0
  return {
    path: o.config,
    text: isEqual ? present : String(document),
    action: isEqual ? 'keep' : 'write',
    needsBackup: stateOf(host, manifest, o.config) === 'changed' && !isEqual,
    note: isEqual ? 'is so already' : changed.join('; '),
  }
}

const plain = (node: unknown): unknown => (isCollection(node) ? node.toJSON() : node)

/** The other network that flatnet.yaml is for: a gateway has one slice, and this one is taken. */
function ownerOf(host: Host, o: InstallOptions, present: string): string | undefined {
  try {
    const { slice } = parseDaemonConf(present)
    const others = findNetworks(host, o.cniConfDir).networks.filter((n) => n.name !== o.network)
    return others.find((n) => n.slice && formatPrefix(n.slice.prefix) === formatPrefix(slice))?.name
  } catch {
    return undefined
  }
}

/** systemd.unit(5): `%` is a specifier, and a blank ends an argument. */
const unitArgument = (text: string): string => {
  const escaped = text.replaceAll('%', '%%')
  return /\s/.test(escaped) ? `"${escaped}"` : escaped
}

export function unitText(
  o: Pick<InstallOptions, 'binDir' | 'config'>,
  unit: (typeof UNITS)[number] = 'flatnet-gateway.service',
): string {
  const line = `${unitArgument(join(o.binDir, 'flatnet'))} ${COMMANDS[unit]} --config ${unitArgument(o.config)}`
  return TEXTS[unit]().replace(/^ExecStart=.*$/m, () => `ExecStart=${line}`)
}

function planUnit(host: Host, o: InstallOptions, unit: (typeof UNITS)[number]): FilePlan {
  const path = join(o.systemdDir, unit)
  const text = unitText(o, unit)
  const present = host.read(path)
  const isEqual = present === text
  return {
    path,
    text,
    action: isEqual ? 'keep' : 'write',
    needsBackup: false,
    note: isEqual ? 'is so already' : '',
  }
}

/** Other networks of this host: of the same name, on the same bridge, or with the same addresses. */
function neighbours(host: Host, o: InstallOptions, desired: Conflist, file: FilePlan): string[] {
  const own = [file.path, ...(file.replaced ?? [])]
  const entry = desired.plugins.find((p) => p['type'] === 'flatnet') ?? {}
  const { conf } = readLeniently({ ...entry, name: o.network }, desired.cniVersion)
  const slice = sliceOf(conf.ipam)
  return findNetworks(host, o.cniConfDir)
    .networks.filter((n) => !own.includes(n.file))
    .flatMap((n) => {
      if (n.name === o.network)
        return [`${n.file} has a network ${n.name} already: delete it, or choose --network`]
      const isShared =
        slice.ok &&
        n.slice &&
        overlapping(slice.slice.prefix, [{ name: n.name, prefix: n.slice.prefix }]).length > 0
      const clash = isShared
        ? [
            `network ${n.name} in ${n.file} gives out ${formatPrefix(n.slice.prefix)} too: ` +
              'choose --host-id or --supernet',
          ]
        : []
      return n.conf.bridge === conf.bridge && n.conf.role === 'plugin'
        ? [...clash, `network ${n.name} in ${n.file} has bridge ${conf.bridge} already: choose --bridge`]
        : clash
    })
}

export function planInstall(host: Host, manifest: Manifest | undefined, o: InstallOptions): InstallPlan {
  const problems: string[] = []
  if (!NAME_RE.test(o.network)) {
    problems.push(
      `--network is "${o.network}": letters, digits, "_", "." and "-", beginning with a letter or digit`,
    )
    return { problems, conflist: nothing, config: nothing, units: [], slice: '' }
  }
  const { desired, file } = planConflist(host, manifest, o, problems)
  const entry = desired.plugins.find((p) => p['type'] === 'flatnet') ?? {}
  const { conf, problems: wrong } = readLeniently({ ...entry, name: o.network }, desired.cniVersion)
  const slice = sliceOf(conf.ipam, wrong)
  problems.push(...wrong, ...(slice.ok ? [] : slice.problems))
  problems.push(...neighbours(host, o, desired, file))
  let config: FilePlan = nothing
  if (problems.length === 0) {
    config = planConfig(host, manifest, o, desired)
    problems.push(...configProblems(config))
  }
  return {
    problems,
    conflist: file,
    config,
    units: o.hasService ? UNITS.map((unit) => planUnit(host, o, unit)) : [],
    slice: slice.ok ? formatPrefix(slice.slice.prefix) : '',
  }
}

const nothing: FilePlan = { path: '', text: '', action: 'keep', needsBackup: false, note: '' }

function configProblems(config: FilePlan): string[] {
  try {
    parseDaemonConf(config.text)
    return []
  } catch (err) {
    const problems = err instanceof Error && 'problems' in err ? (err.problems as string[]) : [String(err)]
    return problems.map((p) => `${config.path}: ${p}`)
  }
}
