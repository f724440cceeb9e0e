/** Restores what was flushed or deleted: bridges, the table, its networks and ports, from the leases. */

import { linkByName, linkList } from 'netlink-ts/route/link.ts'
import { NETLINK_ROUTE, NetlinkSocket } from 'netlink-ts/socket.ts'
import { parseIpv4 } from '../core/addr.ts'
import type { PortMapping } from '../core/api.ts'
import { repairBridge } from './bridge.ts'
import { repairGuards } from './guard-repair.ts'
import { Netfilter } from './netfilter.ts'
import { restorePorts, unpublishPorts, unpublishWhere } from './ports/publish.ts'
import { ensureRules, type NetworkRules } from './rules.ts'

/** The part of a lease that rules follow from. */
export interface Publisher {
  readonly network: string
  readonly containerId: string
  readonly ip: string
  readonly mac: string
  readonly hostIfname: string
  readonly ports?: readonly PortMapping[]
}

export interface Repaired {
  /** Restored bridges, addresses, ports and sysctls. */
  readonly links: number
  /** Networks whose rules were restored. */
  readonly networks: number
  /** Ports of bridges that passed too much, or too little. */
  readonly guarded: number
  /** Ports that were missing, or led elsewhere. */
  readonly published: number
  /** Elements without a living owner. */
  readonly removed: number
  readonly errors: readonly Error[]
}

export interface GuardedNetwork extends NetworkRules {
  readonly network: string
  /** undefined: an older release wrote its record. */
  readonly antiSpoof: boolean | undefined
}

/**
 * Idempotent; with nothing to do it only reads. Never throws: what cannot be repaired is reported, the rest goes on.
 * @param text of the ruleset
 */
export function repairRules(
  networks: readonly GuardedNetwork[],
  publishers: readonly Publisher[],
  text: () => string,
): Repaired {
  const errors: Error[] = []
  const attempt = <T>(what: string, fallback: T, run: () => T): T => {
    try {
      return run()
    } catch (cause) {
      errors.push(new Error(what, { cause }))
      return fallback
    }
  }
  using host = NetlinkSocket.open(NETLINK_ROUTE)
  const links = networks.map((n) => attempt(`bridge ${n.bridge}`, 0, () => repairBridge(host, n)))
  const states = networks.map((n) => attempt(`rules of ${n.bridge}`, 'ready', () => ensureRules(n, text)))
  // Before publishing: a stale owner's element may stand where a live one's belongs.
  const removed = attempt('stale ports', 0, () => removeStale(host))
  const published = publishers.map((p) => attempt(`ports of ${p.ip}`, 0, () => publish(host, p)))
  using netfilter = new Netfilter()
  const guarded = attempt('what containers send', 0, () =>
    repairGuards(host, netfilter, withAntiSpoof(networks, publishers)),
  )
  return {
    links: sum(links),
    guarded,
    networks: states.filter((state) => state !== 'ready').length,
    published: sum(published),
    removed,
    errors,
  }
}

function withAntiSpoof(networks: readonly GuardedNetwork[], publishers: readonly Publisher[]) {
  const known = new Map(networks.map(({ network, antiSpoof }) => [network, antiSpoof]))
  return publishers.map((lease) => ({ ...lease, antiSpoof: known.get(lease.network) }))
}

const sum = (counts: readonly number[]): number => counts.reduce((total, n) => total + n, 0)

/** Elements whose owner, a host interface, is gone. */
export function removeStale(host: NetlinkSocket): number {
  return unpublishWhere(host, () => {
    const names = new Set(linkList(host, { kind: 'veth' }).map((link) => link.name))
    return (owner) => !names.has(owner)
  })
}

function publish(host: NetlinkSocket, { ip, hostIfname, ports = [] }: Publisher): number {
  const address = parseIpv4(ip)
  // A DEL may have run since the leases were read: publish no port for an owner that is gone.
  if (linkByName(host, hostIfname) === undefined) return 0
  const restored = address === undefined ? 0 : restorePorts(host, ports, address, hostIfname)
  // A DEL looks for such elements after its link is gone. If it looked before we published, we have to notice.
  if (restored > 0 && linkByName(host, hostIfname) === undefined) unpublishPorts(host, ports, hostIfname)
  return restored
}
