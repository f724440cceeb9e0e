/**
 * `flatnet install`: puts plugin, network, configuration and units in place, as this host's Podman needs them.
 *
 * A rerun changes what differs.
 */

import { join } from 'node:path'
import { parseDaemonConf } from '../../conf/daemon.ts'
import { version } from '../../conf/version.ts'
import { formatPrefix } from '../../core/addr.ts'
import type { Status } from '../../gateway/api/status.ts'
import { ClusterFiles } from '../../gateway/cluster/identity/files.ts'
import { ClusterState } from '../../gateway/cluster/members/state.ts'
import { type Context, command } from '../command.ts'
import { restartGateway } from '../gateway/reload.ts'
import { apiGet } from '../host/client.ts'
import type { Host } from '../host/host.ts'
import { refuseMovingLive } from '../host/leases.ts'
import { findPlaces } from '../host/places.ts'
import { DROP_IN, DROP_IN_TEXT } from '../host/podman-conf.ts'
import { isSystemd } from '../host/service.ts'
import { printBackend } from '../install/backend.ts'
import { Changes } from '../install/changes.ts'
import type { NetworkOptions } from '../install/conflist.ts'
import { isNameOf } from '../install/conflist-place.ts'
import { type Executables, findExecutables, sameFile } from '../install/executable.ts'
import type { FilePlan, InstallOptions } from '../install/file-plan.ts'
import {
  isNetworkKind,
  type Made,
  type MadeKind,
  type Manifest,
  manifestPath,
  readManifest,
  sha256,
} from '../install/manifest.ts'
import { flag, number, placingOptions, text } from '../install/options.ts'
import { type InstallPlan, planInstall, UNITS } from '../install/plan.ts'
import { findTarget, printTarget, removeOther, type Target } from '../install/target.ts'
import { CliError, printLine } from '../ui/output.ts'

const options = {
  'host-id': number("This host's number, unique among the hosts [default: unchanged, else 1]"),
  supernet: text('The whole flat network, the same on every host [default: unchanged, else 10.100.0.0/16]'),
  'host-prefix': number("Size of one host's slice [default: unchanged, else 24]"),
  bridge: text('Name of the bridge [default: unchanged, else flatnet0]'),
  'http-port': number('Port that ingress talks to when a container names none [default: unchanged, else 80]'),
  listen: text('Address and port for browsers [default: unchanged, else 0.0.0.0:8080]'),
  ...placingOptions,
  'dry-run': flag('Only say what would be done'),
} as const

function machineProblems(host: Host): string[] {
  const problems: string[] = []
  if (host.uid() !== 0) problems.push('this needs root: run it with sudo (rootless Podman is not supported)')
  if (host.run('nft', ['--version']) === undefined) problems.push('nft is missing: apt-get install nftables')
  return problems
}

function apply(changes: Changes, file: FilePlan): void {
  if (file.action === 'keep') changes.tell('keep', file.path, file.note)
  else {
    if (file.needsBackup) changes.backUp(file.from ?? file.path)
    changes.write(file.path, file.text, file.note)
  }
  // Behind the write: a runtime that looks between the two finds one network twice, and takes the first.
  for (const path of file.replaced ?? []) changes.remove(path)
}

const madeOf = (kind: MadeKind, { path, text }: FilePlan): Made => ({
  path,
  kind,
  sha256: sha256(text),
  ...(isNetworkKind(kind) && { text }),
})

/** `flatnet-cni` goes beside the command, so that an install by the installed command finds it again. */
function putExecutables(changes: Changes, { main, plugin }: Executables, o: InstallOptions): Made[] {
  const put = (from: string, to: string, linkFrom?: string): string => {
    if (sameFile(from, to)) changes.tell('keep', to, 'is the same')
    else changes.executable(from, to, linkFrom)
    return to
  }
  const command = put(main, join(o.binDir, 'flatnet'))
  const source = plugin === main ? command : put(plugin, join(o.binDir, 'flatnet-cni'))
  const target = put(source, join(o.pluginDir, 'flatnet'), source)
  return [
    ...[...new Set([command, source])].map((path): Made => ({ path, kind: 'executable' })),
    { path: target, kind: 'plugin' },
  ]
}

