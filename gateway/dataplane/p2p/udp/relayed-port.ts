/**
 * Sends and receives through TURN servers as if each peer behind one had an address of its own. The rest of the plane
 * sees addresses in 0.0.0.0/8, which no network has and no peer may offer; here they become ChannelData (RFC 8656,
 * 12.4).
 *
 * Four bytes before each datagram are one more iovec, so a batch still is one sendmsg with segmentation offload.
 */
import { type Arena, Iovecs, type Region } from '../../../../kernel/arena.ts'
import type { ReceiveSlots } from '../../../../kernel/receive-slots.ts'
import { AF_INET, sockaddrBytes, type UdpFamily, writeSockaddr } from '../../../../kernel/sockaddr.ts'
import type { DatagramPort } from '../../../../kernel/udp-socket.ts'
import { HEADER } from './wire/datagram.ts'

/** ChannelData: number u16, length u16. Over UDP it needs no padding. */
export const CHANNEL_HEADER = 4
const MAX_SEGMENTS = 64
/** The whole form sends a header and a text for each datagram. */
const MAX_PER_SEGMENT = 2
const MAX_SERVERS = 4
const SOCKADDR = 28
const ENETUNREACH = 101

interface Server {
  readonly sockaddr: Region
  address: string | undefined
  /** By channel number: the peer's port, which its address here has as well. */
  readonly channels: Map<number, number>
}

/** @param server 0 to 3 */
export const relayedAddress = (server: number, channel: number, port: number): string =>
  `0.${server}.${channel >>> 8}.${channel & 0xff}:${port}`

export class RelayedPort implements DatagramPort {
  readonly #udp: DatagramPort
  readonly #servers: readonly Server[]
  readonly #headers: Region
  readonly #iovecs: Iovecs
  #channels = 0
  /** ChannelData with a number that is bound to no peer. */
  unknownChannels = 0

