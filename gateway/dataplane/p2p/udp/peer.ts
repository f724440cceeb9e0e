/** Holds one peer of the plane: its address, keys and counters, and what is known about its path. */
import type { Prefix4 } from '../../../../core/addr.ts'
import type { Region } from '../../../../kernel/arena.ts'
import { MAX_SEGMENT, MIN_SEGMENT } from '../../../../kernel/receive-slots.ts'
import { sockaddrBytes, type UdpFamily, writeSockaddr } from '../../../../kernel/sockaddr.ts'
import type { Aead } from './crypto/aead.ts'
import type { PeerKeys } from './crypto/key-schedule.ts'
import { Credit } from './flow/credit.ts'
import { FormChooser } from './flow/form.ts'
import { WindowedMinimum } from './flow/windowed-minimum.ts'
import { OpenKey, SealKey } from './keys.ts'
import type { Endpoint, Form, PeerCounters, PlanePeer } from './types.ts'
import { HEADER } from './wire/datagram.ts'

/** Datagrams sealed with old keys may arrive for this long after the new keys are in use. */
const OLD_KEYS_MS = 10_000
/** The key in use, the next one, and the one before. */
const MAX_OPEN = 3

/** A single one may come from a peer whose machine was busy with something else for 20 ms. */
const SILENCES = 2

/** What a peer needs from its plane. */
export interface PeerHome {
  readonly aead: Aead
  readonly family: UdpFamily
  now(): number
  /** @throws {FlatnetError} another key has the index */
  addOpenKey(key: OpenKey): void
  removeOpenKey(key: OpenKey): void
  /** Frees the key once no datagram is being handled. */
  retire(key: { free(): void }): void
  formChanged(peer: PeerState): void
  keysConfirmed(peer: PeerState): void
  /** Once until the plane has been asked for its news. */
  hasNews(peer: PeerState): void
}

export const noCounts = (): PeerCounters => ({
  txPackets: 0,
  txBytes: 0,
  txDatagrams: 0,
  rxPackets: 0,
  rxBytes: 0,
  rxDatagrams: 0,
  txDropped: 0,
  txAcked: 0,
  txLost: 0,
  txResent: 0,
  rxForged: 0,
  rxReplayed: 0,
  rxMalformed: 0,
  rxRefused: 0,
  rxIncomplete: 0,
})

export class PeerState implements PlanePeer {
  readonly hostId: number
  readonly slice: Prefix4
  readonly counters = noCounts()
  readonly credit = new Credit()
  readonly chooser = new FormChooser()
  readonly rtt = new WindowedMinimum()
  /** The peer's sockaddr in the form of the socket's family. */
  readonly sockaddr: Region
  readonly #home: PeerHome
  #address: Endpoint | undefined
  #segmentBytes = 1_232
  #generation = 0
  #seal: SealKey | undefined
  /** Seals as soon as the peer has sealed with its own next key. */
  #nextSeal: SealKey | undefined
  #open: OpenKey[] = []
  isRemoved = false
  /** Packets or acknowledgements passed since the plane was last asked for its news. */
  hasNews = false
  /** The peer asks for what it misses, and sends again what this host asks for. */
  canResend = false
  /** When packets for this peer were last read. */
  usedAt = Number.NEGATIVE_INFINITY

  constructor(home: PeerHome, hostId: number, slice: Prefix4, sockaddr: Region, keys: PeerKeys) {
    this.#home = home
    this.hostId = hostId
    this.slice = slice
    this.sockaddr = sockaddr
    this.replaceKeys(keys, 'now')
  }

  get form(): Form {
    return this.chooser.form
  }

  get address(): Endpoint | undefined {
    return this.#address
  }

  get segmentBytes(): number {
    return this.#segmentBytes
  }

  get rttMs(): number | undefined {
    return this.rtt.value
  }

  /** The key that seals now; undefined only after `remove`. */
  get seal(): SealKey | undefined {
    return this.#seal
  }

  /** Bytes of a full datagram after its header. */
  get partBytes(): number {
    return this.#segmentBytes - HEADER
  }

