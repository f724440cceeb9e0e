/** Stops ingress: requests under way get time to end. */

import { once } from 'node:events'
import type { Server } from 'node:http'
import type { Millis } from '../../core/clock.ts'

/** A connection that turns idle during the drain is closed within this time. */
const SWEEP_MS: Millis = 50

/** No new connections; requests under way get `drainMs` to end; what has no end of its own is cut off at once. */
export async function drain(
  server: Server,
  endless: ReadonlySet<{ destroy(): unknown }>,
  drainMs: Millis,
): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  // A keep-alive connection would start another request: answers say "Connection: close" from now on.
  server.prependListener('request', (_req, res) => {
    res.shouldKeepAlive = false
  })
  for (const one of endless) one.destroy()
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS)
  const end = setTimeout(() => {
    server.closeAllConnections()
    for (const one of endless) one.destroy()
  }, drainMs)
  await closed
  clearInterval(sweep)
  clearTimeout(end)
}
