/** Sends the whole form: seals packets where the device put them, and cuts a message into datagrams by iovecs. */
import { type Arena, Iovecs, type Region } from '../../../../kernel/arena.ts'
import type { DatagramPort } from '../../../../kernel/udp-socket.ts'
import type { PeerState } from './peer.ts'
import type { RetransmitBuffer } from './retransmit-buffer.ts'
import { HEADER, headerWord, MAX_PARTS, SEAL, WireForm } from './wire/datagram.ts'

/** Before the text of the first datagram: header, counter and tag. Before the others: only a header. */
const FIRST_HEADER = HEADER + SEAL

export class WholeSender {
  readonly #udp: DatagramPort
  readonly #retransmitBuffer: RetransmitBuffer
  readonly #headers: Region
  readonly #iovecs: Iovecs

  constructor(arena: Arena, udp: DatagramPort, retransmitBuffer: RetransmitBuffer) {
    this.#udp = udp
    this.#retransmitBuffer = retransmitBuffer
    this.#headers = arena.take(MAX_PARTS * FIRST_HEADER)
    this.#iovecs = new Iovecs(arena, MAX_PARTS * 2)
    for (let part = 0; part < MAX_PARTS; part++)
      this.#iovecs.set(2 * part, this.#headers, part * FIRST_HEADER, part === 0 ? FIRST_HEADER : HEADER)
  }

  /** How many bytes of packets one send takes. */
  most(peer: PeerState): number {
    return this.#udp.maxSegments(peer.segmentBytes) * peer.partBytes - SEAL
  }

  /**
   * Sends `n` bytes of packets, which are garbage afterwards.
   * @returns 0, or the errno; EMSGSIZE also when no message holds so much
   */
  send(peer: PeerState, text: Region, at: number, n: number, now: number): number {
    const { seal, partBytes } = peer
    if (seal === undefined) return 0
    const parts = Math.ceil((n + SEAL) / partBytes)
    if (parts > MAX_PARTS) return 90
    const bytes = n + SEAL + parts * HEADER
    const number = seal.log.next(bytes, parts, now)
    seal.whole.seal(text, at, n, number, this.#headers, HEADER)
    this.#place(peer, text, at, n, parts)
    this.#header(seal.index, parts, number)
    if (this.#retransmitBuffer.isKeeping(now))
      this.#retransmitBuffer.add(seal.index, number, text, at, n, partBytes, this.#headers, HEADER)
    peer.credit.sent(bytes, now)
    peer.counters.txDatagrams += parts
    return this.#transmit(peer, parts)
  }

  #header(index: number, parts: number, number: number): void {
    const { view } = this.#headers
    for (let part = 0, at = 0; part < parts; part++, at += FIRST_HEADER) {
      view.setUint32(at, index)
      view.setUint32(at + 4, headerWord(WireForm.whole, part, parts, number))
    }
  }

  #place({ partBytes }: PeerState, text: Region, at: number, n: number, parts: number): void {
    const first = Math.min(n, partBytes - SEAL)
    this.#iovecs.set(1, text, at, first)
    for (let part = 1, from = first; part < parts; part++, from += partBytes)
      this.#iovecs.set(2 * part + 1, text, at + from, Math.min(partBytes, n - from))
  }

  #transmit(peer: PeerState, parts: number): number {
    const most = this.#udp.maxSegments(peer.segmentBytes)
    for (let part = 0; part < parts; part += most) {
      const segments = Math.min(most, parts - part)
      const errno = this.#udp.send(this.#iovecs, 2 * part, segments, 2, peer.segmentBytes, peer.sockaddr)
      if (errno !== 0) return errno
    }
    return 0
  }
}
