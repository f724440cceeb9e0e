/**
 * Debian 13 with Podman 5, as a root folder that tests run machines on: made once, kept in the build folder.
 *
 * prepare.ts makes it.
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../run/executable.ts'

export const RECIPE = {
  suite: 'trixie',
  /** Podman with its runtime and netavark, what Flatnet needs of a host, and what tests look with. */
  packages: [
    'podman',
    'conmon',
    'crun',
    'netavark',
    'iproute2',
    'nftables',
    'busybox-static',
    'procps',
    'libatomic1',
    'libstdc++6',
  ],
  /** Not looked at by any test: a third of the folder. */
  removed: ['var/cache/apt', 'var/lib/apt/lists', 'usr/share/doc', 'usr/share/man', 'usr/share/locale'],
}

export const FOLDER: string = join(ROOT, '.build/podman5')
/** The name changes with the recipe, so an older folder is never taken for it. */
export const SYSTEM: string = join(
  FOLDER,
  createHash('sha256').update(JSON.stringify(RECIPE)).digest('hex').slice(0, 12),
)
/** Why the last preparation failed. */
export const PROBLEM: string = join(FOLDER, 'problem')

/** Why tests with Podman 5 cannot run here, or false. Under CI=true a reason fails. */
export function podman5Missing(): string | false {
  if (process.getuid?.() !== 0) return 'needs root (network namespaces)'
  if (!existsSync('/bin/busybox')) return 'not installed: /bin/busybox'
  if (existsSync(SYSTEM)) return false
  const problem = existsSync(PROBLEM) ? readFileSync(PROBLEM, 'utf8').trim() : 'bin/test podman5 prepares it'
  return `no Debian 13 with Podman 5: ${problem}`
}
