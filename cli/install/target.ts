/** For which Podman install works: what it speaks, and where its files and the plugin go. */

import { join } from 'node:path'
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
import type { FilePlan, InstallOptions } from './file-plan.ts'
import { isNetworkKind, type Made, type Manifest } from './manifest.ts'
import { defaultPluginDir } from './options.ts'

/** Runtimes that read CNI's folder beside Podman. */
const CNI_RUNTIMES = ['containerd', 'crio']
const BIN_DIRS = ['/usr/local/bin', '/usr/local/sbin', '/usr/bin', '/usr/sbin']

export const cniRuntimes = (host: Host): string[] =>
  CNI_RUNTIMES.filter((name) => BIN_DIRS.some((dir) => host.list(dir).includes(name)))

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

export function tellTarget(changes: Changes, { podman, dialect }: Target): void {
  const who = podman.version === undefined ? 'no Podman found' : `Podman ${podman.version}`
  changes.tell('note', `${who}: ${DIALECT_NAMES[dialect]}`)
}

/**
 * What the other dialect's install has left on this host: its plugin goes once none of its networks is there.
 * @returns the records that count no longer
 */
export function removeOther(
  host: Host,
  changes: Changes,
  manifest: Manifest | undefined,
  { o, network }: { readonly o: InstallOptions; readonly network: FilePlan },
): readonly Made[] {
  const replaced = network.replaced ?? []
  const gone = (manifest?.made ?? []).filter((m) => isNetworkKind(m.kind) && replaced.includes(m.path))
  const others = findNetworks(host, o.cniConfDir, o.networkFileDir).networks.filter(
    (n) => n.dialect !== o.dialect && !replaced.includes(n.file),
  )
  for (const { name, file } of others)
    if (name !== o.network)
      changes.tell('note', `network ${name} in ${file}`, `to move it too: flatnet install --network ${name}`)
  if (others.length > 0) return gone
  const plugin = join(o.pluginDir, 'flatnet')
  const plugins = (manifest?.made ?? []).filter((m) => m.kind === 'plugin' && m.path !== plugin)
  for (const { path } of plugins) changes.remove(path, 'Podman does not use it')
  return [...gone, ...plugins]
}
