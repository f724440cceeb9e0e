/**
 * The slice of a host: the part of the supernet whose addresses it alone hands out
 * (docs/architecture/leases.md#slices).
 */

import { contains, formatIpv4, formatPrefix, type Ipv4, type Prefix4, sizeOf } from '../../core/addr.ts'

export interface Slice {
  readonly hostId: number
  readonly supernet: Prefix4
  readonly prefix: Prefix4
  /** First address of the slice, on the bridge: `.1`. */
  readonly bridge: Ipv4
  /** Allocated without being asked for: `first` to `last`. Between bridge and `first` lies the static zone. */
  readonly first: Ipv4
  /** The one before the broadcast address. */
  readonly last: Ipv4
}

export interface SliceConfig {
  readonly supernet: Prefix4
  /** Its length, when `supernet` only stands in for one that cannot be read; 0: that cannot be read either. */
  readonly supernetLen?: number
  readonly hostPrefix: number
  readonly hostId: number
  readonly firstOffset: number
}

export type SliceResult =
  | { readonly ok: true; readonly slice: Slice }
  | { readonly ok: false; readonly problems: readonly string[] }

/** /12: 4,096 block files and a million addresses, far above what one kernel bridges (1,023 ports each). */
const MIN_HOST_PREFIX = 12
/** /30: the bridge and one container. */
const MAX_HOST_PREFIX = 30

/**
 * `base + hostId * 2^(32-hostPrefix)`, or every problem with its key and value.
 * @param told problems that the reader of the configuration found: what they name is not told again, and the other
 *   sizes are judged by as much as is known
 */
export function sliceOf(config: SliceConfig, told: readonly string[] = []): SliceResult {
  const isTold = (key: keyof SliceConfig): boolean => told.some((p) => p.startsWith(`ipam.${key} `))
  const { supernet, hostPrefix, hostId, firstOffset } = config
  const problems = sizeProblems(config, isTold)
  if (problems.length > 0 || SIZES.some(isTold)) return { ok: false, problems }
  const size = sizeOf(hostPrefix)
  const base = supernet.base + hostId * size
  return {
    ok: true,
    slice: {
      hostId,
      supernet,
      prefix: { base, prefixLen: hostPrefix },
      bridge: base + 1,
      first: base + firstOffset,
      last: base + size - 2,
    },
  }
}

const SIZES = ['supernet', 'hostPrefix', 'hostId', 'firstOffset'] as const

function sizeProblems(config: SliceConfig, isTold: (key: keyof SliceConfig) => boolean): string[] {
  const { hostPrefix, hostId, firstOffset, supernetLen = config.supernet.prefixLen } = config
  const lowest = Math.max(supernetLen + 1, MIN_HOST_PREFIX)
  const problems: string[] = []
  const isSized = isWithin(hostPrefix, lowest, MAX_HOST_PREFIX) && !isTold('hostPrefix')
  if (!isSized && !isTold('hostPrefix')) problems.push(hostPrefixProblem(config, lowest))
  // Of an unknown size the bound is that of the largest: nothing is told that another correction would make right.
  const parts = 2 ** ((isSized ? hostPrefix : MAX_HOST_PREFIX) - supernetLen)
  const maxHostId = maxHostIdOf(parts)
  if (!isWithin(hostId, 1, maxHostId) && !isTold('hostId')) {
    const why = `, ${formatPrefix(config.supernet)} has ${parts} parts of /${hostPrefix}`
    problems.push(
      `ipam.hostId is ${hostId}: must be 1 to ${maxHostId}${isSized && supernetLen > 0 ? why : ''}`,
    )
  }
  const size = sizeOf(isSized ? hostPrefix : MIN_HOST_PREFIX)
  if (!isWithin(firstOffset, 2, size - 2) && !isTold('firstOffset')) {
    const why = `, a slice of /${hostPrefix} has ${size} addresses and the last is its broadcast address`
    problems.push(`ipam.firstOffset is ${firstOffset}: must be 2 to ${size - 2}${isSized ? why : ''}`)
  }
  return problems
}

/**
 * 0 is refused so that a forgotten hostId is never valid, the last part because its broadcast address is also the
 * supernet's; with two parts only the second is left, and it is allowed.
 */
const maxHostIdOf = (parts: number): number => (parts > 2 ? parts - 2 : 1)

function hostPrefixProblem({ supernet, hostPrefix }: SliceConfig, lowest: number): string {
  const problem = `ipam.hostPrefix is ${hostPrefix}: `
  return lowest > MAX_HOST_PREFIX
    ? `${problem}ipam.supernet ${formatPrefix(supernet)} is too small to be divided among hosts; ` +
        `it must be /${MAX_HOST_PREFIX - 1} or larger`
    : `${problem}must be ${lowest} to ${MAX_HOST_PREFIX} with ipam.supernet ${formatPrefix(supernet)}`
}

const isWithin = (value: number, min: number, max: number): boolean =>
  Number.isInteger(value) && value >= min && value <= max

/** Why a requested address can never be given out from this slice; undefined when it can. */
export function refusalOf(slice: Slice, ip: Ipv4): string | undefined {
  const own = `this host's slice ${formatPrefix(slice.prefix)}`
  if (!contains(slice.prefix, ip)) return `it is outside ${own}`
  if (ip === slice.prefix.base) return `it is the network address of ${own}`
  if (ip === slice.bridge) return `it is the bridge address of ${own}`
  if (ip > slice.last) return `it is the broadcast address of ${own}`
  return undefined
}

/** For messages: `10.100.1.10-10.100.1.254`. */
export const formatRange = (slice: Slice): string => `${formatIpv4(slice.first)}-${formatIpv4(slice.last)}`
