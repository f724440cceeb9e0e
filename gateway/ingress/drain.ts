/** Stops ingress: requests under way get time to end. */

import { once } from 'node:events'
import type { Server } from 'node:http'
import type { Millis } from '../../core/clock.ts'

/** A connection that turns idle during the drain is closed within this time. */
const SWEEP_MS: Millis = 50

export interface Draining {
  readonly server: Server
  /** HTTPS: its connections are the server's, once their handshake is done. */
  readonly tls: { stop(): Promise<void>; destroy(): void } | undefined
  readonly endless: ReadonlySet<{ destroy(): unknown }>
  readonly drainMs: Millis
}

/** No new connections; requests under way get `drainMs` to end; what has no end of its own is cut off at once. */
export async function drain({ server, tls, endless, drainMs }: Draining): Promise<void> {
  const closed = Promise.all([once(server, 'close'), tls?.stop()])
  server.close()
  // A keep-alive connection would start another request: answers say "Connection: close" from now on.
  server.prependListener('request', (_req, res) => {
    res.shouldKeepAlive = false
  })
  for (const one of endless) one.destroy()
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS)
  const end = setTimeout(() => {
    server.closeAllConnections()
    tls?.destroy()
    for (const one of endless) one.destroy()
  }, drainMs)
  await closed
  clearInterval(sweep)
  clearTimeout(end)
}
