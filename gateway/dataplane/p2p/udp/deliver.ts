/** Packets that opened, on their way to the device: each is judged as one of the tunnel, then written. */
import { Errno } from 'netlink-ts/errors.ts'
import type { Prefix4 } from '../../../../core/addr.ts'
import { type Arena, Iovecs, type Region } from '../../../../kernel/arena.ts'
import type { PacketPort } from '../../../../kernel/tun-port.ts'
import { checkIncoming, Verdict } from '../../tunnel/check.ts'
import { VIRTIO_HEADER } from '../../tunnel/frame.ts'
import type { PeerState } from './peer.ts'
import type { PlaneCounters } from './types.ts'
import { headLength, MAX_HEAD, payloadOf, repairHead, segmentSizeOf } from './wire/record-head.ts'

const IP_HEADER = 20
const LENGTH_AT = VIRTIO_HEADER + 2

export class Deliverer {
  readonly #tun: PacketPort
  readonly #own: Prefix4
  readonly #counters: PlaneCounters
  readonly #head: Region
  readonly #pieces: Iovecs
  /**
   * The device refused a super-packet as invalid and took it cut (vendor kernels, known of users of wireguard-go): from
   * then on all are cut here.
   */
  #isCutting = false

  constructor(arena: Arena, tun: PacketPort, own: Prefix4, counters: PlaneCounters) {
    this.#tun = tun
    this.#own = own
    this.#counters = counters
    this.#head = arena.take(MAX_HEAD)
    this.#pieces = new Iovecs(arena, 2)
  }

  /** Whether super-packets have to be written one segment at a time. */
  get isCutting(): boolean {
    return this.#isCutting
  }

  /** Packets one after another, as a device gave them: the lengths of IP say where each ends. */
  packets(peer: PeerState, text: Region, from: number, length: number): void {
    const end = from + length
    for (let at = from; at < end; ) {
      const size =
        end - at < VIRTIO_HEADER + IP_HEADER ? 0 : VIRTIO_HEADER + text.view.getUint16(at + LENGTH_AT)
      if (size < VIRTIO_HEADER + IP_HEADER || at + size > end) {
        peer.counters.rxMalformed++
        return
      }
      this.#one(peer, text, at, size)
      at += size
    }
  }

  #one(peer: PeerState, text: Region, at: number, size: number): void {
    if (checkIncoming(text.bytes, at, at + size, peer.slice, this.#own) !== Verdict.ok) {
      peer.counters.rxRefused++
      return
    }
    const head = this.#isCutting ? headLength(text.bytes, at, size) : 0
    if (head > 0) this.#cut(peer, text, at, head)
    else this.#wrote(peer, size, this.#tun.write(text, at, size)) || this.#retry(peer, text, at, size)
  }

  /**
   * One super-packet whose payload lies in several places.
   * @param at of its head in `text`, already repaired; the first piece of payload follows
   * @param size of virtio header and packet in all
   * @returns false when the device refuses it as a whole: its pieces may be tried
   */
  scattered(peer: PeerState, text: Region, at: number, size: number, pieces: Iovecs, count: number): boolean {
    // Everything that is judged lies in the head; the payload that is elsewhere is only measured.
    if (checkIncoming(text.bytes, at, at + size, peer.slice, this.#own) !== Verdict.ok) {
      peer.counters.rxRefused++
      return true
    }
    return this.#wrote(peer, size, this.#tun.writev(pieces, 0, count))
  }

  /** Counts a write. @returns false for EINVAL, which another form of the packet may mend */
  #wrote(peer: PeerState, size: number, result: number): boolean {
    if (result >= 0) {
      peer.counters.rxPackets++
      peer.counters.rxBytes += size - VIRTIO_HEADER
      return true
    }
    if (result === -Errno.EINVAL) return false
    this.refused()
    return true
  }

  #retry(peer: PeerState, text: Region, at: number, size: number): void {
    const head = headLength(text.bytes, at, size)
    if (head === 0 || !this.#cut(peer, text, at, head)) this.refused()
    else this.#isCutting = true
  }

  /** Writes a super-packet segment by segment. @returns whether the device took all */
  #cut(peer: PeerState, text: Region, at: number, head: number): boolean {
    const payload = payloadOf(text.bytes, at, head)
    const most = segmentSizeOf(text.bytes, at)
    if (payload <= 0 || most <= 0) return false
    for (let offset = 0, before = 0; offset < payload; offset += most, before++) {
      const size = Math.min(most, payload - offset)
      this.#head.copyFrom(0, text, at, head)
      repairHead(this.#head.bytes, 0, head, { offset, size, isLast: offset + size === payload, before })
      this.#pieces.set(0, this.#head, 0, head)
      this.#pieces.set(1, text, at + head + offset, size)
      if (!this.#wrote(peer, head + size, this.#tun.writev(this.#pieces, 0, 2))) return false
      this.#counters.segmented++
    }
    return true
  }

  /** The device took a packet in no form. */
  refused(): void {
    this.#counters.deviceRefused++
  }

  /** The device refused what record datagrams were joined to, and takes them alone. */
  cutFromNow(): void {
    this.#isCutting = true
  }
}
