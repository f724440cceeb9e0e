/** A lease as the gateway's API says it: the plugin posts what the gateway would read from disk. */

import type { Assignment } from '../core/api.ts'
import type { Lease } from './lease.ts'

/** docs/architecture/plugin.md#http-port: the port that ingress uses when the container names none. */
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
