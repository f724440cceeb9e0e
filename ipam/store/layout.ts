/** Which file holds the lease of which address, and what older releases called it. */

import { formatIpv4, type Ipv4, parseIpv4 } from '../../core/addr.ts'

/**
 * Addresses in one block file. Each ADD reads one and writes it twice, at 30 µs per lease in it: with 256 leases that
 * was half of an ADD, with 16 it cannot be measured.
 */
export const BLOCK_SIZE = 16
/** In version 1. Such a file has the name of the first of the 16 blocks that it is split into (split.ts). */
export const OLD_BLOCK_SIZE = 256

export const blockBaseOf = (ip: Ipv4): Ipv4 => ip - (ip % BLOCK_SIZE)

/** The block that has the name of an old one, where `ip` would have been. */
export const headOf = (ip: Ipv4): Ipv4 => ip - (ip % OLD_BLOCK_SIZE)

export const isHead = (base: Ipv4): boolean => base === headOf(base)

/** Whether a file of this name and version holds 256 addresses, so that block files of those addresses are ignored. */
export const isOldBlock = (version: unknown, base: Ipv4): boolean => version === 1 && isHead(base)

/** `10.100.1.16.json`: blocks are aligned, so that one that was written for another slice keeps its meaning. */
export const blockFileName = (base: Ipv4): string => `${formatIpv4(base)}.json`

/** undefined for every other file of the folder: index, lock, temp files, blocks set aside. */
export function baseOfFileName(name: string): Ipv4 | undefined {
  const base = name.endsWith('.json') ? parseIpv4(name.slice(0, -'.json'.length)) : undefined
  return base !== undefined && base % BLOCK_SIZE === 0 ? base : undefined
}
