/**
 * Planes in one process, on a network and devices in memory, where a test can see and change every datagram and packet.
 *
 * The planes use real memory, with canaries between its parts. This file answers the calls that go to the kernel.
 */
import { toArrayBuffer } from 'node:ffi'
import { parseIpv4 } from '../../../core/addr.ts'
import { firstKeys } from '../../../gateway/dataplane/p2p/udp/crypto/key-schedule.ts'
import { testedAead } from '../../../gateway/dataplane/p2p/udp/crypto/self-test.ts'
import { Plane } from '../../../gateway/dataplane/p2p/udp/plane.ts'
import { PLANE_MEMORY, type PlaneOptions } from '../../../gateway/dataplane/p2p/udp/plane-options.ts'
import { Arena, type Iovecs, type Region } from '../../../kernel/arena.ts'
import { ReceiveSlots } from '../../../kernel/receive-slots.ts'
import { AF_INET6, readSockaddr, writeSockaddr } from '../../../kernel/sockaddr.ts'
import type { PacketPort } from '../../../kernel/tun-port.ts'
import type { DatagramPort } from '../../../kernel/udp-socket.ts'

const EAGAIN = 11
const HEADER = 8
const CANARY = 64
const CANARY_BYTE = 0xa5

/** Puts bytes before and after every part that no code may touch. */
class CanaryArena extends Arena {
  readonly #canaries: Region[] = []

  override take(length: number, align?: number): Region {
    const canary = () => {
      const region = super.take(CANARY, 1)
      region.bytes.fill(CANARY_BYTE)
      this.#canaries.push(region)
    }
    canary()
    const region = super.take(length, align)
    canary()
    return region
  }

  get areIntact(): boolean {
    return this.#canaries.every(({ bytes }) => bytes.every((byte) => byte === CANARY_BYTE))
  }
}

/** Copies what the iovecs point at. */
export function gathered(iovecs: Iovecs, first: number, count: number): Buffer[] {
  const table = new DataView(toArrayBuffer(iovecs.address(first, count), count * 16, true))
  return Array.from({ length: count }, (_, i) => {
    const length = Number(table.getBigUint64(i * 16 + 8, true))
    return length === 0
      ? Buffer.alloc(0)
      : Buffer.from(toArrayBuffer(table.getBigUint64(i * 16, true), length, true))
  })
}

export interface Datagram {
  readonly from: string
  readonly to: string
  readonly bytes: Buffer
}

class MemoryUdp implements DatagramPort {
  readonly family = AF_INET6
  readonly slots: ReceiveSlots
  readonly address: string
  /** Sent, but not yet carried. */
  readonly sent: Datagram[] = []
  readonly arrived: Datagram[] = []
  /** What the next sends return instead of 0. */
  readonly errors: number[] = []

  constructor(arena: Arena, address: string) {
    this.slots = new ReceiveSlots(arena)
    this.address = address
  }

  maxSegments(segmentBytes: number): number {
    return Math.min(64, Math.floor(65_507 / segmentBytes))
  }

  send(
    iovecs: Iovecs,
    first: number,
    segments: number,
    perSegment: number,
    segmentBytes: number,
    to: Region,
  ): number {
    const errno = this.errors.shift() ?? 0
    if (errno !== 0) return errno
    const pieces = gathered(iovecs, first, segments * perSegment)
    for (let i = 0; i < segments; i++) {
      const bytes = Buffer.concat(pieces.slice(i * perSegment, (i + 1) * perSegment))
      if (i < segments - 1 && bytes.byteLength !== segmentBytes)
        throw new Error(`segment of ${bytes.byteLength}`)
      if (bytes.byteLength > segmentBytes) throw new Error(`last segment of ${bytes.byteLength}`)
      this.sent.push({ from: this.address, to: readSockaddr(to.bytes), bytes })
    }
    return 0
  }

  /** As a kernel with GRO, joins neighbours of one size and source; the last of them may be shorter. */
  receive(slot: number, emptied: () => void): { readonly first: number; readonly count: number } {
    const [head] = this.arrived
    if (head === undefined) return { first: 0, count: 0 }
    const segment = head.bytes.byteLength
    const batch: Buffer[] = []
    let total = 0
    for (let next = this.arrived[0]; next !== undefined; next = this.arrived[0]) {
      const { byteLength } = next.bytes
      if (next.from !== head.from || byteLength > segment || byteLength === 0) break
      if (batch.length === 64 || total + byteLength > 65_535) break
      batch.push(next.bytes)
      total += byteLength
      this.arrived.shift()
      if (byteLength < segment) break
    }
    if (batch.length === 0) {
      this.arrived.shift()
      return this.slots.unusable(slot)
    }
    const source = new Uint8Array(28)
    writeSockaddr(AF_INET6, head.from, source)
    this.slots.sources.bytes.set(source, slot * 28)
    this.#scatter(slot, Buffer.concat(batch))
    return this.slots.settle(slot, total, segment, emptied)
  }

  #scatter(slot: number, stream: Buffer): void {
    const { headers, texts, stride } = this.slots
    for (let at = 0, i = slot; at < stream.byteLength; i++) {
      headers.bytes.set(stream.subarray(at, at + HEADER), i * HEADER)
      at += HEADER
      texts.bytes.set(stream.subarray(at, at + stride), i * stride)
      at += stride
    }
  }
}

