/** A TUN device as memory named by address: packets in and out without a buffer of JavaScript per call. */

import { readAt, writeAt, writevAt } from 'netlink-ts/libc-udp.node.ts'
import type { Iovecs, Region } from './arena.ts'

/** The tests have one in memory. */
export interface PacketPort {
  /** Reads one packet with its virtio header. @returns bytes, or the negative errno: -11 (EAGAIN) when there is none */
  read(into: Region, at: number, most: number): number
  write(from: Region, at: number, length: number): number
  /** One packet from several places. */
  writev(iovecs: Iovecs, first: number, count: number): number
}

export class TunPort implements PacketPort {
  readonly fd: number

  /** @param fd non-blocking; stays its owner's to close */
  constructor(fd: number) {
    this.fd = fd
  }

  read(into: Region, at: number, most: number): number {
    return readAt(this.fd, into.address(at, most), most)
  }

  write(from: Region, at: number, length: number): number {
    return writeAt(this.fd, from.address(at, length), length)
  }

  writev(iovecs: Iovecs, first: number, count: number): number {
    return writevAt(this.fd, iovecs.address(first, count), count)
  }
}