  constructor(arena: Arena, udp: DatagramPort) {
    this.#udp = udp
    this.#headers = arena.take(MAX_SEGMENTS * CHANNEL_HEADER)
    this.#iovecs = new Iovecs(arena, MAX_SEGMENTS * (1 + MAX_PER_SEGMENT))
    this.#servers = Array.from({ length: MAX_SERVERS }, () => ({
      sockaddr: arena.take(SOCKADDR),
      address: undefined,
      channels: new Map<number, number>(),
    }))
  }

  get family(): UdpFamily {
    return this.#udp.family
  }

  get slots(): ReceiveSlots {
    return this.#udp.slots
  }

  /** @throws {RangeError} not an endpoint, or one of IPv6 for a socket of IPv4 */
  bind(server: number, address: string, channel: number, port: number): void {
    const known = this.#server(server)
    if (known.address !== address) writeSockaddr(this.family, address, known.sockaddr.bytes)
    known.address = address
    if (!known.channels.has(channel)) this.#channels++
    known.channels.set(channel, port)
  }

  unbind(server: number, channel: number): void {
    if (this.#server(server).channels.delete(channel)) this.#channels--
  }

  maxSegments(segmentBytes: number): number {
    return this.#udp.maxSegments(this.#channels === 0 ? segmentBytes : segmentBytes + CHANNEL_HEADER)
  }

  send(
    iovecs: Iovecs,
    first: number,
    segments: number,
    perSegment: number,
    segmentBytes: number,
    to: Region,
  ): number {
    const at = this.#relayedAt(to.bytes)
    if (at < 0) return this.#udp.send(iovecs, first, segments, perSegment, segmentBytes, to)
    const [server = 0, high = 0, low = 0] = to.bytes.subarray(at + 1)
    const known = this.#servers[server]
    const channel = high * 256 + low
    // The path through it fails at once, and not only after probes without an answer.
    if (known === undefined || !known.channels.has(channel)) return ENETUNREACH
    const each = perSegment + 1
    for (let i = 0; i < segments; i++) {
      const length = this.#iovecs.copyFrom(i * each + 1, iovecs, first + i * perSegment, perSegment)
      this.#headers.view.setUint16(i * CHANNEL_HEADER, channel)
      this.#headers.view.setUint16(i * CHANNEL_HEADER + 2, length)
      this.#iovecs.set(i * each, this.#headers, i * CHANNEL_HEADER, CHANNEL_HEADER)
    }
    return this.#udp.send(this.#iovecs, 0, segments, each, segmentBytes + CHANNEL_HEADER, known.sockaddr)
  }

  receive(slot: number, emptied: () => void): { readonly first: number; readonly count: number } {
    const batch = this.#udp.receive(slot, emptied)
    // Backwards: datagrams of one batch share the source of the first, which is changed last.
    if (this.#channels > 0) for (let i = batch.first + batch.count - 1; i >= batch.first; i--) this.#unwrap(i)
    return batch
  }

  /** Takes ChannelData of a bound channel out of its header, and names the peer as its source. */
  #unwrap(slot: number): void {
    const { headers, lengths, sources, texts } = this.slots
    const shared = this.slots.sourceAt(slot)
    const server = this.#serverAt(shared)
    if (server < 0) return
    const place = slot * SOCKADDR
    if (shared !== place) sources.bytes.copyWithin(place, shared, shared + SOCKADDR)
    this.slots.sourceOf[slot] = slot
    const length = lengths[slot]!
    const channel = headers.view.getUint16(slot * HEADER)
    if (length <= HEADER + CHANNEL_HEADER || channel < 0x4000 || channel > 0x4fff) return
    const inner = headers.view.getUint16(slot * HEADER + 2)
    const port = this.#servers[server]!.channels.get(channel)
    if (port === undefined || inner <= HEADER || inner > length - CHANNEL_HEADER) {
      this.unknownChannels++
      return
    }
    const at = this.slots.textAt(slot)
    headers.bytes.copyWithin(slot * HEADER, slot * HEADER + CHANNEL_HEADER, (slot + 1) * HEADER)
    headers.bytes.set(texts.bytes.subarray(at, at + CHANNEL_HEADER), slot * HEADER + CHANNEL_HEADER)
    texts.bytes.copyWithin(at, at + CHANNEL_HEADER, at + inner + CHANNEL_HEADER - HEADER)
    lengths[slot] = inner
    this.#write(sources.bytes.subarray(place, place + SOCKADDR), server, channel, port)
  }

  #write(out: Uint8Array, server: number, channel: number, port: number): void {
    const size = sockaddrBytes(this.family)
    out.fill(0, 0, size)
    out[0] = this.family
    out[2] = port >>> 8
    out[3] = port
    const at = this.family === AF_INET ? 4 : 20
    if (this.family !== AF_INET) out.fill(255, 18, 20)
    out[at + 1] = server
    out[at + 2] = channel >>> 8
    out[at + 3] = channel
  }

  /** @returns where the four bytes of an IPv4 address in 0.0.0.0/8 begin; below zero: it is none */
  #relayedAt(sockaddr: Uint8Array): number {
    if (this.family === AF_INET) return sockaddr[4] === 0 ? 4 : -1
    const isMapped = sockaddr[18] === 255 && sockaddr[19] === 255 && sockaddr[8] === 0 && sockaddr[9] === 0
    return isMapped && sockaddr[20] === 0 ? 20 : -1
  }

  /** @returns whose address is in `sources` at `at`; below zero: no server's */
  #serverAt(at: number): number {
    const { bytes } = this.slots.sources
    const size = sockaddrBytes(this.family)
    return this.#servers.findIndex(({ address, channels, sockaddr }) => {
      if (address === undefined || channels.size === 0) return false
      // Bytes 4 to 8 of an IPv6 sockaddr are flow information, which is no part of an address.
      for (let i = 2; i < size; i++)
        if (bytes[at + i] !== sockaddr.bytes[i] && !(size === SOCKADDR && i >= 4 && i < 8)) return false
      return true
    })
  }

  #server(index: number): Server {
    const server = this.#servers[index]
    if (server === undefined) throw new RangeError(`server ${index}: 0 to ${MAX_SERVERS - 1}`)
    return server
  }
}
