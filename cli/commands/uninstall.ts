/** `flatnet uninstall`: takes away what install and running made, and nothing else. */

import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Status } from '../../gateway/api/status.ts'
import { ClusterFiles } from '../../gateway/cluster/identity/files.ts'
import { listRecords } from '../../ipam/networks.ts'
import { type Context, command } from '../command.ts'
import { apiGet } from '../host/client.ts'
import type { Host } from '../host/host.ts'
import { runJson } from '../host/host.ts'
import { addressedContainers } from '../host/leases.ts'
import { demandNamed, findPlaces, type Places } from '../host/places.ts'
import { DROP_IN, DROP_IN_TEXT } from '../host/podman-conf.ts'
import { isSystemd } from '../host/service.ts'
import { Changes } from '../install/changes.ts'
import { isNetworkKind, type Made, manifestPath, readManifest, stateOf } from '../install/manifest.ts'
import { defaultPluginDir, targetOptions } from '../install/options.ts'
import { UNITS } from '../install/plan.ts'
import { CliError, printLine } from '../ui/output.ts'
import type { Targets } from './install.ts'

/** What an installation without a record would have made, as far as it exists: the files were copied by hand. */
function guess(host: Host, places: Places, t: Targets): Made[] {
  const candidates: readonly Made[] = [
    ...UNITS.map((unit): Made => ({ path: join(t.systemdDir, unit), kind: 'unit' })),
    ...places.networks
      .filter((n) => n.conf.role === 'plugin')
      .map(({ file, dialect }): Made => ({ path: file, kind: dialect === 'cni' ? 'conflist' : 'network' })),
    ...(['cni', 'netavark'] as const).map((dialect): Made => {
      const named = dialect === 'cni' ? t.cniBinDir : undefined
      return {
        path: join(named ?? defaultPluginDir(host, dialect, t.containersDir), 'flatnet'),
        kind: 'plugin',
      }
    }),
    { path: join(t.binDir, 'flatnet'), kind: 'executable' },
  ]
  return candidates.filter(({ path }) => existsSync(path))
}

/** Others would wait for a host that is gone, and the CA's key may be the only one. */
function refuseMember({ dataDirs }: Places): void {
  const member = dataDirs.map((dir) => new ClusterFiles(dir)).find((files) => files.isComplete)
  if (member === undefined) return
  throw new CliError(
    `this host is in a cluster: ${member.folder}`,
    'flatnet leave first, or take everything away with --force',
  )
}

async function refuseLive(places: Places): Promise<void> {
  const held = await addressedContainers(places)
  if (held === undefined) return
  throw new CliError(
    `containers are on the network: ${held}`,
    'stop them first, or take their network away with --force',
  )
}

function stopService(host: Host, changes: Changes, made: readonly Made[]): void {
  const units = made.filter((m) => m.kind === 'unit' && existsSync(m.path)).map((m) => basename(m.path))
  if (!isSystemd()) return
  for (const unit of units) {
    const ran = host.run('systemctl', ['is-active', '--quiet', unit])
    const verb = ran?.code === 0 ? ['disable', '--now', '--quiet'] : ['disable', '--quiet']
    changes.run(`systemctl disable --now ${basename(unit, '.service')}`, 'systemctl', ...verb, unit)
  }
}

/** Of the conflists, and of networks that were used here and whose conflist is gone. */
function bridgesOf({ networks, dataDirs }: Places): string[] {
  const configured = networks.flatMap((n) => (n.conf.role === 'plugin' ? [n.conf.bridge] : []))
  const recorded = dataDirs.flatMap((dir) => listRecords(dir).flatMap((r) => r.bridge ?? []))
  return [...new Set([...configured, ...recorded])]
}

/** The tables, and the bridges that no container is on. The containers' own links go with their namespaces. */
function removeKernelObjects(host: Host, changes: Changes, bridges: readonly string[]): void {
  // biome-ignore lint/suspicious/noExplicitAny: JSON of nft
  const tables = runJson<{ nftables: any[] }>(host, 'nft', '-j', 'list', 'tables')?.nftables ?? []
  for (const family of ['inet', 'bridge']) {
    if (!tables.some((o) => o.table?.family === family && o.table.name === 'flatnet')) continue
    changes.run(`nft delete table ${family} flatnet`, 'nft', 'delete', 'table', family, 'flatnet')
  }
  removeTunnel(host, changes)
  for (const bridge of bridges) {
    const [link] = runJson(host, 'ip', '-j', '-d', 'link', 'show', 'dev', bridge) ?? []
    if (link?.linkinfo?.info_kind !== 'bridge') continue
    const ports = runJson<unknown[]>(host, 'ip', '-j', 'link', 'show', 'master', bridge) ?? []
    if (ports.length > 0) changes.tell('keep', `bridge ${bridge}`, `${ports.length} containers are on it`)
    else changes.run(`ip link del ${bridge}`, 'ip', 'link', 'del', bridge)
  }
}

