/** Doctor, the CNI side: conflists that are valid and still there, and the plugin that they name. */

import { join } from 'node:path'
import { formatPrefix } from '../../core/addr.ts'
import { overlapping } from '../../ipam/choose/overlaps.ts'
import type { Host } from '../host/host.ts'
import type { BrokenConflist, FlatnetNetwork } from '../host/networks.ts'
import { type Finding, fail, hostCheck, ok, warn } from './check.ts'

export interface ConflistFacts {
  readonly cniConfDir: string
  readonly networks: readonly FlatnetNetwork[]
  readonly broken: readonly BrokenConflist[]
  /** Conflists that `flatnet install` wrote and that are gone. */
  readonly removed: readonly string[]
  /** All that runtimes read there, by name: theirs is the first. */
  readonly files: readonly string[]
  /** Runtimes on this host that take the first file, e.g. `containerd`. */
  readonly firstTakers: readonly string[]
  readonly pluginDirs: readonly string[]
  /** The first `flatnet` in those directories. */
  readonly plugin: { readonly path: string; readonly version: string | undefined } | undefined
  /** Of the executable that examines. */
  readonly version: string
}

/**
 * The version that a plugin names when it is started without CNI_COMMAND ("about" text on stderr, CNI reference
 * skeleton); both our executables do. undefined: it does not start.
 */
function pluginVersion(host: Host, path: string): string | undefined {
  const ran = host.run('env', ['-u', 'CNI_COMMAND', path])
  return ran?.code === 0
    ? (ran.stderr.match(/flatnet[^\n]*?(\d+\.\d+\.\d+[^\s;]*)/i)?.[1] ?? undefined)
    : undefined
}

export function findPlugin(host: Host, dirs: readonly string[]): ConflistFacts['plugin'] {
  const dir = dirs.find((d) => host.list(d).includes('flatnet'))
  if (dir === undefined) return undefined
  const path = join(dir, 'flatnet')
  return { path, version: pluginVersion(host, path) }
}

const CAPABILITIES = ['portMappings', 'ips', 'mac', 'aliases']

function judgePresence(f: ConflistFacts): Finding[] {
  const checks = f.broken.map(({ file, reason }) =>
    fail(
      'conflist-readable',
      `${file} cannot be used: ${reason}`,
      'Podman skips it with a warning, and the network does not exist',
      'correct the file, or write it anew: flatnet install --force (keeps a backup)',
    ),
  )
  for (const file of f.removed) {
    checks.push(
      fail(
        'conflist-present',
        `${file} was installed and is gone`,
        '`podman network prune` and `podman system prune` delete networks that no container uses',
        'flatnet install writes it again; leases and running containers are not touched',
      ),
    )
  }
  if (checks.length > 0) return checks
  if (f.networks.length > 0) {
    return [ok('conflist-present', f.networks.map((n) => `${n.name} in ${n.file}`).join(', '))]
  }
  return [
    fail(
      'conflist-present',
      `no Flatnet network in ${f.cniConfDir}`,
      'there is no network that a container could be given',
      'flatnet install, or name the directory with --cni-conf-dir',
    ),
  ]
}

function judgeNetwork(n: FlatnetNetwork): Finding[] {
  const checks: Finding[] = []
  if (n.problems.length > 0) {
    checks.push(
      fail(
        'conflist-valid',
        `${n.file}: ${n.problems.join('; ')}`,
        'every container start on this network fails with code 7 and this text',
        'correct the keys named; docs/configuration.md lists all keys',
      ),
    )
  }
  if (!/^(0\.3\.[01]|0\.4\.0|1\.0\.0)$/.test(n.cniVersion)) {
    checks.push(
      fail(
        'conflist-cniversion',
        `${n.file} has cniVersion "${n.cniVersion}"`,
        'Podman 4 lists such a network, and then every container start fails: unsupported CNI result version',
        'write "cniVersion": "1.0.0"',
      ),
    )
  }
  const declared = n.plugin['capabilities'] as Record<string, unknown> | undefined
  const absent = n.conf.role === 'plugin' ? CAPABILITIES.filter((c) => declared?.[c] !== true) : []
  if (absent.length > 0) {
    checks.push(
      warn(
        'conflist-capabilities',
        `${n.file} does not declare ${absent.join(', ')}`,
        'Podman adds "ips" by itself and so erases the rest: published ports and aliases vanish',
        '"capabilities": { "portMappings": true, "ips": true, "mac": true, "aliases": true }',
      ),
    )
  }
  return checks.length > 0 ? checks : [ok('conflist-valid', `${n.name}: all keys are right`)]
}

