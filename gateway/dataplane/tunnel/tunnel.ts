/** The gateway path: carries packets from the TUN device to the peers of their addresses, and back. */

import { Errno } from 'netlink-ts/errors.ts'
import { type Ipv4, type Prefix4, sizeOf } from '../../../core/addr.ts'
import { Channel } from './channel.ts'
import { checkIncoming, isInside, Verdict } from './check.ts'
import { type DropReason, Drops, dropReason } from './drops.ts'
import { type FrameHeader, FrameType } from './frame.ts'
import { Outbound, type PacketSink } from './outbound.ts'
import { type PeerStats, TunnelPeer } from './peer.ts'
import type { DataPort } from './sender.ts'
import { SlabPool } from './slab.ts'

/** What the tunnel needs of `kernel/tun.ts`; its life, coming and going, is the caller's. */
interface PacketDevice {
  read(buf: Uint8Array): number
  write(buf: Uint8Array): number
  requestUso(want: boolean): void
}

export interface TunnelOptions {
  readonly hostId: number
  readonly supernet: Prefix4
  /** Length of a host's slice, e.g. 24. */
  readonly hostPrefix: number
  readonly device: PacketDevice
  /**
   * Frames of other types than DATA. `payload` holds until it returns.
   * @returns whether the type was known; others are counted
   */
  readonly other?: (channel: Channel, header: FrameHeader, payload: Uint8Array) => boolean
  /**
   * Hosts whose packets are refused on every channel: two machines use one identity, and either may have sent them.
   */
  readonly keepsOut?: (hostId: number) => boolean
  /** Limit of what waits for one peer. Default 256 KiB. */
  readonly queueBytes?: number
}

export interface TunnelStats {
  readonly peers: readonly PeerStats[]
  /** Packets of our own kernel that are for no peer. */
  readonly drops: Readonly<Partial<Record<DropReason, number>>>
}

export class Tunnel {
  /** Takes the device's packets: give it to the device to start. */
  readonly sink: PacketSink
  readonly #options: TunnelOptions
  readonly #own: Prefix4
  readonly #peers = new Map<number, TunnelPeer>()
  readonly #pool = new SlabPool()
  readonly #drops = new Drops()

  constructor(options: TunnelOptions) {
    this.#options = options
    this.#own = this.#sliceOf(options.hostId)
    const { device, hostId } = options
    this.sink = new Outbound({
      hostId,
      own: this.#own,
      pool: this.#pool,
      drops: this.#drops,
      read: (buf) => device.read(buf),
      peerOf: (ip) => this.#peerOf(ip),
    })
  }

  /**
   * A connection that carries frames to and from a peer stands. Its packets are accepted from now on; nothing is sent
   * on it before `use`, so that a new way does not take over from one that works.
   * @param hostId from its certificate
   */
  addChannel(hostId: number, port: DataPort): Channel {
    const peer = this.#peers.get(hostId) ?? new TunnelPeer(hostId, this.#sliceOf(hostId))
    this.#peers.set(hostId, peer)
    const channel: Channel = new Channel({
      hostId,
      ownHostId: this.#options.hostId,
      port,
      pool: this.#pool,
      counts: peer.counts,
      queueBytes: this.#options.queueBytes,
      frame: (header, bytes, start, end) => this.#frame(peer, channel, header, bytes, start, end),
      use: (used, isUsed) => {
        peer.use(used, isUsed)
        if (!isUsed) this.#agreeOnUso()
      },
      usoChanged: () => this.#agreeOnUso(),
    })
    peer.add(channel)
    this.#agreeOnUso()
    return channel
  }

  /** The host has left the cluster: its channels are closed, and its counters go too. */
  forgetPeer(hostId: number): void {
    this.#peers.get(hostId)?.close()
    this.#peers.delete(hostId)
  }

  stats(): TunnelStats {
    return { peers: [...this.#peers.values()].map((peer) => peer.stats()), drops: this.#drops.counts() }
  }

  #frame(
    peer: TunnelPeer,
    channel: Channel,
    header: FrameHeader,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): void {
    if (header.type === FrameType.DATA) {
      const reason = this.#deliver(peer, header, bytes, start, end)
      if (reason !== undefined) peer.drops.add(reason)
    } else if (this.#options.other?.(channel, header, bytes.subarray(start, end)) !== true)
      peer.drops.add('frameType')
  }

  /** @returns why the packet was dropped */
  #deliver(
    peer: TunnelPeer,
    header: FrameHeader,
    bytes: Uint8Array,
    start: number,
    end: number,
  ): DropReason | undefined {
    // A relay carries the two hosts' own TLS connection, so that here too the other end is the source.
    if (header.srcHost !== peer.hostId || header.dstHost !== this.#options.hostId) return 'frameHost'
    if (this.#options.keepsOut?.(peer.hostId) === true) return 'keptOut'
    const verdict = checkIncoming(bytes, start, end, peer.slice, this.#own)
    if (verdict !== Verdict.ok) return dropReason(verdict)
    const written = this.#options.device.write(bytes.subarray(start, end))
    if (written < 0) return refusal(-written)
    peer.receivedPackets++
    peer.receivedBytes += end - start
    return undefined
  }

  #sliceOf(hostId: number): Prefix4 {
    const { supernet, hostPrefix } = this.#options
    return { base: supernet.base + hostId * sizeOf(hostPrefix), prefixLen: hostPrefix }
  }

  #peerOf(ip: Ipv4): TunnelPeer | undefined {
    const { supernet, hostPrefix } = this.#options
    if (!isInside(supernet, ip)) return undefined
    return this.#peers.get((ip - supernet.base) >>> (32 - hostPrefix))
  }

  /** A device has one setting: while one peer does not take such packets, our kernel cuts them for all. */
  #agreeOnUso(): void {
    let all = true
    for (const peer of this.#peers.values()) if (!peer.takesUso) all = false
    this.#options.device.requestUso(all)
  }
}

/** The rest is want of memory; writing never waits, and TCP sends again. */
const refusal = (errno: number): DropReason =>
  errno === Errno.EINVAL || errno === Errno.EIO ? 'deviceRefused' : 'deviceBusy'
