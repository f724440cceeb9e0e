/** `flatnet gc`: removes leases, links and published ports of containers that exited without a DEL. */

import { linkList } from 'netlink-ts/route/link.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { systemClock } from '../../core/clock.ts'
import { collectStale, list, listNetworks } from '../../ipam/inventory.ts'
import type { Lease } from '../../ipam/lease.ts'
import { isReclaimable, type LiveFacts, staleReason } from '../../ipam/stale.ts'
import { openStore } from '../../ipam/store/store.ts'
import { unpublishWhere } from '../../kernel/ports/publish.ts'
import { removeStale } from '../../kernel/repair.ts'
import { liveFacts } from '../../plugin/lease-store.ts'
import { teardownStale } from '../../plugin/teardown.ts'
import { command, jsonOption } from '../command.ts'
import { demandNamed, findPlaces, placeOptions } from '../host/places.ts'
import { CliError, type Column, counted, printJson, printLine, table, widthOf } from '../ui/output.ts'

export interface Collected {
  readonly network: string
  readonly ip: string
  readonly containerId: string
  readonly ifname: string
  readonly name?: string
  readonly reason: string
}

const COLUMNS: readonly Column<Collected>[] = [
  { title: 'NETWORK', value: (c) => c.network, min: 8 },
  { title: 'ADDRESS', value: (c) => c.ip },
  { title: 'CONTAINER', value: (c) => c.containerId.slice(0, 12) },
  { title: 'IF', value: (c) => c.ifname },
  { title: 'NAME', value: (c) => c.name ?? '-', min: 12 },
  { title: 'REASON', value: (c) => c.reason, min: 10 },
]

const collected = (lease: Lease, { bootId, netnsInode }: LiveFacts): Collected => ({
  network: lease.network,
  ip: lease.ip,
  containerId: lease.containerId,
  ifname: lease.ifname,
  ...(lease.name !== undefined && { name: lease.name }),
  reason: staleReason(lease, bootId, netnsInode) ?? 'no link',
})

/**
 * The gateway is not informed: it watches the leases and has dropped the stale ones already. A message could come after
 * the attachment has started again.
 */
function collectNetwork(
  host: NetlinkSocket,
  dataDir: string,
  network: string,
  isDryRun: boolean,
): { collected: Collected[]; errors: Error[] } {
  const store = openStore({ dataDir, network })
  const facts = liveFacts(store, host)
  const stale = list(store).filter((lease) => isReclaimable(lease, facts))
  const result = { collected: [] as Collected[], errors: [] as Error[] }
  for (const lease of stale) {
    const entry = collected(lease, facts)
    if (!isDryRun) {
      const { isGone, errors } = teardownStale(host, store, lease, facts)
      result.errors.push(...errors)
      if (!isGone) continue
    }
    result.collected.push(entry)
  }
  // What became stale meanwhile, and the temp files of killed writers.
  if (!isDryRun) collectStale(store, facts, systemClock)
  return result
}

/** Elements of published ports whose owner, a host interface, is gone. */
function collectPorts(host: NetlinkSocket, isDryRun: boolean): number {
  if (!isDryRun) return removeStale(host)
  let gone = 0
  unpublishWhere(host, () => {
    const names = new Set(linkList(host, { kind: 'veth' }).map((link) => link.name))
    return (owner) => {
      if (!names.has(owner)) gone++
      return false
    }
  })
  return gone
}

export const gcCommand = command({
  options: {
    ...placeOptions,
    ...jsonOption,
    'dry-run': { type: 'boolean', default: false, describe: 'Only list what would be removed' },
  },
  examples: [
    ['--dry-run', 'what would be removed'],
    ['', 'remove it'],
  ],
  async run({ config, cniConfDir, json, dryRun }, { io, host }) {
    if (host.uid() !== 0) throw new CliError('this needs root', 'run it with sudo')
    demandNamed(host, config)
    const places = findPlaces(host, { config, cniConfDir })
    using netlink = NetlinkSocket.open(NETLINK_ROUTE)
    const leases: Collected[] = []
    const errors: Error[] = []
    for (const dataDir of places.dataDirs) {
      for (const network of listNetworks(dataDir)) {
        const result = collectNetwork(netlink, dataDir, network, dryRun)
        leases.push(...result.collected)
        errors.push(...result.errors)
      }
    }
    const ports = collectPorts(netlink, dryRun)
    if (json) printJson(io, { dryRun, leases, ports })
    else {
      if (leases.length > 0) printLine(io, `${table(COLUMNS, leases, widthOf(io))}\n`)
      printLine(
        io,
        `${counted(leases.length, 'lease')} and ${counted(ports, 'published port')} ` +
          `${dryRun ? 'to remove' : 'removed'}`,
      )
    }
    if (errors.length === 0) return 0
    const problems = errors.map(
      (e) => `${e.message}${e.cause instanceof Error ? `: ${e.cause.message}` : ''}`,
    )
    const error = new CliError(
      'not everything could be removed',
      'run flatnet gc again; if that fails too, flatnet doctor',
    )
    throw Object.assign(error, { problems })
  },
})