  setAddress(address: Endpoint | undefined): void {
    if (address !== undefined) writeSockaddr(this.#home.family, address, this.sockaddr.bytes)
    this.#address = address
  }

  /** Whether a source, as the kernel wrote it at `at` of `sources`, is this peer's address. */
  isAt(sources: Uint8Array, at: number): boolean {
    if (this.#address === undefined) return false
    const own = this.sockaddr.bytes
    const length = sockaddrBytes(this.#home.family)
    // Bytes 4 to 8 of an IPv6 sockaddr are flow information, which is no part of an address.
    for (let i = 2; i < length; i++)
      if (own[i] !== sources[at + i] && !(length === 28 && i >= 4 && i < 8)) return false
    return true
  }

  setSegmentBytes(bytes: number): void {
    if (!Number.isInteger(bytes) || bytes < MIN_SEGMENT || bytes > MAX_SEGMENT)
      throw new RangeError(`segments of ${bytes} bytes: ${MIN_SEGMENT} to ${MAX_SEGMENT}`)
    this.#segmentBytes = bytes
  }

  setForm(form: Form | undefined): void {
    this.chooser.fix(form)
    this.#home.formChanged(this)
  }

  replaceKeys(keys: PeerKeys, when: 'now' | 'heard'): void {
    const home = this.#home
    const generation = this.#generation + 1
    const open = new OpenKey(home.aead, this, generation, keys)
    try {
      home.addOpenKey(open)
    } catch (error) {
      open.free()
      throw error
    }
    this.#generation = generation
    this.#open.push(open)
    const oldest = this.#open.length > MAX_OPEN ? this.#open.shift() : undefined
    if (oldest !== undefined) this.#drop(oldest)
    if (this.#nextSeal !== undefined) home.retire(this.#nextSeal)
    this.#nextSeal = new SealKey(home.aead, generation, keys)
    if (when === 'now') this.#useNext()
  }

  #useNext(): void {
    if (this.#seal !== undefined) this.#home.retire(this.#seal)
    this.#seal = this.#nextSeal
    this.#nextSeal = undefined
    this.credit.reset()
    const diesAt = this.#home.now() + OLD_KEYS_MS
    for (const key of this.#open) if (key.generation < this.#generation) key.diesAt ??= diesAt
  }

  /** A datagram opened with this key. If it is the next key, the peer has it now. */
  heard(key: OpenKey): void {
    if (this.#nextSeal === undefined || key.generation !== this.#nextSeal.generation) return
    this.#useNext()
    this.#home.keysConfirmed(this)
  }

  /** Packets or an acknowledgement passed. */
  note(): void {
    if (this.hasNews) return
    this.hasNews = true
    this.#home.hasNews(this)
  }

  expireKeys(now: number): void {
    if (this.#open.length === 1) return
    for (const key of this.#open) if (key.diesAt !== undefined && key.diesAt <= now) this.#drop(key)
    this.#open = this.#open.filter((key) => key.diesAt === undefined || key.diesAt > now)
  }

  #drop(key: OpenKey): void {
    this.#home.removeOpenKey(key)
    this.#home.retire(key)
  }

  /** Lets go of all keys. */
  remove(): void {
    this.isRemoved = true
    for (const key of this.#open) this.#drop(key)
    this.#open = []
    for (const key of [this.#seal, this.#nextSeal]) if (key !== undefined) this.#home.retire(key)
    this.#seal = undefined
    this.#nextSeal = undefined
    this.#address = undefined
  }

  /** Whether more may be sent to this peer now. */
  hasCredit(now: number): boolean {
    const { credit } = this
    const log = this.#seal?.log
    if (log?.isFull !== true) {
      const isOpen = credit.isOpen(now)
      if (isOpen && credit.silences >= SILENCES && this.form === 'whole') this.#unheard(now)
      return isOpen
    }
    if (credit.waitMs(now) > 0) return false
    credit.reset()
    log.skip()
    return true
  }

  #unheard(now: number): void {
    this.chooser.unheard(now)
    if (this.form === 'record') this.#home.formChanged(this)
  }

  /** Whether to send again what the peer asks for: not where its TCP had better slow down, or recovers as soon. */
  get resends(): boolean {
    return this.canResend && this.chooser.mayResend && this.form === 'whole'
  }

  /** Takes in an acknowledgement: of which key, its newest complete message, and how many datagrams came by then. */
  acknowledged(index: number, id: number, received: number, now: number): void {
    const seal = this.#seal
    if (seal === undefined || index !== seal.index) return
    const news = seal.log.acknowledge(id, received, now)
    if (news === undefined) return
    this.note()
    this.rtt.add(news.rttMs, now)
    const rttMs = this.rtt.value ?? news.rttMs
    this.credit.acked(news.bytes, now, rttMs)
    this.counters.txAcked += news.datagrams
    this.counters.txLost = Math.max(0, this.counters.txLost + news.lost)
    const before = this.form
    this.chooser.canResend = this.canResend
    this.chooser.observe(news.bytes, news.datagrams, news.lost, rttMs, now)
    if (this.form !== before) this.#home.formChanged(this)
  }
}
