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
import type { Conflist } from './conflist.ts'
import type { FilePlan, InstallOptions } from './file-plan.ts'
import { type Manifest, stateOf } from './manifest.ts'
import { planNetwork } from './network-plan.ts'
import { ownerOf } from './remembered.ts'

export interface InstallPlan {
  readonly problems: readonly string[]
  /** The conflist, or the network file of Podman 5. */
  readonly network: FilePlan
  readonly config: FilePlan
  /** The gateway's and that of the direct paths; none without a service manager. */
  readonly units: readonly FilePlan[]
  readonly slice: string
}

/** The gateway's is the first. */
export const UNITS = ['flatnet-gateway.service', 'flatnet-p2p.service'] as const
const COMMANDS = { 'flatnet-gateway.service': 'gateway', 'flatnet-p2p.service': 'p2p' } as const
const TEXTS = { 'flatnet-gateway.service': unitTemplate, 'flatnet-p2p.service': p2pUnitTemplate } as const

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
  return findNetworks(host, o.cniConfDir, o.networkFileDir)
    .networks.filter((n) => !own.includes(n.file))
    .flatMap((n) => {
      // The same network for another runtime of this host.
      if (n.name === o.network && n.dialect !== o.dialect) return []
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
    return { problems, network: nothing, config: nothing, units: [], slice: '' }
  }
  const { desired, file } = planNetwork(host, manifest, o, problems)
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
    network: file,
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
