/** A UDP socket that sends and receives by one device alone, whatever the routes say, and never in fragments. */

import {
  bind,
  close,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  setsockopt,
  setsockoptInt,
  socket,
} from 'netlink-ts/libc.ts'
import { AF_INET, sockaddrBytes, writeSockaddr } from './sockaddr.ts'

/** include/uapi/asm-generic/socket.h, in.h. */
const SO_BINDTODEVICE = 25
export const SOL_IP = 0
const IP_MTU_DISCOVER = 10
/** DF set, and the kernel's cache of path MTUs is not asked. */
const IP_PMTUDISC_PROBE = 3

/**
 * Bound to a device, the kernel takes a destination that no route over the device leads to for one on its link: so a
 * way is proven before there is a route that other packets could take.
 * @param address of this host, on whichever device
 * @returns its descriptor
 * @throws {SyscallError} ENODEV: the device is gone; EADDRNOTAVAIL: this host lacks the address
 */
export function openDeviceUdp(ifname: string, address: string): number {
  const bytes = new Uint8Array(sockaddrBytes(AF_INET))
  writeSockaddr(AF_INET, `${address}:1`, bytes)
  // Any port that is free.
  bytes.fill(0, 2, 4)
  return bindUdpOn(ifname, bytes, (fd) => setsockoptInt(fd, SOL_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE))
}

/**
 * Opens a socket of that device alone, and binds it once it is set up.
 * @param sockaddr as the kernel has it
 * @returns its descriptor
 * @throws {SyscallError} nothing is left open
 */
export function bindUdpOn(ifname: string, sockaddr: Uint8Array, setUp: (fd: number) => void): number {
  const fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)
  try {
    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, Buffer.from(`${ifname}\0`))
    setUp(fd)
    bind(fd, sockaddr)
    return fd
  } catch (err) {
    close(fd)
    throw err
  }
}
