/**
 * The UDP socket of the P2P path: unconnected, for both families, whole batches by segmentation offload each way, and what
 * to do where a kernel or a driver has none. It never fragments: a datagram that is too large is an error of its send.
 */
import { Errno, SyscallError } from 'netlink-ts/errors.ts'
import {
  bind,
  close,
  getsockname,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOL_SOCKET,
  setsockopt,
  setsockoptInt,
  socket,
} from 'netlink-ts/libc.ts'
import { recvmmsgAt, recvmsgAt, sendmmsgAt, sendmsgAt } from 'netlink-ts/libc-udp.node.ts'
import { FlatnetError } from '../core/errors.ts'
import { type Arena, type Iovecs, putAddress, type Region } from './arena.ts'
import { ReceiveSlots } from './receive-slots.ts'
import { AF_INET, AF_INET6, readSockaddr, sockaddrBytes, type UdpFamily, writeSockaddr } from './sockaddr.ts'

/** include/uapi/linux/udp.h, in.h, in6.h and asm-generic/socket.h. */
const SOL_IP = 0
const SOL_IPV6 = 41
const SOL_UDP = 17
const UDP_SEGMENT = 103
const UDP_GRO = 104
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
const MSG_DONTWAIT = 0x40
const MSG_TRUNC = 0x20

/** 4 MB are 4 ms at 8 Gbit/s: as long as the loop may be busy elsewhere. The kernel doubles them for its own overhead. */
const RECEIVE_BUFFER = 4 << 20
/** A send that finds it full waits, which is the pace of the local link. */
const SEND_BUFFER = 1 << 20
/** And no longer than this: a link that has stopped must not stop the loop. */
const SEND_TIMEOUT_MS = 20

/** UDP_MAX_SEGMENTS of kernels before 6.9, and what an IPv4 datagram holds. */
const MAX_SEGMENTS = 64
const MAX_PAYLOAD = 65_507
/** struct msghdr and mmsghdr of LP64. */
const MSGHDR = 56
const MMSGHDR = 64
const MSG_NAME = 0
const MSG_NAMELEN = 8
const MSG_IOV = 16
const MSG_IOVLEN = 24
const MSG_CONTROL = 32
const MSG_CONTROLLEN = 40
const MSG_FLAGS = 48
const MSG_LEN = 56
const CONTROL_BYTES = 64
/** cmsghdr: length u64, level, type; then the value. */
const CMSG_LEVEL = 8
const CMSG_TYPE = 12
const CMSG_DATA = 16
const SEGMENT_CMSG = CMSG_DATA + 2
const SEGMENT_CMSG_SPACE = 24

export interface UdpOptions {
  /** `[::]:7443` for all addresses of both families (of IPv4 alone where the kernel has no IPv6), `192.0.2.1:7443` for one. */
  readonly listen: string
  /** false: as if the kernel had none. For tests, and the way around a driver whose offload is broken. */
  readonly gso?: boolean
  readonly gro?: boolean
}

/** Datagrams out and in. The one in memory of the tests is the other implementation. */
export interface DatagramPort {
  readonly family: UdpFamily
  readonly slots: ReceiveSlots
  /** The most datagrams of this size that one `send` takes. */
  maxSegments(segmentBytes: number): number
  /**
   * Sends `segments` datagrams, each of `perSegment` iovecs from `first` on, all of `segmentBytes` but the last.
   * @param to a sockaddr of `family`
   * @returns 0, or the errno: EMSGSIZE, EAGAIN when the link does not take it, EHOSTUNREACH …
   */
  send(
    iovecs: Iovecs,
    first: number,
    segments: number,
    perSegment: number,
    segmentBytes: number,
    to: Region,
  ): number
  /**
   * Takes the next batch into the slots from `slot` on.
   * @param emptied as of `ReceiveSlots.settle`
   * @returns where it is; `count` 0: nothing was there, or nothing that can be used
   */
  receive(slot: number, emptied: () => void): { readonly first: number; readonly count: number }
}

const NOTHING = { first: 0, count: 0 } as const

