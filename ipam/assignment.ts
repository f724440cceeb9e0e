/** A lease in the words of the gateway's API: what the plugin posts and what the gateway reads from disk are one thing. */

import type { Assignment } from '../core/api.ts'
import type { Lease } from './lease.ts'

/** docs/architecture/plugin.md#http-port: what ingress talks to when nobody says otherwise. */
const DEFAULT_HTTP_PORT = 80

export function assignmentOf(lease: Lease, hostId: number, prefixLen: number): Assignment {
  return {
    network: lease.network,
    containerId: lease.containerId,
    ifname: lease.ifname,
    hostId,
    ips: [`${lease.ip}/${prefixLen}`],
    mac: lease.mac,
    ...(lease.name !== undefined && { name: lease.name }),
    aliases: lease.aliases ?? [],
    ports: lease.ports ?? [],
    httpPort: lease.httpPort ?? DEFAULT_HTTP_PORT,
    createdAt: lease.createdAt,
  }
}
