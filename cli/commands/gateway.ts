/**
 * `flatnet gateway`: runs the daemon of this host until SIGTERM or SIGINT.
 *
 * SIGHUP and `POST /v1/reload` restart it within the process.
 */

import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { type DaemonConf, readDaemonConf } from '../../conf/daemon.ts'
import { version } from '../../conf/version.ts'
import type { Log } from '../../core/log.ts'
import { runGateway } from '../../gateway/daemon.ts'
import { type Launched, launchProcess, p2pCommand } from '../../gateway/dataplane/p2p/launch.ts'
import { KeptDnsListeners } from '../../gateway/dns/kept-listeners.ts'
import { KeptListeners } from '../../gateway/ingress/kept-listeners.ts'
import { kernelView } from '../../gateway/leases/kernel-source.ts'
import { KeptLinks } from '../../gateway/mdns/kept-links.ts'
import { command } from '../command.ts'
import { runUntilSignal } from '../gateway/long-run.ts'
import { readThrough } from '../gateway/read-through.ts'
import { repairOf } from '../gateway/repair.ts'
import { systemHost } from '../host/host.ts'
import { configOption } from '../host/places.ts'
import { pluginDirs } from '../host/podman-conf.ts'
import { installedPlugin } from '../install/manifest.ts'

/** Reads the next run's configuration. If it is invalid, the present run goes on. */
async function reread(config: string, log: Log): Promise<DaemonConf | undefined> {
  try {
    return await readDaemonConf(config)
  } catch (err) {
    log.error({ err }, 'configuration is wrong, the old one stays')
    return undefined
  }
}

/** The plugin that Podman runs: the one that `flatnet install` placed, or the first that Podman finds. */
function pluginPath(config: string): string | undefined {
  const installed = installedPlugin(systemHost, config)
  const dirs = [...pluginDirs(systemHost, 'cni'), ...pluginDirs(systemHost, 'netavark')]
  const dir = dirs.find((path) => systemHost.list(path).includes('flatnet'))
  return installed ?? (dir === undefined ? undefined : `${dir}/flatnet`)
}

/** Reads the plugin into the page cache in the background, once the gateway serves. */
function readPlugin(config: string, stop: AbortSignal, log: Log): void {
  const path = pluginPath(config)
  if (path === undefined) log.debug({}, 'no plugin is installed that could be read into the page cache')
  else void readThrough(path, stop, log)
}

/** How to start the P2P process. Where a service of its own runs it, this gateway only connects to it. */
function launchP2p({ dataDir }: DaemonConf, config: string): { launchP2p?: () => Launched } {
  // systemd sets this for its services: a gateway started by hand beside an installed one has its own process.
  const isService =
    process.env['INVOCATION_ID'] !== undefined && existsSync('/etc/systemd/system/flatnet-p2p.service')
  if (isService) return {}
  return { launchP2p: () => launchProcess(p2pCommand(resolve(config)), `${dataDir}/log/p2p.log`) }
}

/** What a reload leaves open. */
interface Kept {
  readonly keptListeners: KeptListeners
  readonly keptDnsListeners: KeptDnsListeners
  readonly keptLinks: KeptLinks
}

/** What all runs of the gateway have in common. */
interface Runs {
  readonly config: string
  readonly stop: AbortSignal
  readonly log: Log
  readonly kept: Kept
}

/**
 * One run, until `stop` or a reload.
 * @returns the next run's configuration; undefined: stop
 */
async function runOnce(
  conf: DaemonConf,
  { config, stop, log, kept }: Runs,
  onReady: () => void,
): Promise<DaemonConf | undefined> {
  const over = new AbortController()
  let next: DaemonConf | undefined
  const reload = (): void => {
    void reread(config, log).then((read) => {
      next = read ?? next
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
      kernelView: kernelView(conf.dataDir, log),
      reload,
      ...kept,
      ...launchP2p(conf, config),
      onReady,
    })
  } finally {
    process.off('SIGHUP', reload)
  }
  return stop.aborted ? undefined : next
}

/**
 * Runs until `stop`. On a reload it shuts the run down in order and starts another with the file's new content, or
 * with the old one where the new cannot be started, e.g. because its port is taken.
 */
async function runAgain(first: DaemonConf, runs: Runs): Promise<void> {
  const { config, stop, log } = runs
  let good: DaemonConf | undefined
  for (let conf: DaemonConf | undefined = first; conf !== undefined; ) {
    const current: DaemonConf = conf
    const onReady = (): void => {
      if (good === undefined) readPlugin(config, stop, log)
      good = current
    }
    try {
      conf = await runOnce(current, runs, onReady)
    } catch (err) {
      if (good === undefined || good === current) throw err
      log.error({ err }, 'configuration could not be used, the old one is back')
      conf = good
    }
  }
}

/**
 * With what outlives a reload: it ends at once with the gateway, also while one run has ended and the next is to start.
 */
async function runToEnd(
  conf: DaemonConf,
  { config, stop, log }: Pick<Runs, 'config' | 'stop' | 'log'>,
): Promise<void> {
  const kept: Kept = {
    keptListeners: new KeptListeners(),
    keptDnsListeners: new KeptDnsListeners(),
    keptLinks: new KeptLinks(),
  }
  const close = async (): Promise<void> => {
    kept.keptListeners.close()
    await Promise.all([kept.keptDnsListeners.close(), kept.keptLinks.close()])
  }
  stop.addEventListener('abort', () => void close(), { once: true })
  try {
    await runAgain(conf, { config, stop, log, kept })
  } finally {
    await close()
  }
}

export const gatewayCommand = command({
  options: configOption,
  examples: [
    ['', 'until SIGTERM or Ctrl-C; logs to stdout'],
    ['--config /srv/flatnet.yaml', 'with another configuration'],
  ],
  async run({ config }) {
    const conf = await readDaemonConf(config)
    return runUntilSignal(conf.log, {
      // The service manager starts another gateway.
      crashed: (log, err) => log.error({ err }, 'gateway ends by an error that nobody caught'),
      run: (log, stop) => runToEnd(conf, { config, stop, log }),
    })
  },
})
