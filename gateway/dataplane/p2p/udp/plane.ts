/** The UDP plane: peers, keys by index, and both directions, driven by its owner's loop. */
import { Errno } from 'netlink-ts/errors.ts'
import { type Prefix4, sizeOf } from '../../../../core/addr.ts'
import { FlatnetError } from '../../../../core/errors.ts'
import type { Region } from '../../../../kernel/arena.ts'
import { readSockaddr, type UdpFamily, writeSockaddr } from '../../../../kernel/sockaddr.ts'
import { isInside } from '../../tunnel/check.ts'
import { Acknowledger } from './acknowledge.ts'
import { payloadIn } from './control.ts'
import type { Aead } from './crypto/aead.ts'
import { Deliverer } from './deliver.ts'
import { ErrorReports } from './error-reports.ts'
import type { OpenKey } from './keys.ts'
import { OwnControl } from './own-control.ts'
import { type PeerHome, PeerState } from './peer.ts'
import { PlainDatagrams } from './plain.ts'
import type { PlaneOptions } from './plane-options.ts'
import { RecordReceiver } from './receive-record.ts'
import { WholeReceiver } from './receive-whole.ts'
import { Receiver } from './receiver.ts'
import { RetransmitBuffer } from './retransmit-buffer.ts'
import { RecordSender } from './send-record.ts'
import { WholeSender } from './send-whole.ts'
import { Sender } from './sender.ts'
import type { AddPeer, PlaneCounters, PlanePeer, SendControl, UdpPlane } from './types.ts'
import { COUNTER } from './wire/datagram.ts'
import { Reassembly } from './wire/reassembly.ts'

const SOCKADDR = 28
/** How often to look for old keys. */
const EXPIRY_MS = 1_000

export class Plane implements UdpPlane, PeerHome {
  readonly aead: Aead
  readonly family: UdpFamily
  /** STUN, which goes past keys and peers. */
  readonly plain: PlainDatagrams
  readonly counters: PlaneCounters = {
    unknownIndex: 0,
    malformed: 0,
    noPeer: 0,
    notOurs: 0,
    deviceRefused: 0,
    segmented: 0,
  }
  readonly #options: PlaneOptions
  readonly #peers = new Map<number, PeerState>()
  readonly #keys = new Map<number, OpenKey>()
  /** The key of the last datagram: the next one is most likely for the same. */
  #lastKey: OpenKey | undefined
  readonly #reassembly: Reassembly
  readonly #sender: Sender
  readonly #receiver: Receiver
  readonly #record: RecordSender
  readonly #acknowledger: Acknowledger
  readonly #whole: WholeReceiver
  readonly #own: OwnControl
  /** Sockaddrs of removed peers, for reuse. */
  readonly #sockaddrs: Region[] = []
  readonly #to: Region
  #retired: { free(): void }[] = []
  #news: PeerState[] = []
  /** Whether this step received packets, and not control datagrams alone. */
  #hasArrived = false
  #expiresAt = 0
  #now = 0
  readonly #errors: ErrorReports
  #mayHaveMore = false

