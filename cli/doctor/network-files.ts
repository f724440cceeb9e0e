/** Doctor, Podman 5: network files that are valid and still there, and the plugin that they name. */

import type { Host } from '../host/host.ts'
import type { BrokenFile, FlatnetNetwork } from '../host/networks.ts'
import { type Finding, fail, hostCheck, ok } from './check.ts'
import { findPlugin, type InstalledPlugin, judgePlugin } from './plugin.ts'

export interface NetworkFileFacts {
  /** Of Podman 5 alone. */
  readonly networks: readonly FlatnetNetwork[]
  readonly broken: readonly BrokenFile[]
  /** Files that `flatnet install` wrote and that are gone. */
  readonly removed: readonly string[]
  /** Names of the networks whose addresses Podman chooses itself. */
  readonly withoutIpam: readonly string[]
  readonly pluginDirs: readonly string[]
  readonly plugin: InstalledPlugin | undefined
  readonly version: string
}

/** Where Podman would choose addresses itself: its own text of the file, since `entryOf` does not read that field. */
export function withoutIpam(host: Host, networks: readonly FlatnetNetwork[]): string[] {
  return networks.flatMap(({ name, file }) => {
    const text = host.read(file)
    const driver = text === undefined ? undefined : JSON.parse(text).ipam_options?.driver
    return driver === undefined || ['host-local', 'dhcp'].includes(driver) ? [name] : []
  })
}

function judgePresence(f: NetworkFileFacts): Finding[] {
  return [
    ...f.broken.map(({ file, reason }) =>
      fail(
        'network-readable',
        `${file} cannot be used: ${reason}`,
        'Podman skips it with a warning, and the network does not exist',
        'correct the file, or write it anew: flatnet install --force (keeps a backup)',
      ),
    ),
    ...f.removed.map((file) =>
      fail(
        'network-present',
        `${file} was installed and is gone`,
        '`podman network prune` and `podman network rm` delete it without asking the plugin',
        'flatnet install writes it again; leases and running containers are not touched',
      ),
    ),
  ]
}

function judgeNetwork(n: FlatnetNetwork, isWithoutIpam: boolean): Finding[] {
  if (n.problems.length > 0) {
    return [
      fail(
        'network-valid',
        `${n.file}: ${n.problems.join('; ')}`,
        'every container start on this network fails with this text',
        'correct the options named; docs/configuration.md lists all keys',
      ),
    ]
  }
  if (isWithoutIpam) {
    return [
      fail(
        'network-ipam',
        `${n.file} has no "ipam_options": { "driver": "flatnet" }`,
        'Podman then chooses the addresses itself, which are no leases: other containers have them too',
        'flatnet install --force writes it (keeps a backup)',
      ),
    ]
  }
  return [ok('network-valid', `${n.name} in ${n.file}: all options are right`)]
}

export function judgeNetworkFiles(f: NetworkFileFacts): Finding[] {
  const presence = judgePresence(f)
  if (f.networks.length === 0) return presence
  return [
    ...presence,
    ...f.networks.flatMap((n) => judgeNetwork(n, f.withoutIpam.includes(n.name))),
    judgePlugin(f, {
      missing: 'Podman knows no driver flatnet then: every container start on the network fails',
      fix: 'flatnet install',
      dead: 'every container start on the network fails',
    }),
  ]
}

export const check = hostCheck({
  name: 'network-files',
  gather({ host, places, removedNetworks, pluginDirs, version }): NetworkFileFacts {
    const networks = places.networks.filter(({ dialect }) => dialect === 'netavark')
    return {
      networks,
      broken: places.broken.filter(({ dialect }) => dialect === 'netavark'),
      removed: removedNetworks.filter((path) => path.endsWith('.json')),
      withoutIpam: withoutIpam(host, networks),
      pluginDirs: pluginDirs.netavark,
      plugin: findPlugin(host, pluginDirs.netavark),
      version,
    }
  },
  judge: judgeNetworkFiles,
})
