/**
 * The UDP socket of the P2P path: unconnected, for both families, whole batches by segmentation offload each way, and
 * what to do where a kernel or a driver has none. It never fragments: a datagram that is too large is an error of its
 * send.
 */

import { Errno } from 'netlink-ts/errors.ts'
import { close, getsockname } from 'netlink-ts/libc.ts'
import { recvmmsgAt, recvmsgAt, sendmmsgAt, sendmsgAt } from 'netlink-ts/libc-udp.node.ts'
import { type Arena, type Iovecs, putAddress, type Region } from './arena.ts'
import { ReceiveSlots } from './receive-slots.ts'
import { readSockaddr, sockaddrBytes, type UdpFamily } from './sockaddr.ts'
import { openUdp, SOL_UDP, UDP_GRO, UDP_SEGMENT, type UdpOptions } from './udp-open.ts'

const MSG_DONTWAIT = 0x40
const MSG_TRUNC = 0x20

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
   * @returns where it is; `count` 0: nothing was there
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

  /** @throws {FlatnetError} as `openUdp` */
  constructor(arena: Arena, options: UdpOptions) {
    const { fd, family, gso, gro } = openUdp(options)
    this.fd = fd
    this.family = family
    this.#hasGso = gso
    this.#hasGro = gro
    this.address = readSockaddr(getsockname(fd))
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
    // A device without checksum offload cannot segment (EIO), which is known of quinn, quic-go and wireguard-go as
    // well.
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
    if (bytes < 0) return NOTHING
    if (bytes === 0 || (view.getUint32(MSG_FLAGS, true) & MSG_TRUNC) !== 0) return slots.unusable(slot)
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
