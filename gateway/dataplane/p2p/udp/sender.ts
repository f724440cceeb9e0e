/** From the device: reads packets until there are none, finds whose they are, and sends them in the peer's form. */
import { Errno } from 'netlink-ts/errors.ts'
import type { Prefix4 } from '../../../../core/addr.ts'
import type { Arena, Region } from '../../../../kernel/arena.ts'
import type { PacketPort } from '../../../../kernel/tun-port.ts'
import { checkOutgoing, destinationOf, Verdict } from '../../tunnel/check.ts'
import { VIRTIO_HEADER } from '../../tunnel/frame.ts'
import type { PeerState } from './peer.ts'
import type { RecordSender } from './send-record.ts'
import type { WholeSender } from './send-whole.ts'
import type { PlaneCounters } from './types.ts'

/** The largest packet is 65,545 bytes with its virtio header. */
const READ_BYTES = 65_600
/** Beyond it what has been read is sent and reading begins anew at the start. */
const FILL_BYTES = 131_072
/** So much before the socket gets its turn: its buffer holds what comes meanwhile. */
const TURN_BYTES = 1 << 20
const TURN_PACKETS = 256
/** With another peer active this recently, one whose credit is used up loses packets instead of holding all up. */
const SHARED_MS = 100

export interface SenderDeps {
  readonly tun: PacketPort
  readonly own: Prefix4
  readonly counters: PlaneCounters
  readonly whole: WholeSender
  readonly record: RecordSender
  /** By destination. */
  peerOf(ip: number): PeerState | undefined
  now(): number
  failed(peer: PeerState, errno: number): void
  deviceFailed(errno: number): void
}

export class Sender {
  readonly #deps: SenderDeps
  readonly #in: Region
  /** Packets for `#peer` that wait to become one message: from `#start` to `#at`. */
  #peer: PeerState | undefined
  #start = 0
  #at = 0
  /** Used up its credit; reading waits for it. */
  #stalled: PeerState | undefined
  #lastUsed: PeerState | undefined
  /** When two different peers were last sent to. */
  #sharedAt = Number.NEGATIVE_INFINITY
  #now = 0

  constructor(arena: Arena, deps: SenderDeps) {
    this.#deps = deps
    this.#in = arena.take(FILL_BYTES + READ_BYTES, 4096)
  }

  /** Ms until reading goes on even without an acknowledgement; undefined while it does not wait. */
  waitMs(now: number): number | undefined {
    const stalled = this.#stalled
    if (stalled === undefined) return undefined
    const isWaiting = !stalled.isRemoved && !stalled.hasCredit(now) && !isShared(this.#sharedAt, now)
    if (isWaiting) return Math.max(1, stalled.credit.waitMs(now))
    this.#stalled = undefined
    return undefined
  }

  /** Reads and sends. @returns whether anything was read */
  step(): boolean {
    const { tun, now, record } = this.#deps
    this.#now = now()
    if (this.waitMs(this.#now) !== undefined) return false
    let bytes = 0
    for (
      let packets = 0;
      packets < TURN_PACKETS && bytes < TURN_BYTES && this.#stalled === undefined;
      packets++
    ) {
      if (this.#start === this.#at || this.#at > FILL_BYTES) this.#flush()
      const n = tun.read(this.#in, this.#at, READ_BYTES)
      if (n <= 0) {
        if (n !== -Errno.EAGAIN) this.#deps.deviceFailed(-n)
        break
      }
      bytes += n
      this.#accept(n)
    }
    this.#flush()
    record.flush()
    return bytes > 0
  }

  /** The packet at `#at`. */
  #accept(n: number): void {
    const peer = this.#judge(n)
    if (peer === undefined) return
    if (peer !== this.#peer) {
      this.#send()
      this.#peer = peer
    }
    this.#note(peer)
    if (!this.#mayGo(peer)) return
    peer.counters.txPackets++
    peer.counters.txBytes += n - VIRTIO_HEADER
    if (peer.form === 'record') this.#record(peer, n)
    else this.#whole(peer, n)
  }

  /** @returns whose packet it is; undefined when it is dropped, which has been counted */
  #judge(n: number): PeerState | undefined {
    const { own, counters, peerOf } = this.#deps
    const { bytes } = this.#in
    if (checkOutgoing(bytes, this.#at, this.#at + n, own) !== Verdict.ok) {
      counters.notOurs++
      return undefined
    }
    const peer = peerOf(destinationOf(bytes, this.#at))
    if (peer === undefined) counters.noPeer++
    else if (peer.address === undefined) peer.counters.txDropped++
    return peer?.address === undefined ? undefined : peer
  }

  #note(peer: PeerState): void {
    if (this.#lastUsed !== undefined && this.#lastUsed !== peer && !this.#lastUsed.isRemoved)
      this.#sharedAt = this.#now
    this.#lastUsed = peer
  }

  /** Whether the peer has credit; if not, reading stops after this packet, or this one is dropped. */
  #mayGo(peer: PeerState): boolean {
    if (peer.hasCredit(this.#now)) return true
    if (!isShared(this.#sharedAt, this.#now)) {
      // The only one: the device's queue is the place to wait, and to drop, which costs least there.
      this.#stalled = peer
      return true
    }
    peer.counters.txDropped++
    return false
  }

  #whole(peer: PeerState, n: number): void {
    const most = this.#deps.whole.most(peer)
    if (this.#at > this.#start && this.#at + n - this.#start > most) this.#send()
    this.#at += n
    if (this.#at - this.#start >= most - 1_500) this.#send()
  }

  #record(peer: PeerState, n: number): void {
    this.#send()
    if (this.#deps.record.packet(peer, this.#in, this.#at, n, this.#now)) return
    this.#at += n
    this.#send()
  }

  /** Sends what waits as one message. */
  #send(): void {
    const n = this.#at - this.#start
    const peer = this.#peer
    if (n > 0 && peer !== undefined) {
      this.#deps.record.flush()
      const errno = this.#deps.whole.send(peer, this.#in, this.#start, n, this.#now)
      if (errno !== 0) this.#deps.failed(peer, errno)
    }
    this.#start = this.#at
  }

  /** Sends what waits and begins at the start of the buffer, which is in the cache. */
  #flush(): void {
    this.#send()
    this.#start = 0
    this.#at = 0
  }
}

const isShared = (sharedAt: number, now: number): boolean => now - sharedAt < SHARED_MS
