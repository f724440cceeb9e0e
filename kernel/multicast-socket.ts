/** A UDP socket for one multicast group on one link, beside other programs on the same port. */

import { LITTLE_ENDIAN } from 'netlink-ts/endian.ts'
import { SOL_SOCKET, setsockopt, setsockoptInt } from 'netlink-ts/libc.ts'
import { ipv4Bytes, parseIpv4 } from '../core/addr.ts'
import { bindUdpOn, SOL_IP } from './device-udp.ts'
import { AF_INET, sockaddrBytes, writeSockaddr } from './sockaddr.ts'

/** include/uapi/asm-generic/socket.h, in.h. */
const SO_REUSEADDR = 2
const SO_REUSEPORT = 15
const IP_TTL = 2
const IP_MULTICAST_IF = 32
const IP_MULTICAST_TTL = 33
const IP_ADD_MEMBERSHIP = 35
/** struct ip_mreqn: group, address, index. */
const MREQN_BYTES = 12
/** RFC 6762 11. */
const TTL = 255

export interface MulticastOptions {
  /** `224.0.0.251` */
  readonly group: string
  readonly port: number
  readonly link: { readonly ifname: string; readonly index: number }
}

/**
 * Bound to the group's address: what is sent to the port at an address of this host stays with the programs that had
 * it, as Avahi. The link is the only one that it hears and sends on.
 * @returns its descriptor
 * @throws {SyscallError} EADDRINUSE: a program has the port for itself; ENODEV: the link is gone
 */
export function openMulticast({ group, port, link }: MulticastOptions): number {
  const address = new Uint8Array(sockaddrBytes(AF_INET))
  writeSockaddr(AF_INET, `${group}:${port}`, address)
  const member = new DataView(new ArrayBuffer(MREQN_BYTES))
  const request = new Uint8Array(member.buffer)
  request.set(ipv4Bytes(parseIpv4(group) ?? 0))
  member.setInt32(8, link.index, LITTLE_ENDIAN)
  return bindUdpOn(link.ifname, address, (fd) => {
    for (const option of [SO_REUSEADDR, SO_REUSEPORT]) setsockoptInt(fd, SOL_SOCKET, option, 1)
    setsockopt(fd, SOL_IP, IP_MULTICAST_IF, request)
    setsockopt(fd, SOL_IP, IP_ADD_MEMBERSHIP, request)
    for (const option of [IP_MULTICAST_TTL, IP_TTL]) setsockoptInt(fd, SOL_IP, option, TTL)
  })
}