function judgePairs(f: ConflistFacts): Finding[] {
  const checks: Finding[] = []
  f.networks.forEach((a, i) => {
    for (const b of f.networks.slice(i + 1)) {
      if (a.name === b.name && a.file !== b.file) {
        checks.push(
          fail(
            'conflist-unique',
            `${a.file} and ${b.file} both name a network ${a.name}`,
            'Podman takes the first by file name and skips the other',
            'delete one of them',
          ),
        )
      } else if (
        a.slice &&
        b.slice &&
        overlapping(a.slice.prefix, [{ name: b.name, prefix: b.slice.prefix }]).length > 0
      ) {
        checks.push(
          fail(
            'slices-overlap',
            `${a.name} and ${b.name} both give out ${formatPrefix(b.slice.prefix)}`,
            'each keeps its own leases, so two containers get one address',
            `give ${b.name} another hostId or supernet in ${b.file}`,
          ),
        )
      }
    }
  })
  return checks
}

/** containerd's go-cni and CRI-O read these (go-cni, loadFromConfDir), in the order of the bytes. */
const isRead = (name: string): boolean => /\.(conf|conflist|json)$/.test(name)

const FIRST_TAKERS = ['containerd', 'crio']
const BIN_DIRS = ['/usr/local/bin', '/usr/local/sbin', '/usr/bin', '/usr/sbin']

function judgeFirst({ cniConfDir, files, firstTakers, networks }: ConflistFacts): Finding[] {
  const [first] = files
  if (first === undefined || networks.length === 0) return []
  const path = join(cniConfDir, first)
  const what = `runtimes that take the first file, as containerd and CRI-O do, use ${path}`
  if (networks.some((n) => n.file === path)) return [ok('conflist-first', what)]
  if (firstTakers.length === 0)
    return [ok('conflist-first', `${what}; Podman goes by the name of the network`)]
  return [
    warn(
      'conflist-first',
      `${what}, which is not Flatnet's, and ${firstTakers.join(' and ')} is here`,
      'their pods get another network; Podman goes by the name of the network',
      `give ${path} a name behind that of Flatnet's (${networks.map((n) => n.file).join(', ')}), if Flatnet is meant`,
    ),
  ]
}

function judgePlugin(f: ConflistFacts): Finding {
  if (f.plugin === undefined) {
    return fail(
      'plugin',
      `no executable named flatnet in ${f.pluginDirs.join(', ')}`,
      'Podman skips every conflist that names it',
      'flatnet install, or name the directory with --cni-bin-dir',
    )
  }
  const { path, version } = f.plugin
  if (version === undefined) {
    return fail(
      'plugin',
      `${path} does not start`,
      'Podman asks every plugin for its versions and skips the network when it gets no answer',
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

export function judgeConflist(f: ConflistFacts): Finding[] {
  return [
    ...judgePresence(f),
    ...f.networks.flatMap(judgeNetwork),
    ...judgePairs(f),
    ...judgeFirst(f),
    judgePlugin(f),
  ]
}

export const check = hostCheck({
  name: 'conflist',
  gather: ({ host, places, removedConflists, pluginDirs, version }) => ({
    cniConfDir: places.cniConfDir,
    networks: places.networks,
    broken: places.broken,
    removed: removedConflists,
    files: host.list(places.cniConfDir).filter(isRead).sort(),
    firstTakers: FIRST_TAKERS.filter((name) => BIN_DIRS.some((dir) => host.list(dir).includes(name))),
    pluginDirs,
    plugin: findPlugin(host, pluginDirs),
    version,
  }),
  judge: judgeConflist,
})
