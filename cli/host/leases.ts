/** The leases on disk of all networks of this host, for when the gateway is down and for doctor. */

import type { Assignment } from '../../core/api.ts'
import { assignmentsOf, diskLeases, type LeaseSnapshot } from '../../gateway/leases/source.ts'
import { CliError } from '../ui/output.ts'
import type { Places } from './places.ts'

export async function readLeases(dataDirs: readonly string[]): Promise<LeaseSnapshot> {
  const read = await Promise.all(dataDirs.map((dir) => diskLeases(dir).read()))
  return {
    live: read.flatMap((s) => s.live),
    pending: read.flatMap((s) => s.pending),
    stale: read.flatMap((s) => s.stale),
    unreadable: read.flatMap((s) => s.unreadable),
  }
}

/** As the gateway would show them. A network whose conflist is gone has the numbers of flatnet.yaml, or none. */
export async function assignmentsOnDisk(places: Places): Promise<Assignment[]> {
  const { live } = await readLeases(places.dataDirs)
  return [...new Set(live.map((l) => l.network))].flatMap((name) => {
    const ipam = places.networks.find((n) => n.name === name)?.conf.ipam ?? places.conf
    const own = live.filter((l) => l.network === name)
    return assignmentsOf(own, ipam?.hostId ?? 0, ipam?.hostPrefix ?? 32)
  })
}

/**
 * The containers that have addresses, or are about to: the first five by name and address.
 * @param network only of this one; undefined: of all
 * @returns undefined when there are none
 */
export async function addressedContainers(
  { dataDirs }: Places,
  network?: string,
): Promise<string | undefined> {
  const { live, pending } = await readLeases(dataDirs)
  const held = [...live, ...pending].filter((l) => network === undefined || l.network === network)
  if (held.length === 0) return undefined
  const named = held.slice(0, 5).map((l) => `${l.name ?? l.containerId.slice(0, 12)} (${l.ip})`)
  return `${named.join(', ')}${held.length > 5 ? ` and ${held.length - 5} more` : ''}`
}

/** @throws {CliError} containers have addresses that would be another host's */
export async function refuseMovingLive(places: Places, why: string, network?: string): Promise<void> {
  const held = await addressedContainers(places, network)
  if (held === undefined) return
  throw new CliError(
    `${why}, and containers have addresses of the present slice: ${held}`,
    'stop them, run this again, then start them: they get addresses of the new slice',
  )
}
