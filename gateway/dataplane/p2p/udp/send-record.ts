/** Sends the record form and control datagrams: seals each alone, and sends those of equal size together. */
import { type Arena, Iovecs, type Region } from '../../../../kernel/arena.ts'
import { MAX_SEGMENT } from '../../../../kernel/receive-slots.ts'
import type { DatagramPort } from '../../../../kernel/udp-socket.ts'
import type { PeerState } from './peer.ts'
import { COUNTER, HEADER, headerWord, MAX_PARTS, SEAL, WireForm } from './wire/datagram.ts'
import { headerLength, isTcp } from './wire/record-header.ts'

/** The most that one send takes. */
const BATCH_BYTES = 65_507
const TEXT_AT = HEADER + COUNTER
const CONTROL_HEAD = 3
const MAX_CONTROL = 1_024
const EMSGSIZE = 90

export class RecordSender {
  readonly #udp: DatagramPort
  /** @param failed a batch could not be sent */
  readonly #failed: (peer: PeerState, errno: number) => void
  readonly #out: Region
  readonly #iovecs: Iovecs
  readonly #control: Region
  readonly #controlIovec: Iovecs
  #peer: PeerState | undefined
  #count = 0
  #bytes = 0
  /** Size of each datagram of the batch but the last. */
  #segment = 0
  #time = 0

  constructor(arena: Arena, udp: DatagramPort, failed: (peer: PeerState, errno: number) => void) {
    this.#udp = udp
    this.#failed = failed
    this.#out = arena.take(BATCH_BYTES + MAX_SEGMENT)
    this.#iovecs = new Iovecs(arena, MAX_PARTS)
    this.#control = arena.take(MAX_SEGMENT)
    this.#controlIovec = new Iovecs(arena, 1)
  }

  /**
   * Seals one packet, and sends it with `flush` at the latest.
   * @returns false when the packet does not fit this form and has to go in the whole form
   */
  packet(peer: PeerState, text: Region, at: number, n: number, now: number): boolean {
    const { seal } = peer
    const room = peer.partBytes - SEAL
    if (seal === undefined) return true
    this.#time = now
    if (n <= room) {
      const number = seal.log.next(n + SEAL + HEADER, 1, now)
      this.#append(peer, headerWord(WireForm.record, 0, 1, number), text, at, 0, at, n)
      return true
    }
    const header = headerLength(text.bytes, at, n)
    if (header === 0 || !isTcp(text.bytes, at)) return false
    const slice = room - header
    const parts = Math.ceil((n - header) / slice)
    if (parts > MAX_PARTS) return false
    const number = seal.log.next(n + (parts - 1) * header + parts * (SEAL + HEADER), parts, now)
    for (let part = 0, from = header; part < parts; part++, from += slice) {
      const word = headerWord(WireForm.record, part, parts, number)
      this.#append(peer, word, text, at, header, at + from, Math.min(slice, n - from))
    }
    return true
  }

  /** Seals one datagram from two pieces of text: the repeated header, if any, and its own payload. */
  #append(
    peer: PeerState,
    word: number,
    text: Region,
    headerAt: number,
    header: number,
    at: number,
    n: number,
  ): void {
    const length = HEADER + SEAL + header + n
    if (this.#count > 0 && !this.#fits(peer, length)) this.flush()
    if (this.#count === 0) {
      this.#peer = peer
      this.#segment = length
    }
    const seal = peer.seal!
    const out = this.#out
    const to = this.#bytes
    out.view.setUint32(to, seal.index)
    out.view.setUint32(to + 4, word)
    if (header > 0) out.copyFrom(to + TEXT_AT, text, headerAt, header)
    out.copyFrom(to + TEXT_AT + header, text, at, n)
    seal.record.seal(out, to, out, to + HEADER, header + n)
    this.#iovecs.set(this.#count, out, to, length)
    this.#count++
    this.#bytes += length
    // The kernel cuts a batch at equal sizes: only its last datagram may be shorter.
    if (length < this.#segment) this.flush()
  }

  #fits(peer: PeerState, length: number): boolean {
    return (
      peer === this.#peer && length <= this.#segment && this.#count < this.#udp.maxSegments(this.#segment)
    )
  }

  /** Sends the sealed datagrams. */
  flush(): void {
    const peer = this.#peer
    if (peer === undefined || this.#count === 0) return
    const errno = this.#udp.send(this.#iovecs, 0, this.#count, 1, this.#segment, peer.sockaddr)
    peer.credit.sent(this.#bytes, this.#time)
    peer.counters.txDatagrams += this.#count
    this.#peer = undefined
    this.#count = 0
    this.#bytes = 0
    if (errno !== 0) this.#failed(peer, errno)
  }

  /**
   * Seals and sends one control datagram at once.
   * @param padTo the least UDP payload; the padding is sealed too
   */
  control(peer: PeerState, type: number, payload: Uint8Array, to: Region, padTo = 0): number {
    const { seal } = peer
    const text = Math.max(CONTROL_HEAD + payload.byteLength, padTo - HEADER - SEAL)
    if (payload.byteLength > MAX_CONTROL)
      throw new RangeError(`control payload of ${payload.byteLength} bytes: at most ${MAX_CONTROL}`)
    if (seal === undefined || text + HEADER + SEAL > MAX_SEGMENT) return EMSGSIZE
    const { bytes, view } = this.#control
    view.setUint32(0, seal.index)
    view.setUint32(4, headerWord(WireForm.control, 0, 1, 0))
    bytes[TEXT_AT] = type
    view.setUint16(TEXT_AT + 1, payload.byteLength)
    bytes.set(payload, TEXT_AT + CONTROL_HEAD)
    bytes.fill(0, TEXT_AT + CONTROL_HEAD + payload.byteLength, TEXT_AT + text)
    seal.record.seal(this.#control, 0, this.#control, HEADER, text)
    const length = HEADER + SEAL + text
    this.#controlIovec.set(0, this.#control, 0, length)
    return this.#udp.send(this.#controlIovec, 0, 1, 1, length, to)
  }
}
