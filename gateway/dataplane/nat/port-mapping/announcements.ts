/**
 * Listens for what a router multicasts after a restart (RFC 6886, 3.2.1; RFC 6887, 14; UPnP Device Architecture 1.1,
 * 1.2).
 */

import { createSocket, type Socket } from 'node:dgram'
import type { PortMappingProtocol } from '../../../../conf/port-mapping.ts'
import type { RouterPlace } from './types.ts'

interface Announced {
  readonly group: string
  readonly port: number
  /** Whether it is one that says something new. */
  isNews(bytes: Buffer, fromPort: number): boolean
}

/** Where PCP and NAT-PMP answer, and announce from. */
const ROUTER_PORT = 5_351
const byPcp = (): Announced => ({
  group: '224.0.0.1',
  port: 5_350,
  isNews: (_bytes, fromPort) => fromPort === ROUTER_PORT,
})

/**
 * Routers repeat what they announce, some of them every half minute in a dozen datagrams: each start is news once.
 * @returns whether a datagram may be of a start that none before it was of
 */
export function ssdpNews(): (bytes: Buffer) => boolean {
  let known: string | undefined
  return (bytes) => {
    const text = bytes.toString('latin1', 0, 2_048)
    if (!text.startsWith('NOTIFY ')) return false
    // Absent in devices of version 1.0, of which each announcement may be the first.
    const [, bootId] = /^bootid\.upnp\.org:[ \t]*(\d{1,10})[ \t]*\r?$/im.exec(text) ?? []
    const isGone = /^nts:[ \t]*ssdp:byebye[ \t]*\r?$/im.test(text)
    const isNews = isGone || bootId === undefined || bootId !== known
    known = isGone ? undefined : bootId
    return isNews
  }
}

const bySsdp = (): Announced => ({ group: '239.255.255.250', port: 1_900, isNews: ssdpNews() })

/**
 * Whatever is announced is only a reason to ask the router itself. Where the port is taken or a firewall drops it, the
 * router is asked as often as without.
 * @param announced called for each datagram of the router that may be of a new start
 */
export function listenForAnnouncements(
  protocol: PortMappingProtocol,
  { ownAddress, gateway }: RouterPlace,
  announced: () => void,
): Disposable {
  const { group, port, isNews } = protocol === 'upnp' ? bySsdp() : byPcp()
  const socket: Socket = createSocket({ type: 'udp4', reuseAddr: true })
  socket.on('error', () => {})
  socket.on('message', (bytes, from) => {
    if (from.address === gateway && isNews(bytes, from.port)) announced()
  })
  socket.bind({ port, exclusive: true }, () => {
    try {
      socket.addMembership(group, ownAddress)
    } catch {
      // The address is gone.
    }
  })
  return { [Symbol.dispose]: () => void socket.close() }
}
