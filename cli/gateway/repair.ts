/** What `flatnet gateway` repairs of the kernel's rules after each reconcile. */

import type { DaemonConf } from '../../conf/daemon.ts'
import { nftTemplate } from '../../conf/templates.ts'
import { parsePrefix4 } from '../../core/addr.ts'
import type { Log } from '../../core/log.ts'
import { ClusterFiles } from '../../gateway/cluster/identity/files.ts'
import type { Repair } from '../../gateway/leases/reconciler.ts'
import { listRecords } from '../../ipam/networks.ts'
import { refusePort } from '../../kernel/refused.ts'
import { repairRules } from '../../kernel/repair.ts'
import { type NetworkRules, rulesState } from '../../kernel/rules.ts'

/** Requests wait meanwhile, so a repair that cannot start at once waits for the next run. A load takes 20 ms. */
const TIMEOUTS = { lockMs: 10, loadMs: 1_000 } as const

/** The networks whose table and rules this host looks after; those of delegated IPAM have other owners. */
function rulesOf(dataDir: string): (NetworkRules & { readonly network: string })[] {
  return listRecords(dataDir).flatMap(({ network, bridge, masquerade, ...record }) => {
    const supernet = parsePrefix4(record.supernet)
    const slice = parsePrefix4(record.slice)
    if (bridge === undefined || supernet === undefined || slice === undefined) return []
    return [
      { network, bridge, supernet, slice, masquerade, lockPath: `${dataDir}/rules.lock`, timeouts: TIMEOUTS },
    ]
  })
}

/** After each reconcile, restores what a firewall reload flushed. Before the first container there is nothing to do. */
export function repairOf(
  { dataDir, peers }: DaemonConf,
  log: Log,
): { repair: Repair; isDamaged: () => boolean } {
  let used: readonly NetworkRules[] = []
  // One look-up for each network that had containers in the last run: no disk access every second, and nothing that
  // uninstall removed comes back.
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

/** Only peers with certificates may use this port, so containers are refused. */
function refuse(port: number, log: Log): void {
  try {
    refusePort(port)
  } catch (err) {
    log.error({ err }, 'rules could not be repaired')
  }
}
