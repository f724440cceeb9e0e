/**
 * A summary of every block of a slice, so that finding a free address reads one block and not all.
 *
 * It is a hint, written in place and without fsync after the block it describes. It is believed only when it agrees
 * with the block that it led to; otherwise it is made anew from all blocks. Bytes and no JSON: there are 4,096 blocks
 * in a /16, and each ADD and DEL reads and writes it.
 */

import { closeSync, constants, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import type { Ipv4 } from '../../core/addr.ts'
import type { Millis } from '../../core/clock.ts'
import { PRIVATE_FILE } from '../../kernel/private.ts'
import type { Leases } from './block.ts'
import { BLOCK_SIZE, blockBaseOf } from './layout.ts'
import { ipIn } from './octet.ts'

/** Never-used addresses, and the earliest release time of a free address or 0, all within the range. */
export type Summary = readonly [fresh: number, oldest: Millis]

interface Range {
  /** Both inclusive. */
  readonly first: Ipv4
  readonly last: Ipv4
}

/** On disk as in memory: the head, then the release times, then a byte for each block. */
export interface BlockIndex extends Range {
  readonly bytes: Uint8Array
  readonly head: Float64Array
  readonly oldest: Float64Array
  /** Never-used addresses and 1; 0 for a block that was never written. */
  readonly fresh: Uint8Array
}

const VERSION = 2
const CURSOR = 3
const HEAD_BYTES = 4 * Float64Array.BYTES_PER_ELEMENT
/** A /12 has no more, so a file that claims more is not an index. */
const MAX_BLOCKS = 2 ** 20 / BLOCK_SIZE

const countOf = ({ first, last }: Range): number => (blockBaseOf(last) - blockBaseOf(first)) / BLOCK_SIZE + 1

export function emptyIndex(first: Ipv4, last: Ipv4): BlockIndex {
  const count = countOf({ first, last })
  const bytes = new Uint8Array(HEAD_BYTES + count * (Float64Array.BYTES_PER_ELEMENT + 1))
  const head = new Float64Array(bytes.buffer, 0, CURSOR + 1)
  head.set([VERSION, first, last, blockBaseOf(first)])
  return {
    first,
    last,
    bytes,
    head,
    oldest: new Float64Array(bytes.buffer, HEAD_BYTES, count),
    fresh: new Uint8Array(bytes.buffer, bytes.byteLength - count, count),
  }
}

/** The block that the last address came from. */
export const cursorOf = (index: BlockIndex): Ipv4 => index.head[CURSOR] ?? 0

export function setCursor(index: BlockIndex, base: Ipv4): void {
  index.head[CURSOR] = base
}

/** The part of a range that lies in a block, both ends inclusive. */
export function rangeIn(base: Ipv4, first: Ipv4, last: Ipv4): Range {
  return { first: Math.max(base, first), last: Math.min(base + BLOCK_SIZE - 1, last) }
}

export function summarise(block: Leases, base: Ipv4, whole: Range): Summary {
  const range = rangeIn(base, whole.first, whole.last)
  const isInRange = (text: string): boolean => {
    const ip = ipIn(base, text)
    return ip !== undefined && ip >= range.first && ip <= range.last
  }
  let taken = 0
  for (const text in block.leases) if (isInRange(text)) taken++
  let oldest = 0
  for (const text in block.released) {
    if (!isInRange(text)) continue
    taken++
    const at = block.released[text] ?? 0
    if (oldest === 0 || at < oldest) oldest = at
  }
  return [range.last - range.first + 1 - taken, oldest]
}

const placeOf = (index: BlockIndex, base: Ipv4): number => (base - blockBaseOf(index.first)) / BLOCK_SIZE

/** False for blocks of another slice. */
export const covers = (index: BlockIndex, base: Ipv4): boolean =>
  base >= blockBaseOf(index.first) && base <= index.last

/** Whether the block was ever written. */
export const knows = (index: BlockIndex, base: Ipv4): boolean => index.fresh[placeOf(index, base)] !== 0

export function note(index: BlockIndex, base: Ipv4, [fresh, oldest]: Summary): void {
  const place = placeOf(index, base)
  index.fresh[place] = fresh + 1
  index.oldest[place] = oldest
}

export function agrees(index: BlockIndex, base: Ipv4, [fresh, oldest]: Summary): boolean {
  return freshOf(index, base) === fresh && index.oldest[placeOf(index, base)] === oldest
}

function freshOf(index: BlockIndex, base: Ipv4): number {
  if (knows(index, base)) return (index.fresh[placeOf(index, base)] ?? 0) - 1
  const range = rangeIn(base, index.first, index.last)
  return range.last - range.first + 1
}

/**
 * The block to take the next address from, by the allocator's rule over blocks: one with never-used addresses,
 * the cursor's and round; else the one with the address released longest ago.
 * @param without bases that were tried and had nothing to give
 */
export function chooseBlock(index: BlockIndex, without: ReadonlySet<Ipv4>): Ipv4 | undefined {
  const count = index.fresh.length
  const start = placeOf(index, cursorOf(index))
  let best: { base: Ipv4; oldest: Millis } | undefined
  for (let n = 0; n < count; n++) {
    const place = (start + n) % count
    const base = blockBaseOf(index.first) + place * BLOCK_SIZE
    if (without.has(base)) continue
    if (freshOf(index, base) > 0) return base
    const oldest = index.oldest[place] ?? 0
    if (oldest > 0 && (best === undefined || oldest < best.oldest)) best = { base, oldest }
  }
  return best?.base
}

/** undefined when missing, torn or not an index: it is made anew then. */
export function readIndex(path: string): BlockIndex | undefined {
  try {
    const fd = openSync(path, 'r')
    try {
      return readFrom(fd)
    } finally {
      closeSync(fd)
    }
  } catch {
    return undefined
  }
}

function readFrom(fd: number): BlockIndex | undefined {
  const head = new Float64Array(CURSOR + 1)
  if (readSync(fd, new Uint8Array(head.buffer)) !== HEAD_BYTES) return undefined
  const [version, first = 0, last = 0, cursor = 0] = head
  const isOurs = version === VERSION && Number.isInteger(first) && Number.isInteger(last) && first <= last
  if (!isOurs || countOf({ first, last }) > MAX_BLOCKS) return undefined
  const index = emptyIndex(first, last)
  setCursor(index, cursor)
  const rest = index.bytes.subarray(HEAD_BYTES)
  if (readSync(fd, rest) !== rest.byteLength) return undefined
  return cursor % BLOCK_SIZE === 0 && covers(index, cursor) ? index : undefined
}

/** Never throws: without it the next reader makes it anew, which a wrong one would only delay. */
export function writeIndex(path: string, index: BlockIndex): void {
  try {
    // In place: a rename would make ext4 write it out, a tenth of a millisecond.
    const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT, PRIVATE_FILE)
    try {
      if (writeSync(fd, index.bytes) !== index.bytes.byteLength) removeIndex(path)
    } finally {
      closeSync(fd)
    }
  } catch {
    removeIndex(path)
  }
}

export function removeIndex(path: string): void {
  try {
    unlinkSync(path)
  } catch {
    // Absent, or a read-only file system, where nothing can be allocated either.
  }
}
