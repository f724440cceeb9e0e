/** What install does with the network's file: a conflist, or Podman 5's network file; and from one to the other. */

import type { JsonObject } from '../../core/json.ts'
import type { Host } from '../host/host.ts'
import { type Conflist, desiredConflist, differences } from './conflist.ts'
import { conflistPath, isNameOf, objectIn, presentConflist } from './conflist-place.ts'
import type { FilePlan, InstallOptions } from './file-plan.ts'
import type { Manifest } from './manifest.ts'
import { asConflist, desiredNetworkFile, networkFilePath, presentNetworkFile } from './network-file.ts'
import { remembered } from './remembered.ts'

interface NetworkPlan {
  /** The settings, in whichever form they are written. */
  readonly desired: Conflist
  readonly file: FilePlan
}

type Planner = (
  host: Host,
  manifest: Manifest | undefined,
  o: InstallOptions,
  problems: string[],
) => NetworkPlan

export const planNetwork: Planner = (host, manifest, o, problems) =>
  (o.dialect === 'cni' ? planConflist : planNetworkFile)(host, manifest, o, problems)

/** As install wrote it last, for a file that Podman pruned: that of this dialect, else of the other. */
function written(manifest: Manifest | undefined, o: InstallOptions): JsonObject | undefined {
  const textOf = (isFile: (path: string) => boolean) => manifest?.made.find((m) => isFile(m.path))?.text
  const conflist = objectIn(textOf((path) => isNameOf(path, o)))
  const network = objectIn(textOf((path) => path === networkFilePath(o)))
  const converted = network === undefined ? undefined : asConflist(network)
  return o.dialect === 'cni' ? (conflist ?? converted) : (converted ?? conflist)
}

const UNREADABLE: readonly string[] = ['it is no JSON object']

function refuseChanged(
  { file, changes, isChanged }: { file: string; changes: readonly string[]; isChanged: boolean },
  o: InstallOptions,
  problems: string[],
): void {
  if (changes.length === 0 || !isChanged || o.isForced) return
  problems.push(
    `${file} was not written by install, or changed since (${changes.join('; ')}): ` +
      '--force changes it and keeps a backup',
  )
}

const planConflist: Planner = (host, manifest, o, problems) => {
  const path = conflistPath(o)
  const { path: from, text: presentText, isChanged, replaced } = presentConflist(host, manifest, o)
  const other = presentNetworkFile(host, manifest, o)
  const isOurs = other.network !== undefined && other.foreignDriver === undefined
  const isThere = presentText !== undefined
  const isMoved = isOurs && !isThere
  const present = isMoved ? asConflist(other.network) : objectIn(presentText)
  if (typeof present?.['name'] === 'string' && present['name'] !== o.network)
    problems.push(`${from} has network ${present['name']}: rename the file, or choose --network`)
  const desired =
    present === undefined
      ? desiredConflist(written(manifest, o), remembered(host, o))
      : desiredConflist(present, o)
  const changes = isThere ? (objectIn(presentText) ? differences(present, desired) : UNREADABLE) : []
  refuseChanged({ file: from, changes, isChanged }, o, problems)
  const isEqual = isThere && changes.length === 0
  const now = isMoved ? other.path : from
  const moved = now === path ? [] : [`moved from ${now}`]
  const file: FilePlan = {
    path,
    from: now,
    replaced: isOurs ? [...replaced, other.path] : replaced,
    isOnlyMoved: isEqual && from !== path,
    text: isEqual ? presentText : `${JSON.stringify(desired, undefined, 2)}\n`,
    action: isEqual && from === path ? 'keep' : 'write',
    needsBackup: isMoved ? other.isChanged : isChanged && !isEqual,
    note: [...moved, ...changes].join('; ') || (isEqual ? 'is so already' : ''),
  }
  return { desired, file }
}

const planNetworkFile: Planner = (host, manifest, o, problems) => {
  const { path, text, network, foreignDriver, isChanged } = presentNetworkFile(host, manifest, o)
  if (foreignDriver !== undefined)
    problems.push(`${path} has a network with driver ${foreignDriver}: choose --network`)
  const old = presentConflist(host, manifest, o)
  const oldConflist = objectIn(old.text)
  const present = network === undefined ? oldConflist : asConflist(network)
  const desired =
    present === undefined
      ? desiredConflist(written(manifest, o), remembered(host, o))
      : desiredConflist(present, o)
  const asFile = desiredNetworkFile(network, desired, new Date().toISOString())
  const changes = text === undefined ? [] : network ? differences(network, asFile) : UNREADABLE
  refuseChanged({ file: path, changes, isChanged }, o, problems)
  const isEqual = text !== undefined && changes.length === 0
  const isMoved = text === undefined && oldConflist !== undefined
  const isLeft = old.text !== undefined && o.cniRuntime === undefined
  const moved = isMoved ? [`moved from ${old.path}${isLeft ? '' : `, which stays for ${o.cniRuntime}`}`] : []
  const file: FilePlan = {
    path,
    from: isMoved ? old.path : path,
    replaced: isLeft ? [...new Set([old.path, ...old.replaced])] : [],
    text: isEqual ? text : `${JSON.stringify(asFile, undefined, 2)}\n`,
    action: isEqual ? 'keep' : 'write',
    needsBackup: isMoved ? isLeft && old.isChanged : isChanged && !isEqual,
    note: [...moved, ...changes].join('; ') || (isEqual ? 'is so already' : ''),
  }
  return { desired, file }
}