class MemoryTun implements PacketPort {
  /** Packets for the plane to read. */
  readonly waiting: Buffer[] = []
  /** Packets that the plane wrote. */
  readonly written: Buffer[] = []
  /** The answer to a write; default 0: accepted. */
  refuse: (packet: Buffer) => number = () => 0

  read(into: Region, at: number, most: number): number {
    const packet = this.waiting.shift()
    if (packet === undefined) return -EAGAIN
    into.address(at, most)
    into.bytes.set(packet.subarray(0, most), at)
    return Math.min(packet.byteLength, most)
  }

  write(from: Region, at: number, length: number): number {
    from.address(at, length)
    return this.#take(Buffer.from(from.bytes.slice(at, at + length)))
  }

  writev(iovecs: Iovecs, first: number, count: number): number {
    return this.#take(Buffer.concat(gathered(iovecs, first, count)))
  }

  #take(packet: Buffer): number {
    const errno = this.refuse(packet)
    if (errno !== 0) return -errno
    this.written.push(packet)
    return packet.byteLength
  }
}

export class MemoryHost {
  readonly hostId: number
  readonly udp: MemoryUdp
  readonly tun = new MemoryTun()
  readonly plane: Plane
  readonly events: unknown[][] = []
  /** Called for each event. */
  onEvent: () => void = () => {}
  readonly #arena = new CanaryArena(PLANE_MEMORY)

  constructor(hostId: number, now: () => number, options: Partial<PlaneOptions> = {}) {
    this.hostId = hostId
    this.udp = new MemoryUdp(this.#arena, `10.0.0.${hostId}:7443`)
    const tested = testedAead(this.#arena)
    if ('problem' in tested) throw new Error(tested.problem)
    this.plane = new Plane({
      hostId,
      supernet: { base: parseIpv4('10.100.0.0') ?? 0, prefixLen: 16 },
      hostPrefix: 24,
      arena: this.#arena,
      aead: tested.aead,
      udp: this.udp,
      tun: this.tun,
      now,
      onControl: (peer, type, payload, from) =>
        this.#note(['control', peer.hostId, type, Buffer.from(payload).toString('hex'), from]),
      onPlain: (bytes, from) => this.#note(['plain', Buffer.from(bytes).toString('hex'), from]),
      onForm: (peer, form, reason) => this.#note(['form', peer.hostId, form, reason]),
      onRoamed: (peer, from) => this.#note(['roamed', peer.hostId, from]),
      onSendError: (peer, errno) => this.#note(['sendError', peer.hostId, errno]),
      onDeviceError: (errno) => this.#note(['deviceError', errno]),
      onKeysConfirmed: (peer) => this.#note(['confirmed', peer.hostId]),
      ...options,
    })
  }

  #note(event: unknown[]): void {
    this.events.push(event)
    this.onEvent()
  }

  get isIntact(): boolean {
    return this.#arena.areIntact
  }

  /** The keys from a secret whose bytes are all `seed`. */
  keys(peerId: number, seed = 1) {
    return firstKeys(new Uint8Array(64).fill(seed), { hostId: this.hostId, peerId })
  }

  add(peerId: number, segmentBytes = 1_472) {
    return this.plane.addPeer({
      hostId: peerId,
      keys: this.keys(peerId),
      address: `10.0.0.${peerId}:7443`,
      segmentBytes,
    })
  }

  /** Steps until nothing is left to do. */
  run(): void {
    for (let steps = 0; this.plane.step(); steps++)
      if (steps > 10_000) throw new Error('it never comes to rest')
  }

  close(): void {
    this.plane.close()
    this.#arena.close()
  }
}

/** Hosts 1 to n that know each other; the clock stands still until the test sets it. */
export class MemoryNet {
  readonly hosts: readonly MemoryHost[]
  time = 1_000
  /** Replaces each datagram by none, itself, or others. */
  change: (datagram: Datagram) => readonly Datagram[] = (datagram) => [datagram]

  constructor(count: number, segmentBytes?: number) {
    this.hosts = Array.from({ length: count }, (_, i) => new MemoryHost(i + 1, () => this.time))
    for (const host of this.hosts)
      for (const other of this.hosts) if (other !== host) host.add(other.hostId, segmentBytes)
  }

  /** Carries datagrams until all is quiet. */
  run(): void {
    for (let turns = 0; turns < 1_000; turns++) {
      for (const host of this.hosts) host.run()
      if (!this.carry()) return
    }
    throw new Error('it never comes to rest')
  }

  /** Carries what has been sent. @returns false: there was nothing */
  carry(): boolean {
    let any = false
    for (const host of this.hosts)
      for (const datagram of host.udp.sent.splice(0).flatMap((one) => this.change(one))) {
        any = true
        this.hosts.find(({ udp }) => udp.address === datagram.to)?.udp.arrived.push(datagram)
      }
    return any
  }

  /**
   * A host with the slice of host `as` and the keys of host 1 with host `to`: what a member can do that skips its own
   * checks.
   */
  impostor(as: number, to: number): MemoryHost {
    const host = new MemoryHost(as, () => this.time)
    const keys = firstKeys(new Uint8Array(64).fill(1), { hostId: 1, peerId: to })
    host.plane.addPeer({ hostId: to, keys, address: `10.0.0.${to}:7443` })
    return host
  }

  close(): void {
    for (const host of this.hosts) host.close()
  }
}
