/**
 * Memory that the kernel and OpenSSL are given by address: one mapping, cut into regions once.
 * Every address and every view of it comes from here, with its bounds checked: a fault in arithmetic is an exception.
 */

import { LITTLE_ENDIAN } from 'netlink-ts/endian.ts'
import { type Mapping, mapMemory } from 'netlink-ts/libc-udp.node.ts'
import { FlatnetError } from '../core/errors.ts'

/** Of x64 and of arm64 with pages of 64 KiB. */
const GUARD = 65_536
const CACHE_LINE = 64
const U32 = 2 ** 32
/** struct iovec: base u64, length u64. */
const IOVEC = 16

/** A part of an arena. `bytes` and `view` end with it, so that JavaScript cannot write past it either. */
export class Region {
  readonly length: number
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly #base: number
  /** All of the mapping, for copies, and where this region begins in it. */
  readonly #memory: Uint8Array
  readonly #start: number
  /** What `address` said last: most packets lie where the one before lay, and making a bigint takes 60 ns. */
  #lastBase = -0
  #last = 0n

  constructor(memory: Uint8Array<ArrayBuffer>, address: number, start: number, length: number) {
    this.length = length
    this.#memory = memory
    this.#start = start
    this.bytes = memory.subarray(start, start + length)
    this.view = new DataView(memory.buffer, start, length)
    // Below 2^47 on every Linux we run on: exact as a number.
    this.#base = address + start
  }

  /** @throws {RangeError} `length` bytes at `at` are not all inside */
  address(at: number, length: number): bigint {
    const address = this.addressNumber(at, length)
    if (address !== this.#lastBase) {
      this.#lastBase = address
      this.#last = BigInt(address)
    }
    return this.#last
  }

  /** As `address`, as a number, to be written into a structure. */
  addressNumber(at: number, length: number): number {
    // Written so that NaN fails as well.
    if (!(at >= 0 && length >= 0 && at + length <= this.length && Number.isInteger(at)))
      this.#outside(at, length)
    return this.#base + at
  }

  /** Copies from a region of the same arena. @throws {RangeError} either is too short */
  copyFrom(at: number, from: Region, fromAt: number, length: number): void {
    this.addressNumber(at, length)
    from.addressNumber(fromAt, length)
    if (from.#memory !== this.#memory) throw new RangeError('regions of two arenas')
    const begin = from.#start + fromAt
    // 60 ns for a packet of 84 bytes; by `set` and a subarray 115.
    this.#memory.copyWithin(this.#start + at, begin, begin + length)
  }

  #outside(at: number, length: number): never {
    throw new RangeError(`bytes ${at} to ${at + length} of a region of ${this.length}`)
  }
}

export class Arena {
  readonly #mapping: Mapping
  readonly #memory: Uint8Array<ArrayBuffer>
  readonly #address: number
  readonly #size: number
  #used = 0

  /**
   * @throws {FlatnetError} ERR_FLATNET_UNSUPPORTED on big-endian machines: structures are written for the other order
   * @throws {SyscallError} ENOMEM
   */
  constructor(size: number) {
    if (!LITTLE_ENDIAN)
      throw new FlatnetError(
        'ERR_FLATNET_UNSUPPORTED',
        'the UDP path needs a little-endian machine (x64, arm64)',
      )
    this.#size = Math.ceil(size / GUARD) * GUARD
    this.#mapping = mapMemory(this.#size, GUARD)
    this.#memory = new Uint8Array(this.#mapping.bytes)
    this.#address = Number(this.#mapping.address)
  }

  /** @throws {RangeError} the arena is full: its maker knows what its parts take */
  take(length: number, align: number = CACHE_LINE): Region {
    const start = Math.ceil(this.#used / align) * align
    if (!Number.isInteger(length) || length <= 0 || start + length > this.#size)
      throw new RangeError(`arena of ${this.#size} bytes with ${this.#size - start} left: ${length} wanted`)
    this.#used = start + length
    return new Region(this.#memory, this.#address, start, length)
  }

  /** Unmaps it. Any later use of a region ends the process: only after all its users. */
  close(): void {
    this.#mapping.unmap()
  }
}

/** A table of `struct iovec`, each of which lies inside one region. */
export class Iovecs {
  readonly #table: Region
  readonly capacity: number

  constructor(arena: Arena, capacity: number) {
    this.#table = arena.take(capacity * IOVEC)
    this.capacity = capacity
  }

  /** @throws {RangeError} outside the table or the region */
  set(index: number, region: Region, at: number, length: number): void {
    const base = region.addressNumber(at, length)
    const { view } = this.#table
    const o = index * IOVEC
    view.setUint32(o, base % U32, true)
    view.setUint32(o + 4, base / U32, true)
    view.setUint32(o + 8, length, true)
    view.setUint32(o + 12, 0, true)
  }

  /** Of one that is set already. @param most what its region still has there is the caller's to know */
  shorten(index: number, length: number): void {
    const o = index * IOVEC + 8
    const { view } = this.#table
    if (length > view.getUint32(o, true)) throw new RangeError(`iovec ${index} made longer: ${length}`)
    view.setUint32(o, length, true)
  }

  /** Takes over entries of another table. @returns how many bytes they are together. @throws {RangeError} */
  copyFrom(index: number, from: Iovecs, fromIndex: number, count: number): number {
    this.#table.copyFrom(index * IOVEC, from.#table, fromIndex * IOVEC, count * IOVEC)
    let bytes = 0
    for (let i = index; i < index + count; i++) bytes += this.#table.view.getUint32(i * IOVEC + 8, true)
    return bytes
  }

  /** Of `count` of them from `first` on. @throws {RangeError} */
  address(first: number, count: number): bigint {
    return this.#table.address(first * IOVEC, count * IOVEC)
  }

  addressNumber(first: number, count: number): number {
    return this.#table.addressNumber(first * IOVEC, count * IOVEC)
  }
}

/** Writes an address into a structure. */
export function putAddress(view: DataView, at: number, address: number): void {
  view.setUint32(at, address % U32, true)
  view.setUint32(at + 4, address / U32, true)
}
