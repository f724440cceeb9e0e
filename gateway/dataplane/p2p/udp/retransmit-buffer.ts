/** Keeps whole messages as they were sent, for as long as a peer may ask for parts of them again. */
import { type Arena, Iovecs, type Region } from '../../../../kernel/arena.ts'
import type { DatagramPort } from '../../../../kernel/udp-socket.ts'
import { hasPart, type Parts } from './flow/parts.ts'
import type { PeerState } from './peer.ts'
import { HEADER, headerWord, numberOf, SEAL, WireForm } from './wire/datagram.ts'

/** Sealed bytes that are kept: 16 ms at 1 Gbit/s. */
const KEPT_BYTES = 2 << 20
/** After the last request, how long messages are kept. A copy takes 10 µs for 60 KB. */
const KEEP_MS = 3_000
const MESSAGES = 512

interface Message {
  index: number
  number: number
  at: number
  bytes: number
  partBytes: number
  /** How often the ring had been begun again by then. */
  lap: number
}

export class RetransmitBuffer {
  readonly #udp: DatagramPort
  /** By number modulo MESSAGES. Those of two peers may displace each other. */
  readonly #messages: (Message | undefined)[] = Array.from({ length: MESSAGES })
  /** Their texts, one after another. */
  readonly #ring: Region
  /** Counter and tag of each. */
  readonly #seals: Region
  readonly #header: Region
  readonly #iovecs: Iovecs
  #until = Number.NEGATIVE_INFINITY
  #lap = 0
  #at = 0

  constructor(arena: Arena, udp: DatagramPort) {
    this.#udp = udp
    this.#ring = arena.take(KEPT_BYTES, 4096)
    this.#seals = arena.take(MESSAGES * SEAL)
    this.#header = arena.take(HEADER + SEAL)
    this.#iovecs = new Iovecs(arena, 2)
  }

  /** A peer asked. */
  keepFrom(now: number): void {
    this.#until = now + KEEP_MS
  }

  isKeeping(now: number): boolean {
    return now < this.#until
  }

  /**
   * Copies a message.
   * @param from where it lies sealed
   * @param seals where its counter and tag lie
   */
  add(
    index: number,
    number: number,
    from: Region,
    fromAt: number,
    bytes: number,
    partBytes: number,
    seals: Region,
    sealAt: number,
  ): void {
    if (this.#at + bytes > KEPT_BYTES) {
      this.#lap++
      this.#at = 0
    }
    const at = this.#at
    this.#ring.copyFrom(at, from, fromAt, bytes)
    this.#at += bytes
    const place = number % MESSAGES
    this.#seals.copyFrom(place * SEAL, seals, sealAt, SEAL)
    this.#messages[place] = { index, number, at, bytes, partBytes, lap: this.#lap }
  }

  #find(index: number, number: number): Message | undefined {
    const message = this.#messages[number % MESSAGES]
    if (message === undefined || message.index !== index || message.number !== number) return undefined
    const isWhole = message.lap === this.#lap || (message.lap === this.#lap - 1 && message.at >= this.#at)
    return isWhole ? message : undefined
  }

  /** Sends these parts again, by the low bits of their number. @returns those that are gone */
  retransmit(peer: PeerState, wanted: readonly Parts[]): readonly Parts[] {
    const { seal } = peer
    if (seal === undefined) return wanted
    return wanted.filter((parts) => {
      const number = numberOf(parts.number, seal.log.number)
      const message = number < 1 ? undefined : this.#find(seal.index, number)
      if (message !== undefined) this.#send(peer, message, parts)
      return message === undefined
    })
  }

  #send(peer: PeerState, message: Message, wanted: Parts): void {
    const parts = Math.ceil((message.bytes + SEAL) / message.partBytes)
    for (let part = 0; part < parts; part++) {
      if (!hasPart(wanted, part)) continue
      const header = part === 0 ? HEADER + SEAL : HEADER
      const from = part === 0 ? 0 : part * message.partBytes - SEAL
      const length = Math.min(message.partBytes - (part === 0 ? SEAL : 0), message.bytes - from)
      this.#header.view.setUint32(0, message.index)
      this.#header.view.setUint32(4, headerWord(WireForm.whole, part, parts, message.number))
      this.#header.copyFrom(HEADER, this.#seals, (message.number % MESSAGES) * SEAL, SEAL)
      this.#iovecs.set(0, this.#header, 0, header)
      this.#iovecs.set(1, this.#ring, message.at + from, length)
      // What cannot be sent now is lost again, and the peer asks once more.
      this.#udp.send(this.#iovecs, 0, 1, 2, header + length, peer.sockaddr)
      peer.counters.txResent++
    }
  }
}
