/** Dumps with a filter. */

import { Errno, NetlinkError } from '../errors.ts'
import type { Reply, Request } from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'

/** Dumps, or lists nothing where the kernel refuses a filter on a missing table (ENOENT) or link (ENODEV). */
export function dumpOrNone(socket: NetlinkSocket, request: Request): Reply[] {
  try {
    return socket.execute(request)
  } catch (err) {
    if (err instanceof NetlinkError && (err.errno === Errno.ENOENT || err.errno === Errno.ENODEV)) return []
    throw err
  }
}
