/** What `flatnet gateway` repairs of the kernel's rules after each reconcile. */

import type { DaemonConf } from '../../conf/daemon.ts'
import { nftTemplate } from '../../conf/templates.ts'
import { parsePrefix4 } from '../../core/addr.ts'
import type { HostPort } from '../../core/endpoint.ts'
import type { Log } from '../../core/log.ts'
import { ClusterFiles } from '../../gateway/cluster/identity/files.ts'
import type { Repair } from '../../gateway/leases/reconciler.ts'
import { listRecords } from '../../ipam/networks.ts'
import { droppedPackets } from '../../kernel/drops.ts'
import { ensureGatewayPorts } from '../../kernel/gateway-ports.ts'
import { type GuardedNetwork, repairRules } from '../../kernel/repair.ts'
import { type NetworkRules, rulesState } from '../../kernel/rules.ts'

/** Requests wait meanwhile, so a repair that cannot start at once waits for the next run. A load takes 20 ms. */
const TIMEOUTS = { lockMs: 10, loadMs: 1_000 } as const

/** The networks whose table and rules this host looks after; those of delegated IPAM have other owners. */
function rulesOf(dataDir: string): GuardedNetwork[] {
  return listRecords(dataDir).flatMap(
    ({ network, bridge, masquerade, hostAccess = false, antiSpoof, ...record }) => {
      const supernet = parsePrefix4(record.supernet)
      const slice = parsePrefix4(record.slice)
      if (bridge === undefined || supernet === undefined || slice === undefined) return []
      const lockPath = `${dataDir}/rules.lock`
      const marked = { network, bridge, supernet, slice, masquerade, hostAccess, antiSpoof }
      return [{ ...marked, lockPath, timeouts: TIMEOUTS }]
    },
  )
}

/** After each reconcile, restores what a firewall reload flushed. Before the first container there is nothing to do. */
export function repairOf(
  conf: DaemonConf,
  log: Log,
): { repair: Repair; isDamaged: () => boolean; dropped: () => ReadonlyMap<string, number> } {
  const { dataDir } = conf
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
      guarded,
      links,
      networks: repaired,
      published,
      removed,
    } = repairRules(networks, leases, nftTemplate)
    for (const err of errors) log.error({ err }, 'rules could not be repaired')
    await ensurePorts(conf, log)
    if (repaired + published + removed + guarded > 0)
      log.warn({}, 'rules were missing or stale and were repaired')
    if (links > 0) log.warn({}, 'bridges, their ports or sysctls were changed by others and were repaired')
  }
  return { repair, isDamaged, dropped: droppedPackets }
}

/** Containers reach the ingress, and no port that is for gateways: neither this one's nor any other's. */
async function ensurePorts({ dataDir, ingress, peers }: DaemonConf, log: Log): Promise<void> {
  try {
    const files = new ClusterFiles(dataDir)
    ensureGatewayPorts({
      open: ingress.enabled ? [ingress.port, ...(ingress.tls === undefined ? [] : [ingress.tls.port])] : [],
      refused: files.isComplete ? [peers.listen.port] : [],
      members: files.isComplete ? await readMemberEndpoints(files) : [],
    })
  } catch (err) {
    log.error({ err }, 'rules could not be repaired')
  }
}

/** A host alone does not load the cluster's code (docs/decisions/0011-memory-of-the-gateway.md). */
async function readMemberEndpoints(files: ClusterFiles): Promise<HostPort[]> {
  const { memberEndpoints } = await import('../../gateway/cluster/members/member-endpoints.ts')
  return memberEndpoints(files)
}
