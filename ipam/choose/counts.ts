/**
 * How full a slice is and who fills it, for errors, STATUS, metrics and doctor.
 *
 * Pure: blocks in, numbers out.
 */

import { contains, parseIpv4 } from '../../core/addr.ts'
import type { Millis } from '../../core/clock.ts'
import type { Lease } from '../lease.ts'
import type { Leases } from '../store/block.ts'
import { isResting } from './allocator.ts'
import type { Slice } from './slice.ts'

/** `total = used + free`, all in the range from which addresses are chosen. */
export interface Counts {
  readonly total: number
  readonly used: number
  readonly free: number
  /** Of the free ones: released less than a minute ago. */
  readonly resting: number
  /** Of all leases: their holder is provably gone; `flatnet gc` frees them. */
  readonly stale: number
  /** Leases in the static zone, between bridge and first address. */
  readonly static: number
  /** Leases of an earlier slice of this host. */
  readonly outside: number
}

export function countBlocks(
  blocks: readonly Leases[],
  slice: Slice,
  now: Millis,
  isStale: (lease: Lease) => boolean,
): Counts {
  const total = slice.last - slice.first + 1
  const isDynamic = (text: string): boolean => {
    const ip = parseIpv4(text) ?? -1
    return ip >= slice.first && ip <= slice.last
  }
  const leases = blocks.flatMap((block) => Object.values(block.leases))
  const inSlice = leases.filter((lease) => contains(slice.prefix, parseIpv4(lease.ip) ?? -1))
  const used = inSlice.filter((lease) => isDynamic(lease.ip)).length
  const resting = blocks
    .flatMap((block) => Object.entries(block.released))
    .filter(([ip, at]) => isDynamic(ip) && isResting(at, now)).length
  return {
    total,
    used,
    free: total - used,
    resting,
    stale: leases.filter(isStale).length,
    static: inSlice.length - used,
    outside: leases.length - inSlice.length,
  }
}

export interface Holder {
  /** Name of the container, or its id. */
  readonly holder: string
  readonly addresses: number
}

/** The containers with most addresses, most first. */
export function topHolders(leases: readonly Lease[], count = 3): Holder[] {
  const groups = Map.groupBy(leases, (lease) => lease.name ?? lease.containerId)
  return [...groups]
    .map(([holder, held]) => ({ holder, addresses: held.length }))
    .sort((a, b) => b.addresses - a.addresses)
    .slice(0, count)
}
