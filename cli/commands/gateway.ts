/** `flatnet gateway`: runs the daemon of this host until SIGTERM or SIGINT; SIGHUP and `POST /v1/reload` start it over. */
import { type DaemonConf, DEFAULT_DAEMON_CONF, readDaemonConf } from '../../conf/daemon.ts'
import { nftTemplate } from '../../conf/templates.ts'
import { parsePrefix4 } from '../../core/addr.ts'
import type { Log } from '../../core/log.ts'
import { openLog } from '../../gateway/base/log.ts'
import { ClusterFiles } from '../../gateway/cluster/identity/files.ts'
import { runGateway } from '../../gateway/daemon.ts'
import { kernelWitness } from '../../gateway/leases/kernel-source.ts'
import type { Repair } from '../../gateway/leases/reconciler.ts'
import { listRecords } from '../../ipam/networks.ts'
import { refusePort } from '../../kernel/refused.ts'
import { repairRules } from '../../kernel/repair.ts'
import { type NetworkRules, rulesState } from '../../kernel/rules.ts'
import { command } from '../command.ts'
import { systemHost } from '../host/host.ts'
import { cniPluginDirs } from '../host/podman-conf.ts'
import { readThrough } from '../host/read-through.ts'
import { installedPlugin } from '../install/manifest.ts'
import { version } from '../version.ts'

/** Requests wait meanwhile: what cannot be had at once is had in the next run. A load takes 20 ms. */
const PATIENCE = { lockMs: 10, loadMs: 1_000 } as const

/** The networks whose table and rules this host looks after; those of delegated IPAM have other owners. */
function rulesOf(dataDir: string): (NetworkRules & { readonly network: string })[] {
  return listRecords(dataDir).flatMap(({ network, bridge, masquerade, ...record }) => {
    const supernet = parsePrefix4(record.supernet)
    const slice = parsePrefix4(record.slice)
    if (bridge === undefined || supernet === undefined || slice === undefined) return []
    return [
      { network, bridge, supernet, slice, masquerade, lockPath: `${dataDir}/rules.lock`, patience: PATIENCE },
    ]
  })
}

/** After each reconcile: what a firewall reload flushed is put back. Before the first container there is nothing to do. */
function repairOf({ dataDir, peers }: DaemonConf, log: Log): { repair: Repair; isDamaged: () => boolean } {
  let used: readonly NetworkRules[] = []
  // One look-up for each network, of those that the last run saw with containers: no disk is asked every second, and what
  // uninstall takes away does not come back.
  const isDamaged = (): boolean => used.some((network) => rulesState(network) !== 'ready')
  const repair: Repair = async (leases) => {
    const networks = rulesOf(dataDir)
    used = networks.filter(({ network }) => leases.some((lease) => lease.network === network))
    if (networks.length === 0) return
    const {
      errors,
      links,
      networks: repaired,
      published,
      removed,
    } = repairRules(networks, leases, nftTemplate)
    for (const err of errors) log.error({ err }, 'rules could not be repaired')
    if (new ClusterFiles(dataDir).isComplete) refuse(peers.listen.port, log)
    if (repaired + published + removed > 0) log.warn({}, 'rules were missing or stale and were repaired')
    if (links > 0) log.warn({}, 'bridges, their ports or sysctls were changed by others and were repaired')
  }
  return { repair, isDamaged }
}

/** Members speak TLS with certificates there; containers have no business with it at all. */
function refuse(port: number, log: Log): void {
  try {
    refusePort(port)
  } catch (err) {
    log.error({ err }, 'rules could not be repaired')
  }
}

/** The next run's configuration; one that is wrong keeps the present run going. */
async function reread(config: string, log: Log): Promise<DaemonConf | undefined> {
  try {
    return await readDaemonConf(config)
  } catch (err) {
    log.error({ err }, 'configuration is wrong, the old one stays')
    return undefined
  }
}

/** What Podman runs: as `flatnet install` put it, or the first that Podman finds. */
function pluginPath(config: string): string | undefined {
  const installed = installedPlugin(systemHost, config)
  const dir = cniPluginDirs(systemHost).find((path) => systemHost.list(path).includes('flatnet'))
  return installed ?? (dir === undefined ? undefined : `${dir}/flatnet`)
}

/** In the background, once it serves. */
function readPlugin(config: string, stop: AbortSignal, log: Log): void {
  const path = pluginPath(config)
  if (path === undefined) log.debug({}, 'no plugin is installed that could be read into the page cache')
  else void readThrough(path, stop, log)
}

/** Runs until told to stop; told to start over, it ends the run in order and begins another with what the file says now. */
async function runAgain(first: DaemonConf, config: string, stop: AbortSignal, log: Log): Promise<void> {
  for (let conf: DaemonConf | undefined = first; conf !== undefined; ) {
    const isFirst = conf === first
    const over = new AbortController()
    let next: DaemonConf | undefined
    const reload = (): void => {
      void reread(config, log).then((read) => {
        next = read
        if (read !== undefined) over.abort()
      })
    }
    process.on('SIGHUP', reload)
    try {
      await runGateway(conf, {
        signal: AbortSignal.any([stop, over.signal]),
        log,
        version: version(),
        ...repairOf(conf, log),
        witness: kernelWitness(conf.dataDir, log),
        reload,
        ...(isFirst && { onReady: () => readPlugin(config, stop, log) }),
      })
    } finally {
      process.off('SIGHUP', reload)
    }
    conf = stop.aborted ? undefined : next
  }
}

export const gatewayCommand = command({
  options: {
    config: {
      type: 'string',
      default: DEFAULT_DAEMON_CONF,
      requiresArg: true,
      describe: "The gateway's configuration",
    },
  },
  examples: [
    ['', 'until SIGTERM or Ctrl-C; logs to stdout'],
    ['--config /srv/flatnet.yaml', 'with another configuration'],
  ],
  async run({ config }) {
    const conf = await readDaemonConf(config)
    const stop = new AbortController()
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
    const { log, close, flush } = openLog(conf.log)
    // What nobody caught ends the gateway, whose state is then unknown; the service manager starts another.
    const fatal = (err: unknown): void => {
      log.error({ err }, 'gateway ends by an error that nobody caught')
      process.stderr.write(`flatnet: ${err instanceof Error ? err.stack : String(err)}\n`)
      try {
        flush()
      } finally {
        process.exit(1)
      }
    }
    process.on('uncaughtException', fatal)
    process.on('unhandledRejection', fatal)
    try {
      await runAgain(conf, config, stop.signal, log)
      return 0
    } finally {
      close()
    }
  },
})