function startService(changes: Changes): void {
  if (!isSystemd()) {
    changes.tell('skip', 'systemctl', 'systemd does not run here')
    return
  }
  changes.run('systemctl daemon-reload', 'systemctl', 'daemon-reload')
  for (const unit of UNITS) {
    const name = unit.replace('.service', '')
    changes.run(`systemctl enable ${name}`, 'systemctl', 'enable', '--quiet', unit)
    changes.run(`systemctl restart ${name}`, 'systemctl', 'restart', unit)
  }
}

/** @returns how the gateway is to be started; undefined when it runs, by systemd or otherwise */
async function startOrReload(context: Context, o: InstallOptions, plan: InstallPlan, isDry: boolean) {
  if (o.hasService) return undefined
  const start = `${join(o.binDir, 'flatnet')} gateway --config ${o.config}`
  const { socket } = findPlaces(context.host, o)
  const status = await apiGet<Status>({ socket }, '/v1/status').catch(() => undefined)
  if (status === undefined) return start
  if (plan.config.action === 'write' && !isDry) {
    await restartGateway(context.io, { socket, config: o.config })
    printLine(context.io, `note      the gateway, process ${status.pid}, has read ${o.config} again`)
  }
  return status.version === version()
    ? undefined
    : `end process ${status.pid} (${status.version}), then ${start}`
}

function nextSteps(
  context: Context,
  o: InstallOptions,
  containersDir: string,
  slice: string,
  start?: string,
) {
  const { io, host } = context
  printLine(io, `\nThis host hands out ${slice}. Other hosts need another --host-id.`)
  printBackend(io, host, containersDir)
  if (start !== undefined) printLine(io, `Start the gateway:    ${start}`)
  printLine(io, `Start a container:    podman run -d --name web --network ${o.network} IMAGE`)
  printLine(io, 'See what runs:        flatnet ps')
  printLine(io, 'When something fails: flatnet doctor')
}

/** The arguments of an install: options of `flatnet install`, or set by init and join. */
export interface InstallArgs extends NetworkOptions, Targets {
  readonly listen?: string | undefined
  readonly peersListen?: string | undefined
  readonly advertise?: readonly string[] | undefined
  readonly executables: boolean
  readonly service?: boolean | undefined
  readonly configurePodman: boolean
  readonly dryRun: boolean
  readonly force: boolean
}

export interface Targets {
  readonly config: string
  readonly cniConfDir: string
  readonly cniBinDir?: string | undefined
  readonly binDir: string
  readonly systemdDir: string
  readonly containersDir: string
}

interface Prepared {
  readonly target: Target
  readonly o: InstallOptions
  readonly manifest: Manifest | undefined
  readonly plan: InstallPlan
}

/** Changes nothing. @throws {CliError} with every reason why it cannot be installed */
export function prepareInstall(args: InstallArgs, host: Host): Prepared {
  const manifest = readManifest(host, args.config)
  const target = findTarget(host, manifest, args)
  const hasService = args.service ?? isSystemd()
  const o: InstallOptions = { ...args, ...target, hasService, isForced: args.force }
  const plan = planInstall(host, manifest, o)
  const problems = [...(args.dryRun ? [] : machineProblems(host)), ...plan.problems]
  if (problems.length === 0) return { target, o, manifest, plan }
  const error = new CliError('nothing was installed', 'fix these and run the same command again')
  throw Object.assign(error, { problems })
}

