/** Makes the UDP socket of the P2P path and sets it up: families, no fragments, buffers, offloads. */

import { Errno, SyscallError } from 'netlink-ts/errors.ts'
import {
  bind,
  close,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOL_SOCKET,
  setsockopt,
  setsockoptInt,
  socket,
} from 'netlink-ts/libc.ts'
import { FlatnetError } from '../core/errors.ts'
import { AF_INET, AF_INET6, sockaddrBytes, type UdpFamily, writeSockaddr } from './sockaddr.ts'

/** include/uapi/linux/udp.h, in.h, in6.h and asm-generic/socket.h. */
const SOL_IP = 0
const SOL_IPV6 = 41
export const SOL_UDP = 17
export const UDP_SEGMENT = 103
export const UDP_GRO = 104
const IP_MTU_DISCOVER = 10
const IPV6_MTU_DISCOVER = 23
/** IP_PMTUDISC_PROBE, the same number for both families: DF set, and the kernel's cache of path MTUs is not asked. */
const PROBE = 3
const IPV6_V6ONLY = 26
const SO_SNDBUF = 7
const SO_RCVBUF = 8
const SO_SNDTIMEO = 21
const SO_SNDBUFFORCE = 32
const SO_RCVBUFFORCE = 33

/**
 * 4 MB are 4 ms at 8 Gbit/s: as long as the loop may be busy elsewhere. The kernel doubles them for its own overhead.
 */
const RECEIVE_BUFFER = 4 << 20
/** A send that finds it full waits, which is the pace of the local link. */
const SEND_BUFFER = 1 << 20
/** And no longer than this: a link that has stopped must not stop the loop. */
const SEND_TIMEOUT_MS = 20

export interface UdpOptions {
  /**
   * `[::]:7443` for all addresses of both families (of IPv4 alone where the kernel has no IPv6), `192.0.2.1:7443` for
   * one.
   */
  readonly listen: string
  /** false: as if the kernel had none. For tests, and the way around a driver whose offload is broken. */
  readonly gso?: boolean
  readonly gro?: boolean
}

export interface OpenUdp {
  readonly fd: number
  readonly family: UdpFamily
  readonly gso: boolean
  readonly gro: boolean
}

/**
 * @throws {FlatnetError} ERR_FLATNET_NOT_READY: the port is taken; ERR_FLATNET_CONFIG: `listen` is no address of this
 *   host
 */
export function openUdp({ listen, gso = true, gro = true }: UdpOptions): OpenUdp {
  const { fd, family } = make(listen)
  try {
    tune(fd, family)
    const offloads = { gso: gso && accepts(fd, UDP_SEGMENT, 0), gro: gro && accepts(fd, UDP_GRO, 1) }
    bindTo(fd, family, listen)
    return { fd, family, ...offloads }
  } catch (error) {
    close(fd)
    throw error
  }
}

/** One socket for both families, where the kernel has both and `listen` asks for all. */
function make(listen: string): { fd: number; family: UdpFamily } {
  const type = SOCK_DGRAM | SOCK_CLOEXEC
  if (listen.startsWith('[')) {
    try {
      return { fd: socket(AF_INET6, type, 0), family: AF_INET6 }
    } catch (error) {
      const isWithoutIpv6 = error instanceof SyscallError && error.errno === Errno.EAFNOSUPPORT
      if (!isWithoutIpv6 || !listen.startsWith('[::]:')) throw error
    }
  }
  return { fd: socket(AF_INET, type, 0), family: AF_INET }
}

function tune(fd: number, family: UdpFamily): void {
  setsockoptInt(fd, SOL_IP, IP_MTU_DISCOVER, PROBE)
  if (family === AF_INET6) {
    setsockoptInt(fd, SOL_IPV6, IPV6_V6ONLY, 0)
    setsockoptInt(fd, SOL_IPV6, IPV6_MTU_DISCOVER, PROBE)
  }
  sizeBuffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, RECEIVE_BUFFER)
  sizeBuffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, SEND_BUFFER)
  // struct timeval of LP64.
  const timeout = new DataView(new ArrayBuffer(16))
  timeout.setBigInt64(8, BigInt(SEND_TIMEOUT_MS * 1_000), true)
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, new Uint8Array(timeout.buffer))
}

/** Past the sysctl's bound where we have CAP_NET_ADMIN, else as far as it allows. */
function sizeBuffer(fd: number, force: number, plain: number, bytes: number): void {
  try {
    setsockoptInt(fd, SOL_SOCKET, force, bytes)
  } catch (error) {
    if (!(error instanceof SyscallError) || error.errno !== Errno.EPERM) throw error
    setsockoptInt(fd, SOL_SOCKET, plain, bytes)
  }
}

/** UDP_SEGMENT is of 4.18, UDP_GRO of 5.0: ENOPROTOOPT before. */
function accepts(fd: number, name: number, value: number): boolean {
  try {
    setsockoptInt(fd, SOL_UDP, name, value)
    return true
  } catch (error) {
    if (error instanceof SyscallError) return false
    throw error
  }
}

function bindTo(fd: number, family: UdpFamily, listen: string): void {
  const address = new Uint8Array(sockaddrBytes(family))
  // Port 0, for tests, is no endpoint to anyone else.
  const any = listen.replace(/:0$/, ':1')
  writeSockaddr(family, family === AF_INET ? any.replace(/^\[::\]/, '0.0.0.0') : any, address)
  if (any !== listen) address[3] = 0
  try {
    bind(fd, address)
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error
    if (error.errno === Errno.EADDRINUSE)
      throw new FlatnetError(
        'ERR_FLATNET_NOT_READY',
        `UDP ${listen} is in use: free it, or choose another p2p.listen`,
        { cause: error },
      )
    if (error.errno === Errno.EADDRNOTAVAIL)
      throw new FlatnetError(
        'ERR_FLATNET_CONFIG',
        `p2p.listen ${listen}: this host does not have that address`,
        { cause: error },
      )
    throw error
  }
}
