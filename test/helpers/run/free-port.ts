/** Ports of loopback, for programs that are told where to listen. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'

/** A listener on a port of its own. */
export async function portHolder(): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, port: (server.address() as AddressInfo).port }
}

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const { server, port } = await portHolder()
  server.close()
  await once(server, 'close')
  return port
}