/** @param prepared for the same `args` */
export function install(args: InstallArgs, context: Context, prepared: Prepared): void {
  const { io, host } = context
  const { target, o, manifest, plan } = prepared
  const changes = new Changes(io, host, args.dryRun)
  printTarget(changes, target)
  const made = args.executables ? putExecutables(changes, findExecutables(), o) : []
  const record = (kind: MadeKind, file: FilePlan): void => {
    apply(changes, file)
    const isBefore = (m: Made) => m.path === file.path || (kind === 'conflist' && isNameOf(m.path, o))
    const before = manifest?.made.find(isBefore)
    // A file that was there before and needed no change is not ours to remove.
    if (file.action === 'write' && !file.isOnlyMoved) made.push(madeOf(kind, file))
    else if (before !== undefined) made.push({ ...before, path: file.path })
  }
  record('config', plan.config)
  record(o.dialect === 'cni' ? 'conflist' : 'network', plan.network)
  const gone = removeOther(host, changes, manifest, { o: { ...o, ...args }, network: plan.network })
  for (const unit of plan.units) record('unit', unit)
  if (args.configurePodman && o.dialect === 'netavark')
    changes.tell('skip', 'Podman has no CNI to be switched to', 'it needs no configuration')
  else if (args.configurePodman) {
    const dropIn = join(args.containersDir, DROP_IN)
    const action = host.read(dropIn) === DROP_IN_TEXT ? 'keep' : 'write'
    const note = 'network_backend = "cni"'
    record('podman', { path: dropIn, text: DROP_IN_TEXT, action, needsBackup: false, note })
  }
  const others = (manifest?.made ?? []).filter(
    (m) =>
      !made.some((n) => n.path === m.path) &&
      !gone.includes(m) &&
      !(o.dialect === 'cni' && m.kind === 'conflist' && isNameOf(m.path, o)),
  )
  const text = `${JSON.stringify({ version: version(), made: [...others, ...made] }, undefined, 2)}\n`
  changes.write(manifestPath(o.config), text, 'what uninstall takes away')
  if (plan.units.length > 0) startService(changes)
}

/** The cluster decides a member's numbers: with others its gateway would not start. */
function refuseMisfit({ hostId, supernet, hostPrefix }: InstallArgs, { config }: InstallPlan): void {
  const files = new ClusterFiles(parseDaemonConf(config.text).dataDir)
  if (!files.isComplete) return
  const { identity, document } = new ClusterState(files)
  const wrong = [
    ['--host-id', hostId, identity.hostId],
    ['--supernet', supernet, document.supernet],
    ['--host-prefix', hostPrefix, document.hostPrefix],
  ].filter(([, wish, is]) => wish !== undefined && wish !== is)
  if (wrong.length === 0) return
  const error = new CliError(
    `nothing was installed: this is host ${identity.hostId} of cluster ${identity.cluster}`,
    'leave these out; another number: flatnet leave, then join; another supernet is another cluster',
  )
  throw Object.assign(error, {
    problems: wrong.map(([name, wish, is]) => `${name} is ${wish}: here it is ${is}`),
  })
}

/** Living containers keep their addresses, and none could be started beside them on the same bridge. */
async function refuseMove(args: InstallArgs, { slice }: InstallPlan, host: Host): Promise<void> {
  const places = findPlaces(host, args)
  const present = places.networks.find((n) => n.name === args.network && n.conf.role === 'plugin')?.slice
  const now = present && formatPrefix(present.prefix)
  if (now === undefined || now === slice) return
  await refuseMovingLive(places, `the slice would change from ${now} to ${slice}`, args.network)
}

export const installCommand = command({
  options,
  examples: [
    ['--dry-run', 'what would be done'],
    ['--configure-podman', "and switch this host's Podman to CNI"],
    ['--listen 0.0.0.0:8081', 'serve browsers on another port'],
    ['--supernet 10.200.0.0/16', 'with other addresses'],
  ],
  async run(args, context) {
    const prepared = prepareInstall(args, context.host)
    const { o, plan } = prepared
    refuseMisfit(args, plan)
    await refuseMove(args, plan, context.host)
    install(args, context, prepared)
    const start = await startOrReload(context, o, plan, args.dryRun)
    nextSteps(context, o, args.containersDir, plan.slice, start)
    return 0
  },
})
