/** Datagrams on the plane's socket that are sealed for no peer: STUN, which others ask this host. */
import { Errno } from 'netlink-ts/errors.ts'
import { type Arena, Iovecs, type Region } from '../../../../kernel/arena.ts'
import { readSockaddr, writeSockaddr } from '../../../../kernel/sockaddr.ts'
import type { DatagramPort } from '../../../../kernel/udp-socket.ts'
import type { Endpoint } from './types.ts'
import { HEADER } from './wire/datagram.ts'

/** Bytes 4 to 8 of STUN (RFC 8489, 5). Read as our header word, they name form 0, which does not exist. */
const MAGIC_COOKIE = 0x2112_a442
/** What is longer is no question that this host answers. */
const MAX_BYTES = 548
const SOCKADDR = 28

export class PlainDatagrams {
  readonly #udp: DatagramPort
  readonly #heard: ((bytes: Uint8Array, from: Endpoint) => void) | undefined
  readonly #out: Region
  readonly #to: Region
  readonly #iovecs: Iovecs

  /** @param heard gets bytes of its own; undefined: there is no use for them */
  constructor(
    arena: Arena,
    udp: DatagramPort,
    heard: ((bytes: Uint8Array, from: Endpoint) => void) | undefined,
  ) {
    this.#udp = udp
    this.#heard = heard
    this.#out = arena.take(MAX_BYTES)
    this.#to = arena.take(SOCKADDR)
    this.#iovecs = new Iovecs(arena, 1)
  }

  /** @param word bytes 4 to 8 of a datagram whose index no key has. @returns whether it was one for here */
  take(slot: number, word: number): boolean {
    const { slots } = this.#udp
    const length = slots.lengths[slot] ?? 0
    if (word !== MAGIC_COOKIE || this.#heard === undefined || length > MAX_BYTES) return false
    const bytes = new Uint8Array(length)
    bytes.set(slots.headers.bytes.subarray(slot * HEADER, (slot + 1) * HEADER))
    const at = slots.textAt(slot)
    bytes.set(slots.texts.bytes.subarray(at, at + length - HEADER), HEADER)
    this.#heard(bytes, readSockaddr(slots.source(slot)))
    return true
  }

  /** @returns 0, or the errno: EMSGSIZE for more than 548 bytes. @throws {RangeError} not an endpoint */
  send(bytes: Uint8Array, to: Endpoint): number {
    // A TURN server chooses how long its nonce is, which each question repeats.
    if (bytes.byteLength > MAX_BYTES) return Errno.EMSGSIZE
    writeSockaddr(this.#udp.family, to, this.#to.bytes)
    this.#out.bytes.set(bytes)
    this.#iovecs.set(0, this.#out, 0, bytes.byteLength)
    return this.#udp.send(this.#iovecs, 0, 1, 1, bytes.byteLength, this.#to)
  }
}
