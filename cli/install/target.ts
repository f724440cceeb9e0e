/** For which Podman install works: what it speaks, and where its files and the plugin go. */

import { join } from 'node:path'
import { cniRuntimes } from '../host/cni-runtimes.ts'
import type { Host } from '../host/host.ts'
import { findNetworks } from '../host/networks.ts'
import { networkFileDir } from '../host/podman-conf.ts'
import {
  DIALECT_NAMES,
  type Dialect,
  dialectOf,
  findPodman,
  hasCni,
  type Podman,
} from '../host/podman-dialect.ts'
import type { Changes } from './changes.ts'
import { isNameOf } from './conflist-place.ts'
import type { FilePlan, InstallOptions } from './file-plan.ts'
import type { Made, Manifest } from './manifest.ts'
import { networkFilePath } from './network-file.ts'
import { defaultPluginDir } from './options.ts'

export interface Target {
  readonly podman: Podman
  readonly dialect: Dialect
  readonly networkFileDir: string
  readonly pluginDir: string
  readonly cniRuntime: string | undefined
}

interface Asked {
  readonly containersDir: string
  readonly cniBinDir?: string | undefined
  readonly configurePodman: boolean
}

function installedDialect(manifest: Manifest | undefined): Dialect | undefined {
  const made = manifest?.made ?? []
  if (made.some(({ kind }) => kind === 'network')) return 'netavark'
  return made.some(({ kind }) => kind === 'conflist') ? 'cni' : undefined
}

export function findTarget(
  host: Host,
  manifest: Manifest | undefined,
  { containersDir, cniBinDir, configurePodman }: Asked,
): Target {
  const podman = findPodman(host)
  const isAsked = configurePodman && hasCni(podman)
  const dialect = isAsked ? 'cni' : dialectOf(podman, installedDialect(manifest))
  const named = dialect === 'cni' ? cniBinDir : undefined
  return {
    podman,
    dialect,
    networkFileDir: networkFileDir(host, containersDir),
    pluginDir: named ?? defaultPluginDir(host, dialect, containersDir),
    cniRuntime: cniRuntimes(host)[0],
  }
}

export function printTarget(changes: Changes, { podman, dialect }: Target): void {
  const who = podman.version === undefined ? 'no Podman found' : `Podman ${podman.version}`
  changes.tell('note', `${who}: ${DIALECT_NAMES[dialect]}`)
}

/** Of this network, in the other dialect: replaced now, or pruned before. */
function recordsOfOther(
  host: Host,
  manifest: Manifest | undefined,
  o: InstallOptions,
  replaced: readonly string[],
) {
  const isOther = ({ kind, path }: Made): boolean =>
    o.dialect === 'cni' ? path === networkFilePath(o) : kind === 'conflist' && isNameOf(path, o)
  return (manifest?.made ?? []).filter(
    (m) => isOther(m) && (replaced.includes(m.path) || host.read(m.path) === undefined),
  )
}

/**
 * What the install for the Podman before has left: its plugin goes with the last of its networks.
 * @returns the records that count no longer
 */
export function removeOther(
  host: Host,
  changes: Changes,
  manifest: Manifest | undefined,
  { o, network }: { readonly o: InstallOptions & { executables: boolean }; readonly network: FilePlan },
): readonly Made[] {
  const replaced = network.replaced ?? []
  const gone = recordsOfOther(host, manifest, o, replaced)
  const others = findNetworks(host, o.cniConfDir, o.networkFileDir).networks.filter(
    (n) => n.dialect !== o.dialect && !replaced.includes(n.file),
  )
  for (const { name, file } of others)
    if (name !== o.network)
      changes.tell('note', `network ${name} in ${file}`, `to move it too: flatnet install --network ${name}`)
  // Without a move, a plugin elsewhere is there by an earlier --cni-bin-dir.
  if (gone.length === 0 || others.length > 0 || !o.executables) return gone
  const plugin = join(o.pluginDir, 'flatnet')
  const plugins = (manifest?.made ?? []).filter((m) => m.kind === 'plugin' && m.path !== plugin)
  for (const { path } of plugins) changes.remove(path, 'this Podman does not look there')
  return [...gone, ...plugins]
}
