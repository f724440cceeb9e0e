/** Doctor: the plugin in a folder where Podman looks, whichever dialect it speaks. */

import { join } from 'node:path'
import type { Host } from '../host/host.ts'
import { type Finding, fail, ok, warn } from './check.ts'

export interface InstalledPlugin {
  readonly path: string
  /** undefined: it does not start. */
  readonly version: string | undefined
}

/**
 * The version that a plugin names when it is started without CNI_COMMAND ("about" text on stderr, CNI reference
 * skeleton); both our executables do.
 */
function pluginVersion(host: Host, path: string): string | undefined {
  const ran = host.run('env', ['-u', 'CNI_COMMAND', path])
  return ran?.code === 0
    ? (ran.stderr.match(/flatnet[^\n]*?(\d+\.\d+\.\d+[^\s;]*)/i)?.[1] ?? undefined)
    : undefined
}

/** The first `flatnet` in these directories. */
export function findPlugin(host: Host, dirs: readonly string[]): InstalledPlugin | undefined {
  const dir = dirs.find((d) => host.list(d).includes('flatnet'))
  if (dir === undefined) return undefined
  const path = join(dir, 'flatnet')
  return { path, version: pluginVersion(host, path) }
}

interface PluginFacts {
  readonly pluginDirs: readonly string[]
  readonly plugin: InstalledPlugin | undefined
  /** Of the executable that examines. */
  readonly version: string
}

/** What Podman does in each case depends on its dialect. */
interface Consequences {
  readonly missing: string
  readonly fix: string
  readonly dead: string
}

export function judgePlugin(f: PluginFacts, { missing, fix, dead }: Consequences): Finding {
  if (f.plugin === undefined)
    return fail('plugin', `no executable named flatnet in ${f.pluginDirs.join(', ')}`, missing, fix)
  const { path, version } = f.plugin
  if (version === undefined) {
    return fail(
      'plugin',
      `${path} does not start`,
      dead,
      `run it by hand: CNI_COMMAND=VERSION ${path}; chmod 755 or \`flatnet install\` mostly help`,
    )
  }
  if (version !== f.version) {
    return warn(
      'plugin',
      `${path} is ${version}, this executable is ${f.version}`,
      'plugin and gateway are made to be of one version',
      'flatnet install with the newer executable; it replaces the file in one step, also while containers start',
    )
  }
  return ok('plugin', `${path} is ${version}`)
}
