/** Listens for what a router multicasts after a restart (RFC 6886, 3.2.1; RFC 6887, 14). */

import { createSocket, type Socket } from 'node:dgram'

const GROUP = '224.0.0.1'
const PORT = 5_350
/** Where PCP and NAT-PMP answer, and announce from. */
const ROUTER_PORT = 5_351

/**
 * Whatever is announced is only a reason to ask the router itself. Where the port is taken or a firewall drops it, the
 * router is asked as often as without.
 * @param from this host's address on the router's network @param announced called for each datagram of the router
 */
export function listenForAnnouncements(from: string, gateway: string, announced: () => void): Disposable {
  const socket: Socket = createSocket({ type: 'udp4', reuseAddr: true })
  socket.on('error', () => {})
  socket.on('message', (_bytes, { address, port }) => {
    if (address === gateway && port === ROUTER_PORT) announced()
  })
  socket.bind({ port: PORT, exclusive: true }, () => {
    try {
      socket.addMembership(GROUP, from)
    } catch {
      // The address is gone.
    }
  })
  return { [Symbol.dispose]: () => void socket.close() }
}
