/** Keys and values of sets as bytes: concatenations and intervals. */

import { LITTLE_ENDIAN } from '../endian.ts'
import { NFT_SET_ELEM_INTERVAL_END, type SetElement } from './set.ts'

/**
 * A concatenation, e.g. `ipv4_addr . inet_service`: each field padded with zeros to a multiple of 4 bytes.
 * Fields are in network order, but for a device group: an address is 4 or 16 bytes, a port 2, a protocol 1.
 */
export function concat(...fields: readonly Uint8Array[]): Uint8Array {
  const padded = (field: Uint8Array) => (field.byteLength + 3) & ~3
  const out = new Uint8Array(fields.reduce((sum, field) => sum + padded(field), 0))
  let at = 0
  for (const field of fields) {
    out.set(field, at)
    at += padded(field)
  }
  return out
}

/**
 * The fields of a concatenation, by their lengths in bytes. @throws {RangeError} lengths that do not add up to the key
 */
export function split(key: Uint8Array, ...lengths: readonly number[]): Uint8Array[] {
  let at = 0
  const fields = lengths.map((length) => {
    const field = key.subarray(at, at + length)
    at += (length + 3) & ~3
    return field
  })
  if (at !== key.byteLength) throw new RangeError(`key of ${key.byteLength} bytes, fields of ${at}`)
  return fields
}

/** An `inet_service`. */
export function port(number: number): Uint8Array {
  if (!(Number.isInteger(number) && number >= 0 && number <= 0xffff)) throw new RangeError(`port ${number}`)
  return Uint8Array.of(number >> 8, number & 0xff)
}

export const portFrom = (bytes: Uint8Array): number => ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)

/** A `devgroup`, which is in the host's byte order. */
export function devgroup(group: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, group, LITTLE_ENDIAN)
  return bytes
}

export const devgroupFrom = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, LITTLE_ENDIAN)

/** @returns undefined after the last key, ff…ff */
function successor(key: Uint8Array): Uint8Array | undefined {
  const next = key.slice()
  for (let i = next.length - 1; i >= 0; i--) {
    const byte = next[i] ?? 0
    next[i] = byte + 1
    if (byte < 255) return next
  }
  return undefined
}

/** An interval that includes both ends. */
export interface Interval {
  readonly start: Uint8Array
  readonly end: Uint8Array
  readonly comment?: string | undefined
}

/**
 * The elements of one interval, for a set with `flags interval` whose key is not a concatenation: its first key, and
 * the first key after it. The last interval of the key space has no end. The kernel refuses overlaps (EEXIST).
 */
export function intervalElements({ start, end, comment }: Interval): SetElement[] {
  const behind = successor(end)
  const first: SetElement = { key: start, comment }
  return behind === undefined ? [first] : [first, { key: behind, flags: NFT_SET_ELEM_INTERVAL_END }]
}

/** The elements of a prefix, e.g. of 10.100.2.0/24. @param address host bits must be zero */
export function prefixElements(address: Uint8Array, prefixLen: number, comment?: string): SetElement[] {
  const end = address.map((byte, i) => byte | (0xff >> Math.min(8, Math.max(0, prefixLen - 8 * i))))
  return intervalElements({ start: address, end, comment })
}

const order = (a: Uint8Array, b: Uint8Array): number => {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return (a[i] ?? 0) - (b[i] ?? 0)
  return 0
}
const isEnd = (element: SetElement): boolean => ((element.flags ?? 0) & NFT_SET_ELEM_INTERVAL_END) !== 0

function predecessor(key: Uint8Array): Uint8Array {
  const before = key.slice()
  for (let i = before.length - 1; i >= 0; i--) {
    const byte = before[i] ?? 0
    before[i] = byte - 1
    if (byte > 0) break
  }
  return before
}

/** Turns what `setElemList` found back into intervals, in ascending order. */
export function intervalsFrom(elements: readonly SetElement[]): Interval[] {
  // An end and a start with the same key come from two neighbours: the end belongs to the earlier one.
  const sorted = elements.toSorted((a, b) => order(a.key, b.key) || Number(isEnd(b)) - Number(isEnd(a)))
  return sorted.flatMap((element, i) => {
    if (isEnd(element)) return []
    const next = sorted[i + 1]
    const end = next === undefined ? element.key.map(() => 0xff) : predecessor(next.key)
    return [{ start: element.key, end, comment: element.comment }]
  })
}
