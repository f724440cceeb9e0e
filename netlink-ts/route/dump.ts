/** Dumps with a filter. */

import { Errno, NetlinkError } from '../errors.ts'
import type { Reply, Request } from '../message.ts'
import type { NetlinkSocket } from '../socket.ts'

/** A filter on a table (ENOENT) or a link (ENODEV) that does not exist is an error to the kernel; nothing is there, so nothing is listed. */
export function dumpOrNone(socket: NetlinkSocket, request: Request): Reply[] {
  try {
    return socket.execute(request)
  } catch (err) {
    if (err instanceof NetlinkError && (err.errno === Errno.ENOENT || err.errno === Errno.ENODEV)) return []
    throw err
  }
}
