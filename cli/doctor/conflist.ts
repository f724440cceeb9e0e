/** Doctor, the CNI side: conflists that are valid and still there, and the plugin that they name. */

import { join } from 'node:path'
import { formatPrefix } from '../../core/addr.ts'
import { overlapping } from '../../ipam/choose/overlaps.ts'
import { cniRuntimes } from '../host/cni-runtimes.ts'
import type { BrokenFile, FlatnetNetwork } from '../host/networks.ts'
import { type Finding, fail, hostCheck, ok, warn } from './check.ts'
import { findPlugin, type InstalledPlugin, judgePlugin } from './plugin.ts'

export interface ConflistFacts {
  readonly cniConfDir: string
  readonly networks: readonly FlatnetNetwork[]
  /** Networks of Podman 5, which have no conflist. */
  readonly hasOthers: boolean
  readonly broken: readonly BrokenFile[]
  /** Conflists that `flatnet install` wrote and that are gone. */
  readonly removed: readonly string[]
  /** All that runtimes read there, by name: theirs is the first. */
  readonly files: readonly string[]
  /** Runtimes on this host that take the first file, e.g. `containerd`. */
  readonly firstTakers: readonly string[]
  readonly pluginDirs: readonly string[]
  readonly plugin: InstalledPlugin | undefined
  /** Of the executable that examines. */
  readonly version: string
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
    return [ok('conflist-present', f.networks.map((n) => `network ${n.name} in ${n.file}`).join(', '))]
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
  return checks.length > 0 ? checks : [ok('conflist-valid', `network ${n.name}: all keys are valid`)]
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

export function judgeConflist(f: ConflistFacts): Finding[] {
  const isForOthers = f.networks.length === 0 && f.broken.length === 0 && f.removed.length === 0
  // Podman 5 alone is here, and its networks are well (network-files.ts).
  if (isForOthers && f.hasOthers) return []
  return [
    ...judgePresence(f),
    ...f.networks.flatMap(judgeNetwork),
    ...judgePairs(f),
    ...judgeFirst(f),
    judgePlugin(f, {
      missing: 'Podman skips every conflist that names it',
      fix: 'flatnet install, or name the directory with --cni-bin-dir',
      dead: 'Podman asks every plugin for its versions and skips the network when it gets no answer',
    }),
  ]
}

export const check = hostCheck({
  name: 'conflist',
  gather({ host, places, removedNetworks, pluginDirs, version }): ConflistFacts {
    const networks = places.networks.filter(({ dialect }) => dialect === 'cni')
    return {
      cniConfDir: places.cniConfDir,
      networks,
      hasOthers: places.networks.length > networks.length,
      broken: places.broken.filter(({ dialect }) => dialect === 'cni'),
      removed: removedNetworks.filter((path) => path.endsWith('.conflist')),
      files: host.list(places.cniConfDir).filter(isRead).sort(),
      firstTakers: cniRuntimes(host),
      pluginDirs: pluginDirs.cni,
      plugin: findPlugin(host, pluginDirs.cni),
      version,
    }
  },
  judge: judgeConflist,
})
