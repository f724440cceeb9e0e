/**
 * A summary of every block of a big slice, so that finding a free address reads one block and not all.
 *
 * It is a hint, written without fsync after the block it describes. It is believed only when it agrees with the block
 * that it led to; otherwise it is made anew from all blocks.
 */
import { readFileSync, unlinkSync } from 'node:fs'
import { formatIpv4, type Ipv4 } from '../core/addr.ts'
import type { Millis } from '../core/clock.ts'
import { replaceFile } from '../kernel/durable.ts'
import { BLOCK_SIZE, type Block, isRecord } from './block.ts'
import { octetIn } from './octet.ts'

/** Leases, never-used addresses, and the earliest release time of a free address or 0, all within the range. */
export type Summary = readonly [used: number, fresh: number, oldest: Millis]

export interface BlockIndex {
  readonly version: 1
  /** The range that the numbers are about; another slice makes the index void. */
  readonly first: Ipv4
  readonly last: Ipv4
  /** The block that the last address came from. */
  cursor: Ipv4
  /** By base; a block that was never written is missing. */
  readonly blocks: Record<string, Summary>
}

export const emptyIndex = (first: Ipv4, last: Ipv4): BlockIndex => ({
  version: 1,
  first,
  last,
  cursor: first - (first % BLOCK_SIZE),
  blocks: {},
})

/** The part of a range that lies in a block, both ends inclusive. */
export function rangeIn(base: Ipv4, first: Ipv4, last: Ipv4): { first: Ipv4; last: Ipv4 } {
  return { first: Math.max(base, first), last: Math.min(base + BLOCK_SIZE - 1, last) }
}

export function summarise(block: Block, base: Ipv4, index: BlockIndex): Summary {
  const range = rangeIn(base, index.first, index.last)
  const isInRange = (text: string): boolean => {
    const ip = base + (octetIn(base, text) ?? Number.NaN)
    return ip >= range.first && ip <= range.last
  }
  let used = 0
  for (const text in block.leases) if (isInRange(text)) used++
  let free = 0
  let oldest = 0
  for (const text in block.released) {
    if (!isInRange(text)) continue
    free++
    const at = block.released[text] ?? 0
    if (oldest === 0 || at < oldest) oldest = at
  }
  return [used, range.last - range.first + 1 - used - free, oldest]
}

export function agrees(index: BlockIndex, base: Ipv4, summary: Summary): boolean {
  const known = summaryOf(index, base)
  return known.every((value, i) => value === summary[i])
}

function summaryOf(index: BlockIndex, base: Ipv4): Summary {
  const range = rangeIn(base, index.first, index.last)
  return index.blocks[formatIpv4(base)] ?? [0, range.last - range.first + 1, 0]
}

/**
 * The block to take the next address from, by the allocator's rule over blocks: one with never-used addresses,
 * the cursor's and round; else the one with the address released longest ago.
 * @param without bases that were tried and had nothing to give
 */
export function chooseBlock(index: BlockIndex, without: ReadonlySet<Ipv4>): Ipv4 | undefined {
  const firstBase = index.first - (index.first % BLOCK_SIZE)
  const count = Math.floor((index.last - firstBase) / BLOCK_SIZE) + 1
  const start = Math.max(0, (index.cursor - firstBase) / BLOCK_SIZE)
  let best: { base: Ipv4; oldest: Millis } | undefined
  for (let n = 0; n < count; n++) {
    const base = firstBase + ((start + n) % count) * BLOCK_SIZE
    if (without.has(base)) continue
    const [, fresh, oldest] = summaryOf(index, base)
    if (fresh > 0) return base
    if (oldest > 0 && (best === undefined || oldest < best.oldest)) best = { base, oldest }
  }
  return best?.base
}

/** undefined when missing, torn or not an index: it is made anew then. */
export function readIndex(path: string): BlockIndex | undefined {
  try {
    const json: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return isIndex(json) ? json : undefined
  } catch {
    return undefined
  }
}

/** Never throws: without it the next reader makes it anew, which a wrong one would only delay. */
export function writeIndex(path: string, index: BlockIndex): void {
  try {
    replaceFile(path, `${JSON.stringify(index)}\n`, { fsync: false, isLocked: true })
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

function isIndex(json: unknown): json is BlockIndex {
  return (
    isRecord(json) &&
    json['version'] === 1 &&
    [json['first'], json['last'], json['cursor']].every(Number.isInteger) &&
    (json['cursor'] as number) % BLOCK_SIZE === 0 &&
    isRecord(json['blocks']) &&
    // A key that is no block is never looked up, so only the numbers have to be numbers.
    Object.values(json['blocks']).every(
      (summary) => Array.isArray(summary) && summary.length === 3 && summary.every(Number.isFinite),
    )
  )
}
