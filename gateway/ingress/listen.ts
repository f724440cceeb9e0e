/** Opens a listener of ingress; the error of one that cannot be opened names the key to change. */

import { once } from 'node:events'
import type { Server } from 'node:net'
import { formatEndpoint, type HostPort } from '../../core/endpoint.ts'
import { FlatnetError, hasCode } from '../../core/errors.ts'
import type { KeptListeners } from './kept-listeners.ts'

const remedy = (err: unknown, key: string): string => {
  if (hasCode(err, 'EADDRINUSE'))
    return `something else listens there: stop it, or set ${key} to another port`
  if (hasCode(err, 'EACCES'))
    return `ports below 1024 need root or CAP_NET_BIND_SERVICE: set ${key} to a higher port`
  if (hasCode(err, 'EADDRNOTAVAIL'))
    return `this host has no such address: set ${key} to one that it has, or to 0.0.0.0`
  return 'see the cause'
}

/**
 * @param keptListeners what listens there from an earlier run is taken over
 * @param key of flatnet.yaml, `ingress.listen`
 * @throws {FlatnetError} ERR_FLATNET_IO: it cannot listen there; the message has the way out
 */
export async function listen(
  server: Server,
  { host, port }: HostPort,
  { key, keptListeners }: { readonly key: string; readonly keptListeners: KeptListeners | undefined },
): Promise<void> {
  const fd = keptListeners?.take({ host, port })
  server.listen(fd === undefined ? { host, port } : { fd })
  try {
    await once(server, 'listening')
    keptListeners?.keep({ host, port }, server)
  } catch (cause) {
    const where = formatEndpoint(host, port)
    throw new FlatnetError('ERR_FLATNET_IO', `cannot listen on ${where}: ${remedy(cause, key)}`, { cause })
  }
}
