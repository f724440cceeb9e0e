/** `flatnet gateway`: runs the daemon of this host until SIGTERM or SIGINT. */
import { DEFAULT_DAEMON_CONF, readDaemonConf } from '../../conf/daemon.ts'
import { nftTemplate } from '../../conf/templates.ts'
import { parsePrefix4 } from '../../core/addr.ts'
import type { Log } from '../../core/log.ts'
import { runGateway } from '../../gateway/daemon.ts'
import { openLog } from '../../gateway/log.ts'
import type { Repair } from '../../gateway/reconciler.ts'
import { listRecords } from '../../ipam/networks.ts'
import { repairRules } from '../../kernel/repair.ts'
import type { NetworkRules } from '../../kernel/rules.ts'
import { version } from '../version.ts'
import { command } from './command.ts'

/** The networks whose table and rules this host looks after; those of delegated IPAM have other owners. */
function rulesOf(dataDir: string): NetworkRules[] {
  return listRecords(dataDir).flatMap(({ bridge, supernet, masquerade }) => {
    const prefix = parsePrefix4(supernet)
    if (bridge === undefined || prefix === undefined) return []
    return [{ bridge, supernet: prefix, masquerade, lockPath: `${dataDir}/rules.lock` }]
  })
}

/** After each reconcile: what a firewall reload flushed is put back. Before the first container there is nothing to do. */
function repairOf(dataDir: string, log: Log): Repair {
  return async (leases) => {
    const networks = rulesOf(dataDir)
    if (networks.length === 0) return
    const { errors, networks: repaired, published, removed } = repairRules(networks, leases, nftTemplate)
    for (const err of errors) log.error({ err }, 'rules could not be repaired')
    if (repaired + published + removed > 0) log.warn({}, 'rules were missing or stale and were repaired')
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
  async run({ config }) {
    const conf = await readDaemonConf(config)
    const stop = new AbortController()
    for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => stop.abort())
    const { log, close } = openLog(conf.log)
    try {
      await runGateway(conf, {
        signal: stop.signal,
        log,
        version: version(),
        repair: repairOf(conf.dataDir, log),
      })
      return 0
    } finally {
      close()
    }
  },
})
