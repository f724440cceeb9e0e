/** What init, join and leave share: options, what they demand first, and what an old slice left. */

import { hostname } from 'node:os'
import type { DaemonConf } from '../../conf/daemon.ts'
import { formatIpv4, formatPrefix, type Prefix4 } from '../../core/addr.ts'
import { ClusterFiles } from '../../gateway/cluster/identity/files.ts'
import { ownEndpoints } from '../../gateway/cluster/members/endpoints.ts'
import { overlapping } from '../../ipam/choose/overlaps.ts'
import { foreignRoutes, gatherRoutes } from '../doctor/routes.ts'
import { type Host, runJson } from '../host/host.ts'
import type { Places } from '../host/places.ts'
import { howToStart } from '../host/service.ts'
import { placingOptions, text } from '../install/options.ts'
import { CliError, type Io, printLine, UsageError } from '../ui/output.ts'

/** Of `init` and `join`. */
export const enteringOptions = {
  ...placingOptions,
  listen: text('Address and port for peers [default: unchanged, else 0.0.0.0:7443]'),
  advertise: {
    type: 'string',
    array: true,
    requiresArg: true,
    describe: "The addresses that other hosts dial, e.g. 192.0.2.7:7443 [default: this host's addresses]",
  },
  name: { ...text('Name of this host in the lists of flatnet'), default: hostname().split('.')[0] ?? '' },
} as const

/** Checks a host's name, which tables and logs of every host show. @throws {UsageError} */
export function demandName(name: string): void {
  if (/^[\w.-]{1,63}$/.test(name)) return
  throw new UsageError(
    `--name is ${JSON.stringify(name)}: letters, digits, "_", "." and "-", at most 63 of them`,
    "choose one with --name; without it this machine's own is taken",
  )
}

export const filesOf = (places: Places, dataDir?: string): ClusterFiles =>
  new ClusterFiles(dataDir ?? places.conf?.dataDir ?? places.dataDirs[0] ?? '')

export function demandRoot(host: Host): void {
  if (host.uid() !== 0) throw new CliError('this needs root', 'run it with sudo')
}

/** After an install, so it is there and in order. */
export function demandConf({ conf, config, confError }: Places): DaemonConf {
  if (conf !== undefined) return conf
  throw new CliError(`${config} cannot be used`, 'flatnet install', { cause: confError })
}

export const endpointsOf = ({ peers, supernet }: DaemonConf): string[] => ownEndpoints({ ...peers, supernet })

/** @throws {CliError} something else here leads to addresses of the cluster */
export function refuseOverlap(host: Host, supernet: Prefix4, places: Places): void {
  const bridges = places.networks.flatMap((n) => (n.conf.role === 'plugin' ? [n.conf.bridge] : []))
  const foreign = foreignRoutes(gatherRoutes(host, places.networks), ...bridges)
  const clash = [...new Set(overlapping(supernet, foreign).map((r) => r.name))]
  if (clash.length === 0) return
  throw new CliError(
    `this host has routes into ${formatPrefix(supernet)}, the network of the cluster: ${clash.slice(0, 4).join(', ')}`,
    'take them away, or make the cluster with another network: flatnet init --supernet',
  )
}

/**
 * Removes idle bridges of an earlier slice: with such a bridge the first container of the new slice would be refused.
 */
export function removeOldBridges(io: Io, host: Host, { networks }: Places): void {
  for (const { conf, slice } of networks) {
    if (conf.role !== 'plugin' || slice === undefined) continue
    const { bridge } = conf
    const [link] = runJson(host, 'ip', '-j', '-d', 'addr', 'show', 'dev', bridge) ?? []
    if (link?.linkinfo?.info_kind !== 'bridge') continue
    const own = formatIpv4(slice.prefix.base + 1)
    // biome-ignore lint/suspicious/noExplicitAny: JSON of ip
    const others = link.addr_info?.filter((a: any) => a.family === 'inet').map((a: any) => a.local) ?? []
    const ports = runJson<unknown[]>(host, 'ip', '-j', 'link', 'show', 'master', bridge) ?? []
    if (others.length === 0 || others.includes(own) || ports.length > 0) continue
    if (host.run('ip', ['link', 'del', bridge])?.code !== 0) continue
    printLine(
      io,
      `remove    bridge ${bridge}  (it had ${others.join(', ')}, of an earlier slice; nothing was on it)`,
    )
  }
}

export function printStart(io: Io, isRunning: boolean, config: string): void {
  if (!isRunning) printLine(io, `Start the gateway:    ${howToStart(config)}`)
}