/** Of a gateway that was in a cluster: it leaves them for its next run. */
function removeTunnel(host: Host, changes: Changes): void {
  const [link] = runJson(host, 'ip', '-j', '-d', 'link', 'show', 'dev', 'flatnet-gw') ?? []
  if (link?.linkinfo?.info_kind === 'tun')
    changes.run('ip link del flatnet-gw', 'ip', 'link', 'del', 'flatnet-gw')
  for (const { dst } of runJson<{ dst: string }[]>(host, 'ip', '-j', '-4', 'route', 'show', 'proto', '247') ??
    [])
    changes.run(`ip route del ${dst}`, 'ip', 'route', 'del', 'unreachable', dst, 'proto', '247')
}

function removeMade(
  host: Host,
  changes: Changes,
  config: string,
  made: readonly Made[],
  isPurge: boolean,
): void {
  const manifest = readManifest(host, config)
  // Networks go first: Podman 5 lists one without its plugin, and every start on it fails.
  const inOrder = [
    ...made.filter((m) => isNetworkKind(m.kind)),
    ...made.filter((m) => !isNetworkKind(m.kind)),
  ]
  for (const { path, kind } of inOrder) {
    const isText = isNetworkKind(kind) || kind === 'config' || kind === 'podman'
    const isChanged = isText && manifest !== undefined && stateOf(host, manifest, path) === 'changed'
    if (isChanged && kind === 'config' && !isPurge)
      changes.tell('keep', path, 'changed since; --purge removes it')
    else if (isChanged && kind === 'podman') changes.tell('keep', path, 'changed since')
    else {
      // A network whose plugin is gone would only make Podman complain, so its file goes, but not what was put into
      // it.
      if (isChanged && isNetworkKind(kind) && !isPurge) changes.backUp(path)
      changes.remove(path)
    }
  }
}

async function uninstall(
  args: Targets & { purge: boolean; force: boolean; dryRun: boolean },
  context: Context,
) {
  const { io, host } = context
  if (host.uid() !== 0 && !args.dryRun) throw new CliError('this needs root', 'run it with sudo')
  // The record beside it says what to take away, also when the configuration itself was deleted.
  if (readManifest(host, args.config) === undefined) demandNamed(host, args.config)
  const places = findPlaces(host, args)
  if (!args.force) {
    refuseMember(places)
    await refuseLive(places)
  }
  const manifest = readManifest(host, args.config)
  const made = manifest?.made ?? guess(host, places, args)
  const changes = new Changes(io, host, args.dryRun)
  if (manifest === undefined)
    changes.tell('note', `no ${manifestPath(args.config)}`, 'looking in the usual places')
  stopService(host, changes, made)
  removeKernelObjects(host, changes, bridgesOf(places))
  removeMade(host, changes, args.config, made, args.purge)
  const dropIn = join(args.containersDir, DROP_IN)
  if (manifest === undefined && host.read(dropIn) === DROP_IN_TEXT) changes.remove(dropIn)
  changes.remove(manifestPath(args.config))
  const running = await apiGet<Status>(places, '/v1/status').catch(() => undefined)
  if (running !== undefined && !args.dryRun) {
    changes.tell(
      'note',
      `a gateway still runs (process ${running.pid})`,
      'it was not started by the unit; end it by hand',
    )
  }
  changes.remove(places.socket)
  changes.removeEmpty(dirname(places.socket))
  for (const dir of places.dataDirs) {
    if (args.purge) changes.remove(dir)
    else if (existsSync(dir)) changes.tell('keep', dir, 'leases and logs; --purge removes it')
  }
  changes.removeEmpty(dirname(args.config))
  if (isSystemd() && made.some((m) => m.kind === 'unit')) {
    changes.run('systemctl daemon-reload', 'systemctl', 'daemon-reload')
  }
  if (made.length === 0) printLine(io, 'Flatnet was not installed here.')
  return 0
}

export const uninstallCommand = command({
  options: {
    ...targetOptions,
    purge: {
      type: 'boolean',
      default: false,
      describe: 'Also leases, logs and a configuration that was changed by hand',
    },
    force: { type: 'boolean', default: false, describe: 'Also while containers are on the network' },
    'dry-run': { type: 'boolean', default: false, describe: 'Only say what would be done' },
  },
  examples: [
    ['--dry-run', 'what would be removed'],
    ['--purge', 'leases, logs and configuration too'],
  ],
  run: uninstall,
})