export class UdpSocket implements DatagramPort {
  readonly fd: number
  readonly family: UdpFamily
  /** The own address as the kernel has it, with the port that it chose for port 0. */
  readonly address: string
  readonly slots: ReceiveSlots
  readonly #out: Region
  readonly #control: Region
  readonly #outs: Region
  readonly #in: Region
  readonly #inControl: Region
  readonly #ins: Region
  readonly #outAddress: bigint
  readonly #inAddress: bigint
  #hasGso: boolean
  readonly #hasGro: boolean
  /** Without GRO: a datagram of this size came and was cut; the next batch has room for it. */
  #larger = 0

  /**
   * @throws {FlatnetError} ERR_FLATNET_NOT_READY: the port is taken; ERR_FLATNET_CONFIG: `listen` is no address of this host
   */
  constructor(arena: Arena, options: UdpOptions) {
    const { fd, family } = open(options.listen)
    this.fd = fd
    this.family = family
    try {
      tune(fd, family)
      this.#hasGso = (options.gso ?? true) && accepts(fd, UDP_SEGMENT, 0)
      this.#hasGro = (options.gro ?? true) && accepts(fd, UDP_GRO, 1)
      bindTo(fd, family, options.listen)
      this.address = readSockaddr(getsockname(fd))
    } catch (error) {
      close(fd)
      throw error
    }
    this.slots = new ReceiveSlots(arena)
    this.#out = arena.take(MSGHDR)
    this.#control = arena.take(CONTROL_BYTES)
    this.#outs = arena.take(MAX_SEGMENTS * MMSGHDR)
    this.#in = arena.take(MSGHDR)
    this.#inControl = arena.take(CONTROL_BYTES)
    this.#ins = arena.take(MAX_SEGMENTS * MMSGHDR)
    this.#outAddress = this.#out.address(0, MSGHDR)
    this.#inAddress = this.#in.address(0, MSGHDR)
    const { view } = this.#control
    view.setUint32(0, SEGMENT_CMSG, true)
    view.setInt32(CMSG_LEVEL, SOL_UDP, true)
    view.setInt32(CMSG_TYPE, UDP_SEGMENT, true)
  }

