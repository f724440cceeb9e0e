/** The leases on disk of all networks of this host, for when the gateway is down and for doctor. */
import type { Assignment } from '../../core/api.ts'
import { assignmentsOf, diskLeases, type LeaseSnapshot } from '../../gateway/leases.ts'
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