  constructor(options: PlaneOptions) {
    const { arena, udp, tun, aead } = options
    this.#options = options
    this.aead = aead
    this.family = udp.family
    const own = this.#sliceOf(options.hostId)
    this.#to = arena.take(SOCKADDR)
    this.#reassembly = new Reassembly(arena)
    const deliver = new Deliverer(arena, tun, own, this.counters)
    this.#errors = new ErrorReports(options)
    const failed = (peer: PeerState, errno: number) => this.#errors.sendFailed(peer, errno)
    this.#record = new RecordSender(arena, udp, failed)
    this.#acknowledger = new Acknowledger(this.#record)
    this.#whole = new WholeReceiver(udp.slots, this.#reassembly, deliver)
    const retransmitBuffer = new RetransmitBuffer(arena, udp)
    this.#own = new OwnControl({
      record: this.#record,
      whole: this.#whole,
      retransmitBuffer,
      keyOf: (index) => this.keyOf(index),
      now: () => this.#now,
    })
    this.plain = new PlainDatagrams(arena, udp, options.onPlain)
    this.#receiver = new Receiver({
      udp,
      counters: this.counters,
      whole: this.#whole,
      record: new RecordReceiver(arena, udp.slots, deliver),
      keyOf: (index) => this.keyOf(index),
      plain: (slot, word) => this.plain.take(slot, word),
      control: (key, slot, n) => this.#control(key, slot, n),
      arrived: (key, bytes) => this.#arrived(key, bytes),
      handled: () => this.#own.ask(),
    })
    this.#sender = new Sender(arena, {
      tun,
      own,
      counters: this.counters,
      whole: new WholeSender(arena, udp, retransmitBuffer),
      record: this.#record,
      peerOf: (ip) => this.#peerOf(ip),
      now: () => this.#now,
      failed,
      deviceFailed: (errno) => this.#errors.deviceFailed(errno),
      pause: () => options.pause?.(),
    })
  }

  readonly now = (): number => this.#options.now()

  get waitMs(): number | undefined {
    return this.#sender.isStalled ? this.#sender.waitMs(this.now()) : undefined
  }

  get readsDevice(): boolean {
    return this.#sender.hasRoom
  }

  get holdMs(): number | undefined {
    return this.#whole.dueMs(this.now())
  }

  get mayHaveMore(): boolean {
    return this.#mayHaveMore
  }

  peer(hostId: number): PeerState | undefined {
    return this.#peers.get(hostId)
  }

  addPeer({ hostId, keys, address, segmentBytes }: AddPeer): PeerState {
    if (this.#peers.has(hostId))
      throw new FlatnetError('ERR_FLATNET_INTERNAL', `host ${hostId} is a peer already`)
    const sockaddr = this.#sockaddrs.pop() ?? this.#options.arena.take(SOCKADDR, 4)
    try {
      const peer = new PeerState(this, hostId, this.#sliceOf(hostId), sockaddr, keys)
      if (segmentBytes !== undefined) peer.setSegmentBytes(segmentBytes)
      peer.setAddress(address)
      this.#peers.set(hostId, peer)
      return peer
    } catch (error) {
      this.#sockaddrs.push(sockaddr)
      throw error
    }
  }

  removePeer(hostId: number): void {
    const peer = this.#peers.get(hostId)
    if (peer === undefined) return
    this.#peers.delete(hostId)
    peer.remove()
    this.#sockaddrs.push(peer.sockaddr)
  }

  #sliceOf(hostId: number): Prefix4 {
    const { supernet, hostPrefix: prefixLen } = this.#options
    return { base: supernet.base + hostId * sizeOf(prefixLen), prefixLen }
  }

  #peerOf(ip: number): PeerState | undefined {
    const { supernet, hostPrefix } = this.#options
    if (!isInside(supernet, ip)) return undefined
    return this.#peers.get((ip - supernet.base) >>> (32 - hostPrefix))
  }

  addOpenKey(key: OpenKey): void {
    if (this.#keys.has(key.index))
      throw new FlatnetError(
        'ERR_FLATNET_TRY_AGAIN',
        `the index of host ${key.peer.hostId}'s keys is taken: begin a new attempt`,
      )
    this.#keys.set(key.index, key)
  }

  removeOpenKey(key: OpenKey): void {
    this.#keys.delete(key.index)
    this.#whole.forget(key)
    if (this.#lastKey === key) this.#lastKey = undefined
  }

  retire(key: { free(): void }): void {
    this.#retired.push(key)
  }

  formChanged(peer: PeerState): void {
    this.#options.onForm?.(peer, peer.form, peer.chooser.reason)
  }

  keysConfirmed(peer: PeerState): void {
    this.#options.onKeysConfirmed?.(peer)
  }

  hasNews(peer: PeerState): void {
    this.#news.push(peer)
  }

  takeNews(): readonly PeerState[] {
    const news = this.#news
    for (const peer of news) peer.hasNews = false
    this.#news = []
    return news
  }

  keyOf(index: number): OpenKey | undefined {
    if (this.#lastKey?.index === index) return this.#lastKey
    const key = this.#keys.get(index)
    if (key !== undefined) this.#lastKey = key
    return key
  }

  step(readsSocket = true, readsDevice = true): boolean {
    this.#freeRetired()
    this.#now = this.now()
    this.#errors.begin()
    if (this.#now >= this.#expiresAt) {
      for (const peer of this.#peers.values()) peer.expireKeys(this.#now)
      this.#expiresAt = this.#now + EXPIRY_MS
    }
    this.#hasArrived = false
    const datagrams = this.#receive(readsSocket)
    if (datagrams > 1) this.#now = this.now()
    this.#whole.expire(this.#now)
    // After an acknowledgement a sender without credit may go on.
    const reads = readsDevice || this.#hasArrived || (datagrams > 0 && this.#sender.isStalled)
    const hasSent = reads && this.#sender.step()
    this.#mayHaveMore = (this.#hasArrived && datagrams > 1) || this.#sender.mayHaveMore
    return hasSent || datagrams > 0
  }

  /** @returns how many datagrams there were */
  #receive(readsSocket: boolean): number {
    let datagrams = 0
    const most = this.#sender.socketBatches(this.#now)
    for (let batches = 0; batches < most; batches++) {
      const count = readsSocket ? this.#receiver.step() : 0
      if (count === 0) {
        this.#acknowledger.idle(this.#now)
        break
      }
      datagrams += count
    }
    return datagrams
  }

  #freeRetired(): void {
    if (this.#retired.length === 0) return
    for (const key of this.#retired) key.free()
    this.#retired = []
  }

  #arrived(key: OpenKey, bytes: number): void {
    this.#hasArrived = true
    this.#acknowledger.arrived(key, bytes, this.#now)
    const { onRoamed, udp } = this.#options
    const slot = key.openedSlot
    key.openedSlot = -1
    if (onRoamed === undefined || slot < 0 || key.peer.isRemoved) return
    const { slots } = udp
    if (!key.peer.isAt(slots.sources.bytes, slots.sourceAt(slot)))
      onRoamed(key.peer, readSockaddr(slots.source(slot)))
  }

  sendControl(peer: PlanePeer, type: number, payload: Uint8Array, options: SendControl = {}): number {
    const state = this.#peers.get(peer.hostId)
    if (state === undefined || state !== peer) return Errno.ENOTCONN
    if (!(type > 0 && type <= 255)) throw new RangeError(`control type ${type}: 1 to 255`)
    const isElsewhere = options.to !== undefined && options.to !== state.address
    if (isElsewhere) writeSockaddr(this.family, options.to, this.#to.bytes)
    else if (state.address === undefined) return Errno.ENOTCONN
    const to = isElsewhere ? this.#to : state.sockaddr
    return this.#record.control(state, type, payload, to, options.padToBytes)
  }

  #control(key: OpenKey, slot: number, n: number): void {
    const { slots } = this.#options.udp
    const at = slots.textAt(slot) + COUNTER
    const found = payloadIn(slots.texts.bytes.subarray(at, at + n))
    if (found === undefined) {
      key.peer.counters.rxMalformed++
      return
    }
    if (this.#own.handle(key, found.type, found.payload)) return
    const from = key.peer.isAt(slots.sources.bytes, slots.sourceAt(slot)) ? key.peer.address : undefined
    this.#options.onControl(key.peer, found.type, found.payload, from ?? readSockaddr(slots.source(slot)))
  }

  close(): void {
    for (const hostId of [...this.#peers.keys()]) this.removePeer(hostId)
    this.#freeRetired()
  }
}
