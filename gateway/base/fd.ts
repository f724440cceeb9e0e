/** Finds the file descriptor below a socket or server of Node. */
import type { Socket as UdpSocket } from 'node:dgram'
import type { Server, Socket } from 'node:net'

/**
 * Node documents `_handle` for `server.listen(handle)`, and its descriptor nowhere.
 * @param of TLS or not
 * @returns undefined: it is closed, or this Node does not name its descriptor
 */
export function fdOf(of: Server | Socket | UdpSocket): number | undefined {
  const handle: unknown = '_handle' in of ? of._handle : undefined
  const fd = typeof handle === 'object' && handle !== null && 'fd' in handle ? handle.fd : undefined
  return typeof fd === 'number' && fd >= 0 ? fd : undefined
}