  /** What is in use at this moment: a driver may end GSO at any send. */
  get features(): { readonly gso: boolean; readonly gro: boolean } {
    return { gso: this.#hasGso, gro: this.#hasGro }
  }

  maxSegments(segmentBytes: number): number {
    return Math.min(MAX_SEGMENTS, Math.floor(MAX_PAYLOAD / segmentBytes))
  }

  send(
    iovecs: Iovecs,
    first: number,
    segments: number,
    perSegment: number,
    segmentBytes: number,
    to: Region,
  ): number {
    if (segments > 1 && !this.#hasGso) return this.#sendEach(iovecs, first, segments, perSegment, to)
    const { view } = this.#out
    this.#address(view, 0, to)
    putAddress(view, MSG_IOV, iovecs.addressNumber(first, segments * perSegment))
    view.setUint32(MSG_IOVLEN, segments * perSegment, true)
    if (segments > 1) this.#control.view.setUint16(CMSG_DATA, segmentBytes, true)
    putAddress(view, MSG_CONTROL, segments > 1 ? this.#control.addressNumber(0, SEGMENT_CMSG_SPACE) : 0)
    view.setUint32(MSG_CONTROLLEN, segments > 1 ? SEGMENT_CMSG_SPACE : 0, true)
    const result = sendmsgAt(this.fd, this.#outAddress, 0)
    if (result >= 0) return 0
    // A device without checksum offload cannot segment (EIO), which is known of quinn, quic-go and wireguard-go as well.
    if (segments === 1 || result !== -Errno.EIO) return -result
    this.#hasGso = false
    return this.#sendEach(iovecs, first, segments, perSegment, to)
  }

  #address(view: DataView, at: number, to: Region): void {
    putAddress(view, at + MSG_NAME, to.addressNumber(0, sockaddrBytes(this.family)))
    view.setUint32(at + MSG_NAMELEN, sockaddrBytes(this.family), true)
  }

  #sendEach(iovecs: Iovecs, first: number, segments: number, perSegment: number, to: Region): number {
    const { view } = this.#outs
    for (let i = 0, at = 0; i < segments; i++, at += MMSGHDR) {
      this.#address(view, at, to)
      putAddress(view, at + MSG_IOV, iovecs.addressNumber(first + i * perSegment, perSegment))
      view.setUint32(at + MSG_IOVLEN, perSegment, true)
    }
    for (let sent = 0; sent < segments; ) {
      const left = segments - sent
      const result = sendmmsgAt(this.fd, this.#outs.address(sent * MMSGHDR, left * MMSGHDR), left, 0)
      if (result <= 0) return result === 0 ? Errno.EAGAIN : -result
      sent += result
    }
    return 0
  }

  receive(slot: number, emptied: () => void): { readonly first: number; readonly count: number } {
    if (!this.#hasGro) return this.#receiveEach(slot, emptied)
    const { slots } = this
    const { view } = this.#in
    this.#into(view, 0, slot)
    view.setUint32(MSG_IOVLEN, 2 * slots.batchFrom(slot), true)
    putAddress(view, MSG_CONTROL, this.#inControl.addressNumber(0, CONTROL_BYTES))
    view.setUint32(MSG_CONTROLLEN, CONTROL_BYTES, true)
    const bytes = recvmsgAt(this.fd, this.#inAddress, MSG_DONTWAIT)
    if (bytes <= 0 || (view.getUint32(MSG_FLAGS, true) & MSG_TRUNC) !== 0) return NOTHING
    return slots.settle(slot, bytes, this.#segment(bytes), emptied)
  }

  #into(view: DataView, at: number, slot: number): void {
    const { slots, family } = this
    const bytes = sockaddrBytes(family)
    putAddress(view, at + MSG_NAME, slots.sources.addressNumber(slot * 28, bytes))
    view.setUint32(at + MSG_NAMELEN, bytes, true)
    putAddress(view, at + MSG_IOV, slots.iovecs.addressNumber(2 * slot, 2))
  }

  /** What the kernel joined them from; a datagram alone comes without. */
  #segment(bytes: number): number {
    if (this.#in.view.getUint32(MSG_CONTROLLEN, true) < CMSG_DATA + 4) return bytes
    const { view } = this.#inControl
    if (view.getInt32(CMSG_LEVEL, true) !== SOL_UDP || view.getInt32(CMSG_TYPE, true) !== UDP_GRO)
      return bytes
    const segment = view.getInt32(CMSG_DATA, true)
    return segment > 0 ? segment : bytes
  }

  #receiveEach(slot: number, emptied: () => void): { readonly first: number; readonly count: number } {
    let first = slot
    const { slots } = this
    if (this.#larger > slots.segmentBytes) {
      emptied()
      slots.layOut(this.#larger)
      first = 0
    }
    const room = slots.batchFrom(first)
    const { view } = this.#ins
    for (let i = 0; i < room; i++) {
      this.#into(view, i * MMSGHDR, first + i)
      view.setUint32(i * MMSGHDR + MSG_IOVLEN, 2, true)
    }
    const count = recvmmsgAt(this.fd, this.#ins.address(0, room * MMSGHDR), room, MSG_DONTWAIT | MSG_TRUNC)
    if (count <= 0) return NOTHING
    for (let i = 0; i < count; i++) this.#describe(first + i, view.getUint32(i * MMSGHDR + MSG_LEN, true))
    return { first, count }
  }

  /** @param length real one, also of a datagram that was cut: then 0, which is too short for anything */
  #describe(slot: number, length: number): void {
    const { slots } = this
    slots.sourceOf[slot] = slot
    slots.lengths[slot] = length <= slots.segmentBytes ? length : 0
    if (length > slots.segmentBytes && length <= 9_000) this.#larger = Math.max(this.#larger, length)
  }

  close(): void {
    close(this.fd)
  }
}

/** One socket for both families, where the kernel has both and `listen` asks for all. */
function open(listen: string): { fd: number; family: UdpFamily } {
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
