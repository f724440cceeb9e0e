/** The few keys of containers.conf that concern networks, read as Podman does: file, drop-ins, later wins. */

import { join } from 'node:path'
import type { Host } from './host.ts'
import type { Dialect } from './podman-dialect.ts'

export const CONTAINERS_DIR = '/etc/containers'
export const DROP_IN = 'containers.conf.d/50-flatnet.conf'

/** What `flatnet install --configure-podman` writes; Podman 4.0 and later read drop-ins (seen with 4.3.1). */
export const DROP_IN_TEXT = `# Written by \`flatnet install --configure-podman\`; removed by \`flatnet uninstall\`.
[network]
network_backend = "cni"
`

/** Podman's own defaults (containers/common, config/default.go), in its order. */
const DEFAULT_PLUGIN_DIRS: Readonly<Record<Dialect, readonly string[]>> = {
  cni: ['/usr/local/libexec/cni', '/usr/libexec/cni', '/usr/local/lib/cni', '/usr/lib/cni', '/opt/cni/bin'],
  netavark: [
    '/usr/local/libexec/netavark',
    '/usr/libexec/netavark',
    '/usr/local/lib/netavark',
    '/usr/lib/netavark',
  ],
}

function confTexts(host: Host, containersDir: string): string[] {
  const dropIns = join(containersDir, 'containers.conf.d')
  return [
    '/usr/share/containers/containers.conf',
    join(containersDir, 'containers.conf'),
    ...host
      .list(dropIns)
      .filter((name) => name.endsWith('.conf'))
      .map((name) => join(dropIns, name)),
  ].flatMap((path) => host.read(path) ?? [])
}

/** The text of `[network]` without comments; the last value of a key counts. */
function networkKey(text: string, key: string): string | undefined {
  const bare = text.replaceAll(/^\s*#.*$/gm, '')
  const section = bare.match(/^\s*\[network\]\s*$([\s\S]*?)(?=^\s*\[|(?![\s\S]))/m)?.[1] ?? ''
  return section.match(new RegExp(`^\\s*${key}\\s*=\\s*("[^"\\n]*"|'[^'\\n]*'|\\[[\\s\\S]*?\\])`, 'm'))?.[1]
}

/** Directories in which Podman looks for plugins, in order; a list of containers.conf replaces the defaults. */
export function pluginDirs(host: Host, dialect: Dialect, containersDir = CONTAINERS_DIR): readonly string[] {
  let dirs = DEFAULT_PLUGIN_DIRS[dialect]
  for (const text of confTexts(host, containersDir)) {
    const value = networkKey(text, `${dialect}_plugin_dirs`)
    if (value !== undefined) dirs = [...value.matchAll(/["']([^"']+)["']/g)].map((m) => m[1] ?? '')
  }
  return dirs
}

/** Where Podman keeps one JSON file for each network of netavark. */
export const networkFileDir = (host: Host, containersDir = CONTAINERS_DIR): string =>
  lastValue(host, containersDir, 'network_config_dir') ?? join(containersDir, 'networks')

/**
 * What containers.conf and its drop-ins say; undefined: nothing, so Podman decides (netavark, where it is installed).
 */
export const configuredBackend = (host: Host, containersDir = CONTAINERS_DIR): string | undefined =>
  lastValue(host, containersDir, 'network_backend')

function lastValue(host: Host, containersDir: string, key: string): string | undefined {
  let value: string | undefined
  for (const text of confTexts(host, containersDir)) value = networkKey(text, key)?.slice(1, -1) ?? value
  return value
}
